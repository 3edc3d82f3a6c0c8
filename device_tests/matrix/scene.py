"""A small matrix of files of the user's: one under two names, and one that is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FAST = """
targets = ["tflite", "ncnn"]
precisions = ["fp32"]

[models.tiny]
network = "tiny.onnx"

[models.again]
network = "tiny.onnx"

[models.loop]
network = "random.onnx"
"""
TIMES = {"matrix.json", "matrix.md", "matrix.html"}


def tiny(path: Path, *, draws: bool = False) -> None:
    """A convolution, or one with noise, which no target can express."""
    weights = np.random.default_rng(1).normal(0, 0.1, (3, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "w"], ["out"], pads=[1, 1, 1, 1])]
    if draws:
        nodes = [
            helper.make_node("RandomNormalLike", ["image"], ["noise"]),
            helper.make_node("Add", ["image", "noise"], ["out"]),
        ]
    sides = {"image": (1, 3, 16, 16), "out": (1, 3, 16, 16)}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sides.items()}
    stored = [] if draws else [numpy_helper.from_array(weights, "w")]
    graph = helper.make_graph(nodes, "tiny", [values["image"]], [values["out"]], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def laid_out(folder: Path, text: str = FAST) -> Path:
    """The file of the matrix, with its networks beside it."""
    folder.mkdir(exist_ok=True)
    tiny(folder / "tiny.onnx")
    tiny(folder / "random.onnx", draws=True)
    (folder / "zoo.toml").write_text(text)
    return folder / "zoo.toml"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a matrix that has no time of its making in it."""
    timed = {"manifest.json", "SHA256SUMS", "report.html", "report.md"}
    files = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.name not in timed
    }
