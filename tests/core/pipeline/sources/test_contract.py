"""Contracts of users' networks: reading, refusal if wrong, and precedence over measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from clearport.base import Size
from clearport.cli.told import told
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.pipeline.sources import contract, shown
from clearport.pipeline.sources.find import inspected, source_of
from clearport.pipeline.sources.request import ExportRequest
from clearport.protocols import no_progress

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32) / 9
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution at a fixed size, behind a mean and deviation that are not in the file."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x.1", "k"], ["y"], pads=[1] * 4)],
        "g",
        [helper.make_tensor_value_info("x.1", onnx.TensorProto.FLOAT, [1, 3, 24, 32])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 24, 32])],
        [numpy_helper.from_array(KERNEL, "k")],
    )
    path: Path = tmp_path_factory.mktemp("given") / "given.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def written(text: str, folder: Path) -> Path:
    path = folder / "given.toml"
    path.write_text(text)
    return path


def test_what_inspect_prints_is_a_contract_that_says_the_same(given: Path, tmp_path: Path) -> None:
    found = inspected(ExportRequest(str(given), tmp_path))
    assert found.traits.size == Size(24, 32)
    path = written(shown.text(found), tmp_path)
    again = inspected(ExportRequest(str(given), tmp_path, contract=path))
    assert again.traits == found.traits
    assert again.how["output range"] == "as the file or you say" or found.traits.outputs[0].value_range is None
    assert shown.values(found)["inputs"][0]["name"] == "x_1"


def test_what_is_said_is_believed(given: Path, tmp_path: Path) -> None:
    text = """
        name = "mine"
        task = "deraining"
        license = "MIT"
        paper = {title = "A paper", arxiv = "2001.00001"}
        [[inputs]]
        name = "x_1"
        range = [0, 255]
        [[outputs]]
        name = "y"
        kind = "picture"
        range = [0, 255]
        [tiles]
        halo = 9
        multiple = 8
        """
    traits = source_of(ExportRequest(str(given), tmp_path, contract=written(text, tmp_path))).traits
    assert (traits.name, traits.task, traits.license, traits.halo) == ("mine", "deraining", "MIT", 9)
    assert traits.size_multiple == 8
    assert traits.inputs[0].value_range == traits.outputs[0].value_range == (0, 255)
    assert traits.paper is not None
    assert traits.paper.title == "A paper"


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_mean_deviation_and_order_of_colors_become_part_of_the_network(given: Path, tmp_path: Path, color: str) -> None:
    said = told("", color, "", "0.4,0.5,0.6", "0.2,0.3,0.25")
    source = source_of(ExportRequest(str(given), tmp_path, told=said))
    graph = source.graph(Size(24, 32), no_progress)  # compares it with the file on plain pictures
    image = np.random.default_rng(1).random((1, 3, 24, 32), np.float32)
    ordered = image[:, ::-1] if color == "BGR" else image
    wanted = (ordered - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))

    (theirs,) = onnxruntime.InferenceSession(given).run(None, {"x.1": wanted.astype(np.float32)})
    (ours,) = graphs.session(graph.model).run(None, {graph.input.name: image})
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (graph.input.mean, graph.input.std, graph.input.color) == ((), (), "RGB")
    kept = source.keep(tmp_path)
    (again,) = onnxruntime.InferenceSession(kept.path).run(None, {"x_1": image})
    np.testing.assert_allclose(again, theirs, atol=1e-5)


WRONG = [
    ("halo = 3", "halo: Extra inputs are not permitted"),
    ("name = 'Not Plain'", "name: String should match"),
    ("[[inputs]]\nname = 'x_1'\nrange = [1]", "inputs.0.range"),
    ("[[inputs]]\nname = 'other'", r"names input 'other' \(available: x_1\)"),
    ("[[inputs]]\nname = 'x_1'\nrange = [1, 0]", "two ascending numbers"),
    ("[[inputs]]\nname = 'x_1'\nmean = [0.5]", "mean has 1 values for 3 channels"),
    ("[[inputs]]\nname = 'x_1'\nstd = [0, 1, 1]", "inputs.0.std.0"),
    ("task = 'cooking'", "task"),
    ("= 3", "not a TOML file"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_errors_of_a_contract_are_reported(text: str, said: str, given: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        source_of(ExportRequest(str(given), tmp_path, contract=written(text, tmp_path)))


def test_options_say_the_same(tmp_path: Path) -> None:
    said = told("deraining", "bgr", "0..255", "1,2,3", "")
    assert said.task == "deraining"
    assert (said.inputs[0].color, said.inputs[0].range, said.inputs[0].mean) == ("BGR", (0, 255), (1, 2, 3))
    assert said.outputs[0].range == (0, 255)
    assert told("", "", "", "", "") == contract.Contract()
    file = contract.read(written("task = 'other'\n[[inputs]]\nname = 'a'\nkind = 'picture'", tmp_path))
    both = contract.merged(file, said)
    assert both.task == "deraining"
    assert (both.inputs[0].name, both.inputs[0].kind, both.inputs[0].color) == ("a", "picture", "BGR")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("", "", "5..1", "", ""), "--range '5..1': expected two ascending numbers"),
        (("", "", "x", "", ""), "--range 'x'"),
        (("", "", "", "a,b", ""), "--mean 'a,b': expected comma-separated numbers"),
        (("", "PINK", "", "", ""), "--color"),
        (("cooking", "", "", "", ""), "--task"),
    ],
)
def test_invalid_options_are_reported(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        told(*options)


def test_networks_of_clearport_have_their_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leave the contract out"):
        source_of(ExportRequest("ncnet", tmp_path, told=told("", "BGR", "", "", "")))
    with pytest.raises(BadInput, match="clearport list ncnet"):
        inspected(ExportRequest("ncnet", tmp_path))


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [("", "0,0,0", "^--std: .*greater than 0"), ("inf,0,0", "", "^--mean: .*finite"), ("0,0,nan", "", "^--mean: ")],
)
def test_a_bad_channel_is_reported_by_the_name_of_its_option(mean: str, std: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        told("", "", "", mean, std)
