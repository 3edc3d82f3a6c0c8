"""Exported programs: round trip, without running code of a file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from clearport.errors import BadInput
from clearport.models import pt2


class Net(nn.Module):
    """A convolution, and no gradients within."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        restored: torch.Tensor = nn.functional.interpolate(self.conv(image), scale_factor=2.0).clamp(0, 1)
        return restored


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    sides = {2: 2 * torch.export.Dim("h", min=4, max=99), 3: 2 * torch.export.Dim("w", min=4, max=99)}
    return torch.export.export(Net().eval(), (torch.rand(1, 3, 16, 16),), dynamic_shapes=(sides,), strict=False)


@pytest.fixture(scope="module")
def theirs(program: torch.export.ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``torch.export.save`` writes it."""
    path: Path = tmp_path_factory.mktemp("programs") / "network.pt2"
    torch.export.save(program, path)
    return path


def test_a_program_is_read_as_it_was_written(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    path, image = tmp_path / "network.pt2", torch.rand(1, 3, 20, 32)
    pt2.save(path, program, ["image"], ["restored"])
    read, inputs, outputs = pt2.load(path)
    assert (inputs, outputs) == (("image",), ("restored",))
    assert torch.equal(read.module(check_guards=False)(image), program.module()(image))
    before = path.read_bytes()
    pt2.save(path, program, ["image"], ["restored"])
    assert path.read_bytes() == before
    assert str(Path.cwd()).encode() not in before
    assert b"test_pt2" not in before


def test_a_program_of_others_is_read(theirs: Path) -> None:
    read, inputs, _ = pt2.load(theirs)
    assert inputs == ()
    assert read.module(check_guards=False)(torch.rand(1, 3, 16, 16)).shape == (1, 3, 32, 32)


class Sums(nn.Module):
    """An equation among the arguments."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.einsum("b c h w, bchw -> bhw", image, image)


def test_equations_of_einsum_are_read(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 4, 4)
    torch.export.save(torch.export.export(Sums(), (image,), strict=False), tmp_path / "sums.pt2")
    read, _, _ = pt2.load(tmp_path / "sums.pt2")
    assert torch.equal(read.module(check_guards=False)(image), Sums()(image))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def rewritten(source: Path, target: Path, change: dict[str, Any]) -> Path:
    """The archive with some entries replaced: by bytes, or by what a function makes of their JSON."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        top = archive.namelist()[0].split("/")[0]
        for name in archive.namelist():
            found = change.pop(name.partition("/")[2], None)
            data = archive.read(name)
            if callable(found):
                data = json.dumps(found(json.loads(data))).encode()
            copy.writestr(name, data if found is None or callable(found) else found)
        for name, added in change.items():
            copy.writestr(f"{top}/{name}", added)
    return target


def trap(place: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Trap(place), buffer)
    return buffer.getvalue()


def test_a_trap_in_the_sample_inputs_is_not_sprung(theirs: Path, tmp_path: Path) -> None:
    """``torch.export.load`` unpickles them; here nobody needs them."""
    path = rewritten(theirs, tmp_path / "a.pt2", {"data/sample_inputs/model.pt": trap(tmp_path / "sprung")})
    pt2.load(path)
    assert not (tmp_path / "sprung").exists()


def with_target(word: str) -> Any:
    def change(model: dict[str, Any]) -> dict[str, Any]:
        model["graph_module"]["graph"]["nodes"][0]["target"] = word
        return model

    return change


def with_size(text: str) -> Any:
    def change(model: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps(model).replace(json.dumps(_some_size(model))[1:-1], text))  # type: ignore[no-any-return]

    return change


def _some_size(found: Any) -> str:
    return next(part["expr_str"] for part in _parts(found) if "expr_str" in part)


def _parts(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        return [found, *(part for value in found.values() for part in _parts(value))]
    return [part for value in found for part in _parts(value)] if isinstance(found, list) else []


def pickled(config: dict[str, Any]) -> dict[str, Any]:
    config["config"]["conv.weight"]["use_pickle"] = True
    return config


def named(model: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(model).replace('"image"', '"image): print(1"'))  # type: ignore[no-any-return]


MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
REFUSED = {
    "function": ({MODEL: with_target("torch.os.system")}, "its operator 'torch.os.system'"),
    "file": ({MODEL: with_target("torch.ops.aten.from_file.default")}, "its operator"),
    "builtin": ({MODEL: with_target("_operator.attrgetter")}, "its operator"),
    "expression": ({MODEL: with_size("__import__(1)")}, "no plain expression"),
    "power": ({MODEL: with_size("Pow(Integer(9), Integer(999999999))")}, "no plain expression"),
    "pickle": ({WEIGHTS: pickled}, "'weight_0' is a pickle"),
    "name": ({MODEL: named}, "no plain name"),
    "library": ({"data/aotinductor/model/model.so": b"\x7fELF"}, "compiled code"),
    "object": ({"data/constants/custom_obj_0": pickle.dumps(1)}, "neither a graph nor a tensor"),
    "tensor": ({"data/weights/weight_9.pt": pickle.dumps(1)}, "neither a graph nor a tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_content_that_would_need_trust_is_refused(name: str, theirs: Path, tmp_path: Path) -> None:
    change, said = REFUSED[name]
    path = rewritten(theirs, tmp_path / "given.pt2", dict(change))
    with pytest.raises(BadInput, match=r"given\.pt2") as told:
        pt2.load(path)
    assert said in str(told.value)


def test_guards_are_not_run(theirs: Path, tmp_path: Path) -> None:
    """They are Python code that ``ExportedProgram.module`` runs."""

    def guarded(model: dict[str, Any]) -> dict[str, Any]:
        model["guards_code"] = [f"Path('{tmp_path / 'sprung'}').touch()"]
        return model

    read, _, _ = pt2.load(rewritten(theirs, tmp_path / "a.pt2", {MODEL: guarded}))
    read.module(check_guards=False)(torch.rand(1, 3, 16, 16))
    assert not (tmp_path / "sprung").exists()
    assert not read._guards_code


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nothing", b"no archive"])
def test_files_that_are_not_archives_are_reported(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "given.pt2"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"given\.pt2: not an exported PyTorch program"):
        pt2.load(path)


def test_truncated_or_corrupted_archives_are_reported(theirs: Path, tmp_path: Path) -> None:
    data, path = theirs.read_bytes(), tmp_path / "given.pt2"
    for place in range(0, len(data), max(1, len(data) // 23)):
        path.write_bytes(data[:place])
        with pytest.raises(BadInput, match=r"given\.pt2"):
            pt2.load(path)
