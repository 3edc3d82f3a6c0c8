"""Lookup of the user's network by the form of its name, with errors that state the expected forms."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from clearport.base import Size
from clearport.errors import BadInput
from clearport.pipeline.sources.find import source_of
from clearport.pipeline.sources.request import ExportRequest

CODE = """
import torch
from torch import nn
import beside_it

class Net(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
    def forward(self, image):
        return self.norm(self.conv(image))
    def deploy(self):
        raise RuntimeError("only clearport's own networks are deployed")

class Gray(Net):
    def __init__(self):
        super().__init__(1)
        self.eval()

class Draws(nn.Module):
    def forward(self, image):
        return image + torch.randn_like(image)

class Pair(nn.Module):
    def forward(self, one, other, strength=1.0):
        return one + other

class Stepped(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(2, 3)
    def forward(self, image, step, whether):
        return image * self.table(step)[:, :, None, None] + whether.float()

class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 2, stride=2)
    def forward(self, image):
        return nn.functional.interpolate(self.conv(image), scale_factor=2) + image

def build():
    return Net().eval()

def fails():
    raise ValueError("no weights here")

def needs(path):
    return Net()

number = 7
net = Net().eval()
pair = (Pair(), (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)))
frames = (nn.ReLU().eval(), (torch.rand(1, 2, 3, 16, 24),))
stepped = (Stepped().eval(), (torch.rand(1, 3, 16, 16), torch.tensor([1]), torch.tensor(True)))
style = (nn.Linear(8, 4).eval(), (torch.rand(1, 8),))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("code")
    (folder / "beside_it.py").write_text("")
    (folder / "broken.py").write_text("import torch\nimport no_such_module_at_all\n")
    path = folder / "my_net.py"
    path.write_text(CODE)
    return path


def request(network: object, **options: object) -> ExportRequest:
    return ExportRequest(network, Path("nowhere"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("attribute", ["build", pytest.param("net", marks=pytest.mark.slow)])
def test_functions_and_modules_of_a_file(code: Path, attribute: str) -> None:
    found = source_of(request(f"{code}:{attribute}"))
    assert found.traits.name == "my_net"
    assert (found.traits.scale, found.traits.halo, found.traits.size_multiple) == (1, 1, 1)
    assert found.traits.inputs[0].shape == (1, 3, "H", "W")
    assert not found.own


def test_a_class_is_called_and_its_channels_are_found(code: Path) -> None:
    found = source_of(request(f"{code}:Gray"))
    assert found.traits.inputs[0].shape == (1, 1, "H", "W")
    assert found.traits.inputs[0].color == "Y"


def test_several_inputs_are_reported_with_an_example(code: Path) -> None:
    found = source_of(request(f"{code}:pair"))
    assert [spec.name for spec in found.traits.inputs] == ["one", "other"]


@pytest.mark.parametrize(
    ("attribute", "size", "span"), [("frames", Size(16, 24), (0.0, 1.0)), ("style", Size(1, 1), None)]
)
def test_networks_without_a_picture(code: Path, attribute: str, size: Size, span: tuple[float, float] | None) -> None:
    """Stacked frames, and a vector."""
    traits = source_of(request(f"{code}:{attribute}")).traits
    assert (traits.size, traits.whole_picture, traits.inputs[0].kind) == (size, True, "vector")
    assert traits.inputs[0].value_range == span


def test_the_multiple_of_sizes_is_measured(code: Path) -> None:
    assert source_of(request(f"{code}:Halves")).traits.size_multiple == 2


@pytest.mark.slow
def test_a_module_from_python(code: Path) -> None:
    found = source_of(request(nn.Conv2d(3, 12, 5, padding=2).eval(), size=Size(32, 32)))
    assert found.traits.halo == 2
    assert found.traits.outputs[0].kind == "map"


def test_whole_numbers_and_truths_are_inputs(code: Path) -> None:
    found = source_of(request(f"{code}:stepped", size=Size(16, 16)))
    step, whether = found.traits.inputs[1:]
    assert (step.dtype, step.kind, step.value_range) == ("float32", "scalar", (0.0, 1.0))
    graph = found.graph(Size(16, 16), lambda *_: None)  # which it compares with PyTorch
    assert [(spec.shape, spec.dtype) for spec in graph.inputs[1:]] == [((1,), "float32")] * 2
    assert whether.kind == "scalar"


WRONG = [
    (":Net", r"layer 'norm' \(BatchNorm2d\) is in training mode"),
    (":Draws", "draws random numbers"),
    (":Pair", r"accepts 2 inputs \(one, other\): give example tensors"),
    (":nothing", r"it has no 'nothing' \(it has: "),
    (":fails", r"ValueError: no weights here \(line 4\d\)"),
    (":needs", r"calling needs\(\) without arguments failed"),
    (":number", "expected a torch.nn.Module.*got int"),
    ("", "needs the name of the network"),
]


@pytest.mark.parametrize(("attribute", "said"), WRONG)
def test_errors_of_a_file_are_reported(code: Path, attribute: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        source_of(request(f"{code}{attribute}"))


def test_files_that_cannot_be_imported(code: Path) -> None:
    with pytest.raises(BadInput, match=r"importing it failed: ModuleNotFoundError: .*no_such_module_at_all"):
        source_of(request(f"{code.parent / 'broken.py'}:net"))
    with pytest.raises(BadInput, match="no such file"):
        source_of(request("missing.py:net"))
    with pytest.raises(BadInput, match="no such file"):
        source_of(request("missing.onnx"))


def test_a_folder_is_no_unknown_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundle").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="bundle: a folder; expected a network of 'clearport list'"):
        source_of(request("bundle"))


def test_other_words(code: Path) -> None:
    with pytest.raises(BadInput, match=r"expected a network of 'clearport list', FILE\.onnx"):
        source_of(request("weights/model.pth"))
    with pytest.raises(BadInput, match="did you mean 'ncnet'"):
        source_of(request("ncnett"))
    with pytest.raises(BadInput, match="--scale"):
        source_of(request(f"{code}:net", scale=2))


def test_external_parameters_are_reported() -> None:
    with pytest.raises(BadInput, match=r"is on meta.*call \.cpu\(\)"):
        source_of(request(nn.Conv2d(3, 3, 1, device="meta").eval()))
    with pytest.raises(BadInput, match=r"torch\.float64.*call \.float\(\)"):
        source_of(request(nn.Conv2d(3, 3, 1, dtype=torch.float64).eval()))


class Log(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.log(image - 0.5)


def test_a_network_that_computes_nan_is_refused_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(BadInput, match="contains NaN or infinity on noise in the range of its input"):
            source_of(request(Log().eval()))


@pytest.mark.parametrize("network", ["ncnet", nn.Conv2d(3, 3, 1).eval()])
def test_requantize_is_refused_for_what_is_no_file(network: str | nn.Module) -> None:
    with pytest.raises(BadInput, match="--requantize: for a quantized ONNX file"):
        source_of(ExportRequest(network=network, out=Path("out"), requantize=True))


def test_a_network_is_never_called_as_one_of_clearport_s(tmp_path: Path) -> None:
    from clearport.pipeline.sources.find import _name

    assert _name("ncnet") == "ncnet_own"
    assert _name("My Net (v2).final") == "my_net_v2_final"
    assert _name("...") == "network"


def test_a_file_that_onnx_runtime_cannot_load_is_named(tmp_path: Path) -> None:
    """A file with inconsistent sizes, as an exporter may write it, is bad input, not a failed check."""
    image, shape = onnx.TensorProto.FLOAT, (1, 3, 16, 16)
    more = onnx.numpy_helper.from_array(np.ones((1, 3, 16, 7), np.float32), "more")
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["image"], ["x"]), onnx.helper.make_node("Add", ["x", "more"], ["y"])],
        "wrong",
        [onnx.helper.make_tensor_value_info("image", image, shape)],
        [onnx.helper.make_tensor_value_info("y", image, shape)],
        [more],
    )
    path = tmp_path / "wrong.onnx"
    onnx.save(onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(BadInput, match=r"wrong\.onnx: .*ncompatible dimensions") as refused:
        source_of(request(str(path)))
    assert "network.onnx" not in str(refused.value)


def test_a_file_of_dynamic_sides_for_one_size_is_taken_at_that_size(tmp_path: Path) -> None:
    """As of networks with learned positions or a fixed mask, which exporters declare dynamic all the same."""
    image, shape = onnx.TensorProto.FLOAT, (1, 3, "h", "w")
    more = onnx.numpy_helper.from_array(np.ones((1, 3, 24, 40), np.float32), "more")
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Tanh", ["image"], ["x"]), onnx.helper.make_node("Add", ["x", "more"], ["y"])],
        "fixed",
        [onnx.helper.make_tensor_value_info("image", image, shape)],
        [onnx.helper.make_tensor_value_info("y", image, shape)],
        [more],
    )
    path = tmp_path / "fixed.onnx"
    onnx.save(onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    assert source_of(request(str(path), size=Size(24, 40))).traits.size == Size(24, 40)
    for size in ("own", Size(40, 24)):
        with pytest.raises(BadInput, match="give --size HEIGHTxWIDTH if it is for one size"):
            source_of(request(str(path), size=size))
