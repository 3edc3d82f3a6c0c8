"""Files on a device: their paths, checksums, and removal."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clearport.disk.files import digest
from clearport.errors import RuntimeFailure
from clearport.runtime.devices.device import DeviceLost
from clearport.runtime.devices.remote.shell import Outcome
from clearport.runtime.devices.remote.stage import DeviceFull, Stage
from tests.runtime.devices.remote.local_shell import LocalShell


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A file with an awkward name, and a folder."""
    file = tmp_path / "it's a $file (1).onnx"
    file.write_bytes(bytes(range(256)) * 500)
    folder = tmp_path / "model.openvino"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.xml").write_text("<net/>")
    (folder / "deep" / "model.bin").write_bytes(b"\0\r\n\n" * 1000)
    return {"file": file, "folder": folder}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_pushed_files_are_stored_by_digest_and_removed_at_the_end(
    tmp_path: Path, files: dict[str, Path], kind: str
) -> None:
    device = tmp_path / "new" / "device cache"
    with Stage(LocalShell(), str(device)) as stage:
        place = Path(stage.put(files[kind]))
        assert place == device / digest(files[kind]) / files[kind].name
        assert digest(place) == digest(files[kind])
        assert [p.name for p in device.iterdir()] == [place.parent.name]  # no temporary folder is left
    assert not (tmp_path / "new").exists()


def test_existing_files_are_neither_pushed_nor_removed(tmp_path: Path, files: dict[str, Path]) -> None:
    device, shell = tmp_path / "device", LocalShell()
    with Stage(shell, str(device), keep=True) as stage:
        kept = Path(stage.put(files["file"]))
    assert len(shell.pushed) == 1
    with Stage(shell, str(device)) as stage:
        assert stage.put(files["file"]) == str(kept)
        other = stage.put(files["folder"])
        stage.remove([str(kept), other])
        assert kept.exists()
        assert not Path(other).exists()
    assert len(shell.pushed) == 3
    assert [p.name for p in device.iterdir()] == [kept.parent.name]


def test_a_worker_that_still_tidies_up_is_waited_for(tmp_path: Path) -> None:
    device = tmp_path / "device"
    with Stage(LocalShell(), str(device)):
        own = device / "worker-temporary"
        own.mkdir()
        threading.Timer(1.5, own.rmdir).start()
    assert not device.exists()


def test_each_artifact_costs_few_commands(tmp_path: Path, files: dict[str, Path]) -> None:
    shell = LocalShell()
    with Stage(shell, str(tmp_path / "device")) as stage:
        before = len(shell.commands)
        stage.put(files["folder"])
        assert len(shell.commands) - before == 2
        stage.put(files["folder"])
        assert len(shell.commands) - before == 2


def test_a_file_that_arrives_spoilt_is_refused_and_leaves_nothing(tmp_path: Path, files: dict[str, Path]) -> None:
    class Spoiling(LocalShell):
        def push(self, local: Path, remote: str) -> None:
            Path(remote).write_bytes(local.read_bytes()[:-1] + b"x")

    device = tmp_path / "device"
    with Stage(Spoiling(), str(device)) as stage:
        with pytest.raises(RuntimeFailure, match=r"\.onnx arrived with a wrong checksum"):
            stage.put(files["file"])
        assert list(device.iterdir()) == []


def test_a_push_that_breaks_off_leaves_nothing(tmp_path: Path, files: dict[str, Path]) -> None:
    class Breaking(LocalShell):
        def push(self, local: Path, remote: str) -> None:
            Path(remote).write_bytes(b"half")
            raise RuntimeFailure("refused")

    device = tmp_path / "device"
    with Stage(Breaking(), str(device)) as stage:
        with pytest.raises(RuntimeFailure, match="refused"):
            stage.put(files["folder"])
        assert list(device.iterdir()) == []


class Small(LocalShell):
    """A device whose ``df`` says what is left, in KiB: first the one, then the other."""

    def __init__(self, *left_kib: int) -> None:
        super().__init__()
        self.left_kib = list(left_kib)

    def run(self, command: str, timeout_s: float) -> Outcome:
        done = super().run(command, timeout_s)
        if "df -Pk" not in command or not done.out:
            return done
        row = f"/dev/root 999999 5 {self.left_kib.pop(0)} 97% /data\n"
        return Outcome(done.code, "Filesystem 1024-blocks Used Available Capacity Mounted on\n" + row, done.err)


def test_room_is_looked_at_before_a_push(tmp_path: Path, files: dict[str, Path]) -> None:
    shell = Small(1100, 1100)
    with Stage(shell, str(tmp_path / "device")) as stage:
        with pytest.raises(
            DeviceFull, match=r"test:here is full: .*\.onnx needs 1\.1 MiB, and .*device has 1\.1 MiB free"
        ):
            stage.put(files["file"])
        assert list((tmp_path / "device").iterdir()) == []
    assert shell.pushed == []


def test_a_device_that_fills_up_meanwhile_is_reported(tmp_path: Path, files: dict[str, Path]) -> None:
    class Filling(Small):
        def push(self, local: Path, remote: str) -> None:
            raise RuntimeFailure("write failed: No space left")

    with (
        Stage(Filling(50_000, 12), str(tmp_path / "device")) as stage,
        pytest.raises(DeviceFull, match=r"became full while .* was pushed: 0\.0 MiB left .*\(write failed: No space"),
    ):
        stage.put(files["file"])


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DeviceLost, match=r"test:here: the folder .*/file/cache cannot be used: mkdir"),
        Stage(LocalShell(), str(tmp_path / "file" / "cache")),
    ):
        pass


@pytest.mark.parametrize("folder", ["cache", "/", ""])
def test_only_a_folder_below_the_root_can_be_a_stage(folder: str) -> None:
    with pytest.raises(ValueError, match="not a folder below the root"):
        Stage(LocalShell(), folder)


def test_the_room_of_a_real_file_system_is_read(tmp_path: Path) -> None:
    with Stage(LocalShell(), str(tmp_path / "device")) as stage:
        free = stage.free_bytes()
    assert free is not None
    assert free > 1 << 20
