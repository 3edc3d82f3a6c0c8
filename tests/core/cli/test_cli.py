"""The command line's output, errors and exit codes, without heavy commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clearport.base import Size
from clearport.cli.errors import guarded
from clearport.cli.options import split
from clearport.errors import BadInput, CheckFailed, RuntimeFailure
from tests.called import called

COMMANDS = (
    "list",
    "export",
    "verify",
    "eval",
    "bench",
    "run",
    "report",
    "train",
    "devices",
    "serve",
    "push",
    "pull",
    "sign",
    "bom",
    "inspect",
    "compare",
    "lint",
)


def clearport(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "clearport", *words], capture_output=True, text=True, check=False)


def test_the_version_is_that_of_the_package() -> None:
    from clearport import __version__

    assert clearport("--version").stdout == f"clearport {__version__}\n"


def test_help_names_every_command() -> None:
    shown = clearport("--help")
    assert shown.returncode == 0
    assert [name for name in COMMANDS if name not in shown.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(command: str) -> None:
    shown = called(command, "--help")
    assert shown.code == 0
    assert f"clearport {command}" in shown.out.partition("Options")[0].partition("Usage")[2].partition("\n")[2], (
        "help has no example"
    )


@pytest.mark.parametrize("words", [("exprot",), ("export", "--out"), ("bench", "x", "--threads", "0"), ()])
def test_words_that_are_no_command_leave_with_two(words: tuple[str, ...]) -> None:
    shown = called(*words)
    assert shown.code == 2
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "words",
    [
        ("run", "", "-o", "x.png"),
        ("run", "bundle", "", "-o", "x.png"),
        ("run", "bundle", "x.png", "-o", ""),
        ("verify", ""),
        ("export", "ncnet", "--out", ""),
        ("export", "ncnet", "--out", "x", "--target", ""),
        ("export", "ncnet", "--out", "x", "--precision", " , "),
        ("export", "ncnet", "--out", "x", "--weights="),
        ("eval", "bundle", "--data", ""),
        ("pull", "", "x"),
        ("list", ""),
    ],
)
def test_an_empty_word_is_refused_and_never_the_current_folder_or_every_target(words: tuple[str, ...]) -> None:
    shown = called(*words)
    assert (shown.code, "it is empty" in " ".join(shown.err.split())) == (2, True)


def test_a_process_leaves_with_the_code_and_says_why() -> None:
    shown = clearport("exprot")
    assert (shown.returncode, "exprot" in shown.stderr, "Traceback" in shown.stderr) == (2, True, False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("bad"), 2),
        (CheckFailed("wrong"), 1),
        (RuntimeFailure("crashed"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.dup2", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def command(**_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        guarded(command)
    assert left.value.code == code
    assert str(error) in capfd.readouterr().err


@pytest.mark.parametrize("words", [("--help",), ("export", "--help"), ("list", "ncnet"), ("list", "ncnet", "--json")])
def test_a_reader_that_has_seen_enough_is_no_error(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "clearport", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("error", [ZeroDivisionError("by nothing"), MemoryError(), SystemExit(0), OSError(5, "odd")])
def test_a_defect_is_a_message_that_names_its_log(
    error: BaseException, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def command(**_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        guarded(command)
    said = capfd.readouterr().err
    (log,) = tmp_path.rglob("*.log")
    assert left.value.code == 2, "a defect is no failed check"
    assert "Traceback" not in said
    assert type(error).__name__ in said
    assert log.name in said
    assert "in command\n    raise error" in log.read_text()


def test_lists_of_names() -> None:
    assert split(" tflite, coreml ,") == ("tflite", "coreml")
    assert split("") == ()


@pytest.mark.parametrize(("text", "size"), [("360x640", Size(360, 640)), ("8X9", Size(8, 9)), ("dynamic", None)])
def test_sizes(text: str, size: Size | None) -> None:
    assert Size.parse(text) == size


@pytest.mark.parametrize("text", ["360", "0x5", "x", "-1x4", "3x4x5", "٣x٤", "big"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="HEIGHTxWIDTH"):
        Size.parse(text)


def test_the_public_names_are_there() -> None:
    import clearport as package

    for name in (
        "export",
        "load_bundle",
        "verify",
        "evaluate",
        "bench",
        "restore",
        "train",
        "export_system",
        "open_system",
    ):
        assert callable(getattr(package, name))
        assert name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
    with pytest.raises(BadInput, match="not a bundle"):
        package.load_bundle(Path("nowhere"))
