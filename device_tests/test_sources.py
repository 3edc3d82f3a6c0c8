"""Networks of the user's, end to end: a module, its exported program and its ONNX file become proven bundles."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import clearport
from clearport.bundle.folder import Bundle
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchRequest
from clearport.pipeline.eval import evaluate_bundle
from clearport.pipeline.evaluation.rows import EvalRequest
from clearport.pipeline.run import RunRequest, restore_picture
from clearport.pipeline.verify import verify_bundle

SIZE = "32x48"
TARGETS = ("onnxruntime", "tflite")


class Net(nn.Module):
    """A small network of somebody else's: batch normalization, a residual, twice the size, 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.tail = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.norm(self.head(image)))
        larger = nn.functional.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)
        restored: torch.Tensor = (larger + 0.1 * nn.functional.pixel_shuffle(self.tail(features), 2)).clamp(0, 1)
        return restored


def network() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def as_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("given") / "theirs.onnx"
    axes = {"input.1": {0: "n", 2: "h", 3: "w"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, on itself
        torch.onnx.export(
            network(),
            (torch.rand(1, 3, 32, 48),),
            path,
            dynamo=False,
            opset_version=13,
            input_names=["input.1"],
            dynamic_axes=axes,
        )
    return path


@pytest.fixture(scope="module")
def of_file(as_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "onnx"
    return clearport.export(str(as_file), out, size=SIZE, targets=TARGETS, precisions=("fp32", "int8"), measure=False)


@pytest.fixture(scope="module")
def of_module(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "module"
    return clearport.export(network(), out, size=SIZE, targets=("tflite",), precisions=("fp32", "int8"), measure=False)


def test_an_onnx_file_is_exported_and_proven(of_file: Bundle, as_file: Path) -> None:
    assert of_file.passed, of_file.manifest.failures()
    model = of_file.manifest.model
    assert (model.name, model.scale, model.halo, model.reference) == ("theirs", 2, 2, "network.onnx")
    assert {(a.target, a.precision) for a in of_file.artifacts} == {
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("tflite", "fp32"),
        ("tflite", "int8"),
    }
    assert model.card is not None
    assert model.card["source"].startswith("theirs.onnx, opset 13, by pytorch")
    assert of_file.artifacts[0].inputs[0].name == "input_1"


def test_a_module_is_exported_and_proven(of_module: Bundle) -> None:
    assert of_module.passed, of_module.manifest.failures()
    manifest = of_module.manifest
    assert (manifest.model.name, manifest.model.reference, manifest.baseline.runtime) == ("net", "network.pt2", "torch")
    assert (of_module.folder / "network.pt2").is_file()


def test_both_ways_give_the_same_network(of_module: Bundle, of_file: Bundle) -> None:
    one, other = (load_rgb(b.path(b.golden("float"))).astype(int) for b in (of_module, of_file))
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("name", ["of_module", "of_file"])
def test_bundles_are_verified_without_the_user_s_code(name: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    checks = verify_bundle(bundle.folder)
    assert not [check for check in checks if check.passed is False]
    assert [check.passed for check in checks if check.group == bundle.manifest.model.reference] == [True]


@pytest.mark.slow
def test_another_network_in_the_bundle_is_noticed(of_file: Bundle, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "changed"
    shutil.copytree(of_file.folder, folder)
    path = folder / "network.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    checks = verify_bundle(folder)
    assert any("network.onnx" in check.message for check in checks if check.passed is False)


@pytest.mark.parametrize("name", ["of_module", "of_file"])
def test_pictures_of_any_size_are_restored_in_tiles(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    photo = np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)
    save_png(tmp_path / "photo.png", photo)
    done = restore_picture(RunRequest(bundle.folder, (tmp_path / "photo.png",), tmp_path / "out.png", precision="fp32"))
    assert (done.width, done.height) == (200, 140)
    assert done.tiles > 1
    with torch.inference_mode():
        whole = network()(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(load_rgb(tmp_path / "out.png") - np.rint(whole)).max() <= 1


@pytest.mark.slow
def test_bench_and_eval_need_no_user_code(of_module: Bundle, tmp_path: Path) -> None:
    outcome = bench_bundle(
        BenchRequest(of_module.folder, targets=("tflite",), precisions=("fp32",), runs=6, seconds=0.1)
    )
    assert {row.artifact for row in outcome.record.rows} >= {"pytorch", "tflite/fp32"}
    generator = np.random.default_rng(0)
    for number in range(2):
        small = generator.integers(0, 256, (32, 48, 3), dtype=np.uint8)
        save_png(tmp_path / "data" / f"{number}_LR.png", small)
        save_png(tmp_path / "data" / f"{number}_HR.png", small.repeat(2, axis=0).repeat(2, axis=1))
    judged = evaluate_bundle(EvalRequest(folder=of_module.folder, data=tmp_path / "data", targets=("tflite",)))
    assert judged.images == 2
    assert judged.passed


@pytest.mark.slow
def test_an_exported_program_is_taken_as_a_module_is(of_module: Bundle, tmp_path: Path) -> None:
    program = of_module.folder / "network.pt2"
    again = clearport.export(
        str(program), tmp_path / "again", targets=("onnxruntime",), precisions=("fp32",), measure=False
    )
    assert again.passed
    assert again.manifest.model.size == SIZE


def quantized(path: Path) -> Path:
    """A file in the QDQ form with scales of its own: a convolution, a ReLU that its 8 bits do, another convolution."""
    generator = np.random.default_rng(0)
    shapes = {"k": (8, 3, 3, 3), "l": (3, 8, 3, 3)}
    scales = {"xs": 1 / 255, "ks": 0.002, "as": 0.006, "ls": 0.001, "ys": 1 / 255}
    constants = {
        **{name: generator.integers(-100, 101, shape).astype(np.int8) for name, shape in shapes.items()},
        **{name: np.float32(value) for name, value in scales.items()},
        "u": np.uint8(0),
        "i": np.int8(0),
    }
    nodes = [
        *pair("x", "xs", "u", "b"),
        helper.make_node("DequantizeLinear", ["k", "ks", "i"], ["kernel"]),
        helper.make_node("Conv", ["b", "kernel"], ["c"], pads=[1] * 4),
        *pair("c", "as", "u", "d"),
        helper.make_node("DequantizeLinear", ["l", "ls", "i"], ["kernel2"]),
        helper.make_node("Conv", ["d", "kernel2"], ["e"], pads=[1] * 4),
        helper.make_node("Add", ["e", "b"], ["f"]),
        *pair("f", "ys", "u", "y"),
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 32, 48]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def pair(source: str, scale: str, zero: str, result: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{result}.whole"]),
        helper.make_node("DequantizeLinear", [f"{result}.whole", scale, zero], [result]),
    ]


def test_a_quantized_file_is_exported_with_its_own_scales(tmp_path: Path) -> None:
    path = quantized(tmp_path / "rounded.onnx")
    bundle = clearport.export(str(path), tmp_path / "own", targets=("tflite",), measure=False)
    assert bundle.passed, bundle.manifest.failures()
    assert {a.precision for a in bundle.artifacts} == {"int8"}
    assert all("--requantize" in skipped.reason for skipped in bundle.manifest.skipped if "fp" in skipped.what)
    near = [report for a in bundle.artifacts for report in a.parities if report.reference == "ONNX file"]
    assert near
    assert all(report.psnr_db is None or report.psnr_db > 60 for report in near)
    assert bundle.manifest.quantization is not None
    assert bundle.manifest.quantization.calibrator == "the scales of the file"


@pytest.mark.slow
def test_requantize_takes_it_back_to_float(tmp_path: Path) -> None:
    path = quantized(tmp_path / "rounded.onnx")
    bundle = clearport.export(
        str(path), tmp_path / "anew", targets=("onnxruntime",), precisions=("fp32",), requantize=True, measure=False
    )
    assert bundle.passed, bundle.manifest.failures()
    assert {a.precision for a in bundle.artifacts} == {"fp32"}
