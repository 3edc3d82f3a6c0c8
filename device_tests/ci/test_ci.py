"""What continuous integration takes: the steps of the action and of the GitLab template in a shell, the pytest plugin,
and the commands of the skill for agents."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from clearport.bundle.folder import Bundle
from clearport.cli.app import app
from clearport.reports.junit import Check
from clearport.reports.summary import job_summary
from device_tests.conftest import called

ROOT = Path(__file__).resolve().parents[2]
SKILL = ROOT / "skills" / "clearport" / "SKILL.md"


def shell(script: str, variables: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A step as a runner starts it, with this Python's ``clearport`` on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    line = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    surroundings = {**os.environ, "PATH": path, **variables}
    return subprocess.run(line, env=surroundings, cwd=folder, capture_output=True, text=True, check=False)


def steps(inputs: Mapping[str, str], folder: Path) -> list[tuple[str, int]]:
    """The steps of the action that its conditions let run, each with its exit code, until one fails."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    given = {name: inputs.get(name, said.get("default")) for name, said in action["inputs"].items()}
    done = []
    for step in action["runs"]["steps"]:
        asked = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) != '' \}\}", step.get("if", "${{ inputs.bundle != '' }}"))
        assert asked
        if not given[asked[1]]:
            continue
        assert "${{" not in step["run"], "what users give never becomes a part of a script"
        variables = {
            name: given[re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", said)[1]] for name, said in step["env"].items()
        }  # type: ignore[index]
        summary = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        done.append((step["name"], shell(step["run"], {**variables, **summary}, folder).returncode))
        if done[-1][1]:
            break
    return done


def test_the_action_passes_a_sound_bundle_and_stops_at_a_changed_one(int8_pair: Bundle, tmp_path: Path) -> None:
    assert called("push", int8_pair.folder, tmp_path / "store", "--quiet").code == 0
    inputs = {"bundle": "b", "pull": f"{tmp_path}/store/ncnet", "install": ""}
    assert steps(inputs, tmp_path) == [("Pull", 0), ("Verify", 0)]
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## b\n\n✅ ")
    assert "| ✅ passed | tflite/int8 | golden by litert |" in summary
    table = tmp_path / "b/scales.json"
    table.write_bytes(table.read_bytes() + b" ")
    assert steps({"bundle": "b", "install": "", "data": "never reached"}, tmp_path) == [("Verify", 1)]
    assert "| ❌ **failed** | scales.json | checksum |" in (tmp_path / "summary.md").read_text()


@pytest.mark.slow
def test_a_sound_bundle_passes_by_its_signature_alone(int8_pair: Bundle, tmp_path: Path) -> None:
    """Exit code 0 with the right key and 1 with another, all else being good."""
    copy = Path(shutil.copytree(int8_pair.folder, tmp_path / "b"))
    for name in ("mine", "others"):
        make = f"openssl ecparam -name prime256v1 -genkey -noout -out {name}.key"
        known = f"openssl ec -in {name}.key -pubout -out {name}.pub"
        assert shell(f"{make} && {known}", {}, tmp_path).returncode == 0
    assert called("sign", copy, "--key", tmp_path / "mine.key").code == 0
    assert steps({"bundle": "b", "install": "", "signed-by": "mine.pub"}, tmp_path) == [("Verify", 0)]
    assert steps({"bundle": "b", "install": "", "signed-by": "others.pub"}, tmp_path) == [("Verify", 1)]
    assert "it was made with another key" in (tmp_path / "summary.md").read_text()


def test_the_gitlab_template_keeps_its_summary_and_the_exit_code(int8_pair: Bundle, tmp_path: Path) -> None:
    spec, jobs = yaml.safe_load_all((ROOT / "templates" / "clearport.yml").read_text())
    job: dict[str, Any] = jobs["clearport"]
    assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", str(job))) == set(spec["spec"]["inputs"])
    copy = Path(shutil.copytree(int8_pair.folder, tmp_path / "b"))
    (copy / "scales.json").unlink()
    done = shell("\n".join(job["script"]), {"BUNDLE": "b"}, tmp_path)
    assert (done.returncode, "the file is missing" in done.stdout) == (1, True), done.stderr
    assert (tmp_path / "clearport.md").read_text() == done.stdout


def judged(folder: Path, bundle: Bundle | None, *asked: str) -> str:
    """What pytest prints of a file with these assertions, one test for each."""
    bodies = (f"def test_{i}(clearport_bundle): clearport_bundle.{said}\n" for i, said in enumerate(asked))
    (folder / "test_mine.py").write_text("".join(bodies))
    words = ["-p", "no:clearport", "-p", "clearport.pytest_plugin", "-p", "no:cacheprovider", "-q", "--rootdir", "."]
    line = [sys.executable, "-m", "pytest", *words, *(["--clearport-bundle", str(bundle.folder)] if bundle else [])]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_plugin_is_registered_and_judges(int8_pair: Bundle, tmp_path: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert scripts == {"clearport": "clearport.pytest_plugin"}
    near, nearer = ("assert_psnr('tflite/int8', at_least=30)", "assert_psnr('tflite/int8', at_least=200)")
    said = judged(tmp_path, int8_pair, "assert_files()", near, nearer, "assert_parity('coreml/int8')")
    assert "2 failed, 2 passed" in said, said
    assert "dB to the network, expected at least 200" in said
    assert "no artifact coreml/int8" in said
    assert "which bundle? --clearport-bundle FOLDER" in judged(tmp_path, None, "assert_files()")


@pytest.mark.slow
def test_the_plugin_judges_parity_and_latency(int8_pair: Bundle, tmp_path: Path) -> None:
    fast, faster = (f"assert_latency_ratio('tflite/int8', at_most={most})" for most in ("50", "1e-6"))
    said = judged(tmp_path, int8_pair, "assert_parity('tflite/int8')", fast, faster)
    assert "1 failed, 2 passed" in said, said
    assert "of the network's time (95 %:" in said


def test_what_files_say_of_themselves_is_no_markup() -> None:
    text = job_summary(
        "a|b", [Check("x", False, "<img>\n| a `b` | [c](d)", group="*"), Check("y", None), Check("z", True)]
    )
    assert text.splitlines()[0] == r"## a\|b"
    assert text.splitlines()[2] == "❌ 1 of 3 checks failed, 1 could not be made here"
    assert text.splitlines()[6] == r"| ❌ **failed** | \* | x | \<img\> \| a \`b\` \| \[c\](d) |"
    assert text.splitlines()[8].startswith("| – not made | ")


def commands_of_the_skill() -> list[str]:
    return re.findall(r"^ *(clearport .+)$", SKILL.read_text(), flags=re.MULTILINE)


def test_every_command_of_the_skill_is_one() -> None:
    """Parsed by the real parser, which refuses unknown commands and options."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    lines = commands_of_the_skill()
    assert len(lines) >= 10
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])[1:]
        command = group.commands[words[0]]  # type: ignore[attr-defined]
        command.make_context(words[0], words[1:])
    head = yaml.safe_load(SKILL.read_text().split("---")[1])
    assert head["name"] == SKILL.parent.name
    assert len(head["description"]) <= 1024


@pytest.mark.slow
def test_the_commands_of_the_skill_do_what_it_says(
    int8_pair: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those after the export, on another bundle than the one that it names."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(int8_pair.folder, tmp_path / "out/my")
    shutil.copy(int8_pair.folder / "goldens/input.png", tmp_path / "photo.png")
    there = {"/srv/networks": str(tmp_path / "store"), "my@1.0.0": "ncnet@1.0.0", "tflite/fp32": "onnxruntime/int8"}
    there["my_int8.tflite"] = "ncnet_x3_int8.tflite"
    run = ("list", "verify", "run", "compare", "push", "pull", "kit", "inspect out")
    lines = [line for line in commands_of_the_skill() if line.removeprefix("clearport ").startswith(run)]
    assert len(lines) == len(run)
    for line in lines:
        for said, meant in there.items():
            line = line.replace(said, meant)  # noqa: PLW2901
        done = called(*shlex.split(line)[1:])
        assert done.code == 0, f"{line}: {done.err}"
    assert (tmp_path / "restored.png").is_file()
    assert [a.key for a in Bundle.load(tmp_path / "app/my").artifacts] == ["tflite/int8"]
