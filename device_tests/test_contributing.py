"""The worked examples of CONTRIBUTING.md are true: in a copy of the tree with its files added, they work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
EXAMPLE = re.compile(r"<!-- example: ([\w/]+\.py) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's packages, with the files of the page in their folders."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("core", "models", "export", "quantize", "runtime", "reports", ".typing"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    found = dict(EXAMPLE.findall(PAGE.read_text()))
    assert set(found) == {"models/networks/super_resolution/tiny.py", "export/text/target.py"}
    for name, text in found.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    return copy


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


def test_the_network_of_the_page_is_exported_to_every_target(tree: Path, tmp_path: Path) -> None:
    fresh = "from clearport.models import weights; from clearport.registry import NETWORKS; from pathlib import Path; "
    fresh += (
        f"weights.save(Path({str(tmp_path / 'tiny.safetensors')!r}), NETWORKS.get('tiny').build(2), 'tiny', 2, {{}})"
    )
    python(tree, "-c", fresh)
    line = ("-m", "clearport", "export", "tiny", "--out", tmp_path / "out", "--size", "16x24", "--no-bench", "--quiet")
    manifest = json.loads(python(tree, *line, "--json", "--weights", tmp_path / "tiny.safetensors"))
    artifacts = {a["target"]: a for a in manifest["artifacts"]}
    assert set(artifacts) == {"text", "tflite", "onnxruntime", "openvino", "coreml", "ncnn"}
    assert artifacts["text"]["parity"]["reason"] == "no runner of clearport runs text files"
    assert (tmp_path / "out" / artifacts["text"]["path"]).read_text().count("Conv") == 2
    assert all(a["parity"]["passed"] for a in manifest["artifacts"] if a["target"] != "text")


def test_the_pages_name_the_files_that_there_are() -> None:
    text = PAGE.read_text() + (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:core|models|export|quantize|runtime|reports|device_tests)/[\w/]+\.\w+)`", text))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
