"""Broken and hostile files: an immediate error that names the file, without following any reference in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from clearport.errors import BadInput
from clearport.export.from_onnx import wire
from clearport.export.from_onnx.plain import plain
from clearport.export.from_onnx.read import read
from clearport.pipeline.sources.contract import Contract
from clearport.pipeline.sources.onnx_file import onnx_source
from tests.export.from_onnx.files import given, model, node, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RELU = [node("Relu", "x", "y")]
ONE = {"c": np.ones((1, 3, 1, 1), np.float32)}
ADD = [node("Add", "x c", "y")]


def changed(change: Callable[[onnx.TensorProto], Any]) -> onnx.ModelProto:
    made = model(ADD, 20, ONE)
    change(made.graph.initializer[0])
    return made


def beside(location: str, **told: str) -> onnx.ModelProto:
    """A model whose constant lies in a file beside it."""

    def move(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": location, **told}.items():
            tensor.external_data.add(key=key, value=value)

    return changed(move)


def typed(tensor: onnx.TensorProto) -> None:
    tensor.float_data.extend([1.0, 2.0, 3.0])


def two_kinds(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    typed(tensor)
    tensor.int32_data.extend([1, 2, 3])


def huge(tensor: onnx.TensorProto) -> None:
    tensor.dims[0] = 1 << 40


def negative(tensor: onnx.TensorProto) -> None:
    tensor.dims[0] = -1


def short(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-4]


def strange(tensor: onnx.TensorProto) -> None:
    tensor.data_type = 4242


def body(*nodes: onnx.NodeProto, name: str = "inner") -> onnx.GraphProto:
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)]
    return helper.make_graph(list(nodes), name, [], outputs)


WRONG: dict[str, tuple[onnx.ModelProto, str]] = {
    "both": (changed(typed), "'c': it has both raw data and float_data"),
    "two kinds": (changed(two_kinds), "it has both float_data and int32_data"),
    "huge": (changed(huge), "more than 2 GiB"),
    "negative": (changed(negative), "negative side"),
    "short": (changed(short), "it has 8 bytes, and its shape 1x3x1x1 asks for 12"),
    "strange": (changed(strange), "number format is 4242"),
    "circle": (
        model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a", "y")], 20),
        "form a cycle: 'a', 'b'",
    ),
    "nothing writes": (model([node("Add", "x b", "y")], 20), "Add 'y' reads 'b', which nothing writes"),
    "no output": (model([node("Relu", "x", "z")], 20), "nothing writes its output 'y'"),
    "written twice": (model([node("Relu", "x", "y"), node("Abs", "x", "y")], 20), "'y' is written twice"),
    "unknown operator": (model([node("Frobnicate", "x", "y")], 20), "No Op registered for Frobnicate"),
    "climbs": (beside("../secret"), "outside of the folder of the model"),
    "climbs later": (beside("a/../../secret"), "outside of the folder of the model"),
    "absolute": (beside("/etc/hostname"), "outside of the folder of the model"),
    "drive": (beside("C:/secret"), "outside of the folder of the model"),
    "no file": (beside("weights.bin"), "no such file beside the model"),
    "no name": (beside(""), "which is no file name"),
    "offset": (beside("here.bin", offset="-4"), "offset of its data is '-4'"),
    "far": (beside("here.bin", offset="100"), "here.bin ends before its data do"),
    "long": (beside("here.bin", length="9999"), "it has 9,999 bytes in here.bin"),
    "batch": (model(RELU, 20, shape=(4, 3, 8, 8)), "has batch size 4"),
    "empty": (model(RELU, 20, shape=(1, 3, 0, 8)), "the empty shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_reported(name: str, tmp_path: Path) -> None:
    made, said = WRONG[name]
    (tmp_path / "here.bin").write_bytes(b"\0" * 16)
    with pytest.raises(BadInput, match=r"given\.onnx") as told:
        plain(given(made, tmp_path))
    assert said in str(told.value)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(BadInput, match="leads out of the folder"):
        given(beside("weights.bin"), folder)


def test_data_beside_the_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 8 + np.float32([1, 2, 3]).tobytes())
    found = given(beside("weights.bin", offset="8", length="12"), tmp_path)
    assert numpy_helper.to_array(found.model.graph.initializer[0]).ravel().tolist() == [1, 2, 3]
    assert found.model.graph.initializer[0].data_location == onnx.TensorProto.DEFAULT


def test_all_unsupported_operators_are_reported_together(tmp_path: Path) -> None:
    loop = helper.make_node("Loop", ["", "", "x"], ["a"], name="steps", body=body(node("Relu", "x", "q")))
    nodes = [
        loop,
        helper.make_node("NhwcMaxPool", ["a"], ["b"], name="fused", domain="com.microsoft"),
        node("RandomNormalLike", "b", "c", name="noise"),
        node("NonZero", "c", "d", name="where"),
        node("SequenceConstruct", "d", "e", name="list"),
        node("Relu", "x", "y"),
    ]
    with pytest.raises(BadInput) as told:
        given(model(nodes, 20, domains=["com.microsoft"]), tmp_path)
    for layer, what in (
        ("Loop 'steps'", "unroll it"),
        ("NhwcMaxPool 'fused'", "an operator of com.microsoft"),
        ("RandomNormalLike 'noise'", "random numbers"),
        ("NonZero 'where'", "depends on the picture"),
        ("SequenceConstruct 'list'", "lists"),
    ):
        assert layer in str(told.value)
        assert what in str(told.value)


def test_functions_that_call_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    functions = [
        helper.make_function(
            "mine", name, ["p"], ["q"], [helper.make_node(other, ["p"], ["q"], domain="mine")], imports
        )
        for name, other in (("one", "two"), ("two", "one"))
    ]
    made = model(
        [helper.make_node("one", ["x"], ["y"], domain="mine")], 20, functions=functions, domains=["mine"], ir_version=9
    )
    with pytest.raises(BadInput, match="call each other recursively: one, two"):
        given(made, tmp_path)


def test_nodes_in_another_order_are_sorted(tmp_path: Path) -> None:
    nodes = [node("Relu", "b", "y"), node("Abs", "x", "a"), node("Neg", "a", "b")]
    found = given(model(nodes, 20), tmp_path)
    assert [n.op_type for n in found.model.graph.node] == ["Abs", "Neg", "Relu"]


@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x08\x07\x3a\xff\xff\xff\xff\x0f", bytes(range(256)) * 40])
def test_files_that_are_not_models_are_reported(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "given.onnx"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"given\.onnx: not an ONNX model"):
        read(path)


def test_a_truncated_file_is_reported(tmp_path: Path) -> None:
    path = save(model(ADD, 20, ONE), tmp_path / "given.onnx")
    data = path.read_bytes()
    for length in range(4, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(BadInput, match=r"given\.onnx"):
            read(path)


def test_a_file_of_very_many_nodes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "given.onnx"
    one = b"\x0a\x04\x22\x02Id"  # field 1 of GraphProto: a node whose operator is "Id"
    graph = one * 5_000_000  # 30 MB; parsed it would take gigabytes
    length, head = len(graph), b""
    while length:
        head, length = head + bytes([length & 0x7F | (0x80 if length > 0x7F else 0)]), length >> 7
    path.write_bytes(b"\x08\x0a\x3a" + head + graph)
    began = time.process_time()
    with pytest.raises(BadInput, match="more than 20,000 operators"):
        read(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile"])
def test_values_that_no_memory_holds_are_refused_before_anything_is_run(op: str, tmp_path: Path) -> None:
    """Three numbers in the file, 40 GB while it runs."""
    shape = np.array([1, 1, 100_000, 100_000] if op != "Tile" else [1, 1, 20_000, 20_000], np.int64)
    nodes = {
        "ConstantOfShape": [node("ConstantOfShape", "n", "a"), node("ReduceMax", "a", "b"), node("Add", "x b", "y")],
        "Expand": [node("ReduceMean", "x", "m"), node("Expand", "m n", "y")],
        "Tile": [node("Tile", "x n", "y")],
    }[op]
    path = save(model(nodes, 17, {"n": shape}), tmp_path / "given.onnx")
    with pytest.raises(BadInput, match=r"too large for memory"):
        onnx_source(path, "given", Contract(), 1)


def test_graphs_within_graphs_end_somewhere(tmp_path: Path) -> None:
    inner = body(node("Relu", "x", "q" * 80))
    for depth in range(wire.MOST_DEPTH + 2):
        branch = helper.make_node(
            "If", ["x"], [f"v{depth}"], then_branch=inner, else_branch=body(node("Relu", "x", "z"))
        )
        inner = body(branch, name=f"g{depth}")
    nodes = [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=body(node("Relu", "x", "z")))]
    with pytest.raises(BadInput, match="subgraphs are nested"):
        given(model(nodes, 20), tmp_path)
