"""The worked examples of CONTRIBUTING.md are true: in a copy of the tree with its files added, they work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clearport.runtime import overflow

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
TINY, ARC = (f"models/networks/super_resolution/{name}.py" for name in ("tiny", "arc"))
"""The network of the page, and the same with the operator of the page."""
EXAMPLE = re.compile(r"<!-- example: ([\w/]+\.py) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's packages, with the files of the page in their folders."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("core", "models", "export", "quantize", "runtime", "reports", ".typing"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True)  # with what is compiled
    found = dict(EXAMPLE.findall(PAGE.read_text()))
    assert set(found) == {TINY, "core/operators/trigonometry.py", "export/text/target.py"}
    bounded = "255.0 * torch.atan(self.head(image / 255.0))"
    for old, new in (("tiny", "arc"), ("Tiny", "Arc"), ("torch.relu(self.head(image))", bounded)):
        assert old in found[TINY]
        found[ARC] = found.get(ARC, found[TINY]).replace(old, new)
    for name, text in found.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    return copy


NOTING = """import atexit, sys
natives = ("onnxruntime", "openvino", "coremltools", "ai_edge_litert", "ncnn", "tensorflow")
atexit.register(lambda: print("\\nloaded: " + ", ".join(name for name in natives if name in sys.modules), end=""))
from clearport.cli.app import main
main()"""
"""The command line; behind what it prints stands which runtimes and converters its process loaded."""


def python(tree: Path, *words: str | Path) -> str:
    """What a Python that imports the copy prints."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(tree / ".typing")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_newcomers_are_listed(tree: Path) -> None:
    listed = json.loads(python(tree, "-m", "clearport", "list", "--json"))
    assert "tiny" in {network["name"] for network in listed["networks"]}
    assert "text" in {target["name"] for target in listed["targets"]}


FRESH = """import sys, torch
from pathlib import Path
from clearport.models import weights
from clearport.registry import NETWORKS
for name in ("tiny", "arc"):
    torch.manual_seed(0)
    weights.save(Path(sys.argv[1], f"{name}.safetensors"), NETWORKS.get(name).build(2), name, 2, {})"""


@pytest.fixture(scope="module")
def fresh(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of both networks."""
    folder = tmp_path_factory.mktemp("fresh")
    python(tree, "-c", FRESH, folder)
    return folder


def assert_proven(manifest: dict[str, Any]) -> None:
    """Every file but that of the target without a runner, and int8 .ort files on a CPU whose int8 sums overflow."""
    unproven = [a for a in manifest["artifacts"] if a["target"] != "text" and not a["parity"].get("passed")]
    overflowing = {("int8", "ort")} if overflow.onnxruntime_does() else set()
    assert {(a["precision"], a["variant"]) for a in unproven} <= overflowing


def exported(tree: Path, name: str, fresh: Path, folder: Path, *options: str | Path) -> dict[str, Any]:
    """The manifest of a network with fresh weights."""
    place = fresh / f"{name}.safetensors"
    line = ("-c", NOTING, "export", name, "--out", folder / "out", "--size", "16x24", "--no-bench", "--quiet")
    said, _, loaded = python(tree, *line, *options, "--json", "--weights", place).rpartition("\nloaded: ")
    assert loaded == "", "the main process loads PyTorch and no other runtime or converter"
    manifest: dict[str, Any] = json.loads(said)
    return manifest


def test_the_network_of_the_page_is_exported_to_every_target(tree: Path, fresh: Path, tmp_path: Path) -> None:
    manifest = exported(tree, "tiny", fresh, tmp_path, "--precision", "fp32")
    artifacts = {a["target"]: a for a in manifest["artifacts"]}
    everywhere = {"text", "tflite", "onnxruntime", "openvino", "coreml", "ncnn"}
    assert set(artifacts) - {"coreai"} == everywhere
    assert artifacts["text"]["parity"]["reason"] == "clearport has no runner for text files"
    assert (tmp_path / "out" / artifacts["text"]["path"]).read_text().count("Conv") == 2
    assert_proven(manifest)


def test_the_operator_of_the_page_is_exported_to_every_target_with_a_rule(
    tree: Path, fresh: Path, few_photos: Path, tmp_path: Path
) -> None:
    options = ("--precision", "fp32,int8", "--calibration", few_photos)
    manifest = exported(tree, "arc", fresh, tmp_path, *options)
    made = {(a["target"], a["precision"]) for a in manifest["artifacts"]}
    both = {(target, precision) for target in ("onnxruntime", "openvino", "coreml") for precision in ("fp32", "int8")}
    assert made == both | {("text", "fp32"), ("ncnn", "fp32")}
    assert_proven(manifest)
    skipped = [each["reason"] for each in manifest["skipped"] if each["what"].startswith("tflite")]
    assert skipped
    assert all("operator Atan of layer" in reason for reason in skipped)


def test_the_pages_name_the_files_that_there_are() -> None:
    text = PAGE.read_text() + (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:core|models|export|quantize|runtime|reports|device_tests)/[\w/]+\.\w+)`", text))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
