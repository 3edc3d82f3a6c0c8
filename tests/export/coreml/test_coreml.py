"""The Core ML target: written files, their metadata, and determinism."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Options, Size
from clearport.disk.files import digest
from clearport.errors import BadInput
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.runtime import pixels
from clearport.runtime.runners.milref import RUNNER

from .harness import RNG, TARGET, onnxruntime, photo, quantized, specification, upscaler

if TYPE_CHECKING:
    from clearport.base import Precision


@pytest.mark.parametrize(
    ("precision", "ios", "version"), [("fp32", 15, 6), ("fp16", 15, 6), ("int8-weights", 16, 7), ("int8", 17, 8)]
)
def test_both_variants_are_written_and_described(precision: Precision, ios: int, version: int, tmp_path: Path) -> None:
    graph = upscaler()
    tensor, image = TARGET.lower(target_graph(graph, quantized(graph, precision), precision), Options(), tmp_path)
    assert (tensor.key, image.key) == (f"coreml/{precision}/tensor", f"coreml/{precision}/image")
    assert tensor.path == tmp_path / f"tiny_x2_{precision}_tensor.mlpackage"
    assert tensor.inputs[0] == graph.input
    assert (image.inputs[0].shape, image.inputs[0].dtype, image.inputs[0].layout) == ((1, 10, 14, 3), "uint8", "NHWC")
    assert (image.outputs[0].shape, image.outputs[0].value_range) == ((1, 20, 28, 3), (0.0, 255.0))
    for artifact in (tensor, image):
        spec = specification(artifact.path)
        facts = spec.description.metadata.userDefined
        assert spec.specificationVersion == version
        assert facts["clearport.minimum_deployment_target"] == f"iOS{ios}"
        assert (facts["clearport.scale"], facts["clearport.precision"]) == ("2", precision)
        assert ("Neural Engine" in facts["clearport.note"]) == (precision in {"fp32", "int8"})
        assert artifact.sha256 == digest(artifact.path)
        assert artifact.tool_versions["coremltools"]
        assert spec.description.input[0].shortDescription.startswith("what to restore")


def test_nothing_is_left_in_the_folder_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """coremltools removes its package when a process exits, and not where one ends as workers do."""
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    TARGET.lower(target_graph(upscaler(), None, "fp32"), Options(), tmp_path)
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_a_network_of_the_zoo_names_its_paper_and_license(tmp_path: Path) -> None:
    known = export_graph(SPEC.build(3), SPEC, 3, Size(16, 16))
    artifact = TARGET.lower(target_graph(known, None, "fp16"), Options(), tmp_path)[0]
    shown = specification(artifact.path).description.metadata
    assert "https://arxiv.org/abs/2208.11609" in shown.author
    assert shown.license == "Apache-2.0"
    assert "super-resolution" in shown.shortDescription


@pytest.mark.parametrize("free", [False, True])
def test_pictures_are_rgb_at_both_ends(free: bool, tmp_path: Path) -> None:
    path = TARGET.lower(target_graph(upscaler(free=free), None, "fp16"), Options(), tmp_path)[1].path
    source, result = specification(path).description.input[0].type, specification(path).description.output[0].type
    for kind in (source, result):
        assert kind.WhichOneof("Type") == "imageType"
        assert kind.imageType.ColorSpace.Name(kind.imageType.colorSpace) == "RGB"
    if free:
        sides = source.imageType.imageSizeRange
        assert (sides.heightRange.lowerBound, sides.widthRange.upperBound) == (1, 4096)
        assert result.imageType.imageSizeRange.heightRange.upperBound == -1
    else:
        assert (source.imageType.height, source.imageType.width) == (10, 14)
        assert (result.imageType.height, result.imageType.width) == (20, 28)


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)], ids=str)
@pytest.mark.parametrize(("precision", "most"), [("fp32", 0), ("fp16", 1)])
def test_pictures_come_out_as_tensors_do(
    precision: Precision, most: int, value_range: tuple[float, float], tmp_path: Path
) -> None:
    graph, photograph = upscaler(value_range), photo(14, 10)
    wanted = pixels.to_image(onnxruntime(graph, pixels.to_tensor(photograph, graph.input)), graph.output)
    for artifact in TARGET.lower(target_graph(graph, None, precision), Options(), tmp_path):
        given = {"image": pixels.to_tensor(photograph, artifact.inputs[0])}
        result = RUNNER.open(artifact.path, 1, {}).run(given)["restored"]
        got = pixels.to_image(result, artifact.outputs[0])
        assert np.ptp(got) > 100
        assert np.abs(got.astype(int) - wanted).max() <= most


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0)], ids=str)
def test_int8_pictures_enter_exactly_and_leave_saturated(value_range: tuple[float, float], tmp_path: Path) -> None:
    graph, photograph = upscaler(value_range), photo(14, 10)
    tensor, image = TARGET.lower(target_graph(graph, quantized(graph), "int8"), Options(), tmp_path)
    results = []
    for artifact in (tensor, image):
        given = {"image": pixels.to_tensor(photograph, artifact.inputs[0])}
        session = RUNNER.open(artifact.path, 1, {})
        results.append(pixels.to_image(session.run(given)["restored"], artifact.outputs[0]))
        assert not {"clip", "relu"} & session.facts()["operators"].keys()
    np.testing.assert_array_equal(*results)
    wanted = pixels.to_image(onnxruntime(graph, pixels.to_tensor(photograph, graph.input)), graph.output)
    assert np.abs(results[0].astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_free_sizes(precision: Precision, tmp_path: Path) -> None:
    graph = upscaler(free=True)
    for artifact in TARGET.lower(
        target_graph(graph, quantized(graph, precision), precision), Options(size=None), tmp_path
    ):
        assert artifact.inputs[0].dynamic
        session = RUNNER.open(artifact.path, 1, {})
        assert "free input size" in session.facts()["metadata"]["clearport.note"]
        for width, height in ((9, 17), (1, 1)):
            given = pixels.to_tensor(photo(width, height), artifact.inputs[0])
            got = pixels.to_image(session.run({"image": given})["restored"], artifact.outputs[0])
            wanted = onnxruntime(graph, pixels.to_tensor(photo(width, height), graph.input))
            assert got.shape == (2 * height, 2 * width, 3)
            if precision == "fp32":
                np.testing.assert_array_equal(got, pixels.to_image(wanted, graph.output))


@pytest.mark.parametrize(("mode", "operation"), [("DCR", "depth_to_space"), ("CRD", "pixel_shuffle")])
def test_each_channel_order_has_its_operation(mode: str, operation: str, tmp_path: Path) -> None:
    """depth_to_space is TensorFlow's order (coremltools' TensorFlow front end maps it so), pixel_shuffle PyTorch's."""
    graph, image = upscaler(mode=mode), RNG.uniform(0, 255, (1, 3, 10, 14)).astype(np.float32)
    session = RUNNER.open(TARGET.lower(target_graph(graph, None, "fp32"), Options(), tmp_path)[0].path, 1, {})
    assert operation in session.facts()["operators"]
    np.testing.assert_allclose(session.run({"image": image})["restored"], onnxruntime(graph, image), atol=1e-3)


ELSEWHERE = """
import json, runpy, sys
from clearport.base import Options
from clearport.export.written import target_graph
from pathlib import Path
script, folder = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, str(folder))
here = runpy.run_path(script)
graph = here["upscaler"](free=True)
lower, whole = here["TARGET"].lower, here["quantized"](graph)
made = [artifact for p in ("fp16", "int8") for artifact in lower(target_graph(graph, whole, p), Options(), folder)]
print(json.dumps([artifact.sha256 for artifact in made]))
assert "tensorflow" not in sys.modules
import tensorflow  # it is there for whoever asks for it afterwards
"""


@pytest.fixture(scope="module")
def printed_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What another process prints that lowers the same graph, with another hash seed and a TensorFlow installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text("print('tensorflow was imported')\n__version__ = '2.21.0'\n")
    script = str(Path(__file__).with_name("harness.py"))
    command = [sys.executable, "-c", ELSEWHERE, script, str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_same_graph_gives_the_same_bytes_in_any_process(
    printed_elsewhere: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    graph = upscaler(free=True)
    here = [
        a for p in ("fp16", "int8") for a in TARGET.lower(target_graph(graph, quantized(graph), p), Options(), tmp_path)
    ]
    digests = [artifact.sha256 for artifact in here]
    assert json.loads(printed_elsewhere.stdout.splitlines()[0]) == digests
    assert len(set(digests)) == 4


def test_conversion_prints_nothing_and_does_not_import_tensorflow(
    printed_elsewhere: subprocess.CompletedProcess[str],
) -> None:
    assert printed_elsewhere.stderr == ""
    assert printed_elsewhere.stdout.splitlines()[1:] == ["tensorflow was imported"]


def test_the_manifest_leads_to_the_files(tmp_path: Path) -> None:
    path = TARGET.lower(target_graph(upscaler(), None, "fp32"), Options(), tmp_path)[0].path
    manifest = json.loads((path / "Manifest.json").read_text())
    assert manifest["fileFormatVersion"] == "1.0.0"
    assert manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] == "com.apple.CoreML/model.mlmodel"
    assert all((path / "Data" / item["path"]).exists() for item in manifest["itemInfoEntries"].values())


def test_a_package_replaces_an_older_one_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    first = TARGET.lower(target_graph(upscaler(), None, "fp32"), Options(), tmp_path)[0]
    (first.path / "stale").write_text("from an older version")
    second = TARGET.lower(target_graph(upscaler(), None, "fp32"), Options(), tmp_path)[0]
    assert second.sha256 == first.sha256 == digest(second.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"tiny_x2_fp32_{v}.mlpackage" for v in ("image", "tensor")]


def test_an_unwritable_path_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"/file: something else is already at this path"):
        TARGET.lower(target_graph(upscaler(), None, "fp32"), Options(), tmp_path / "file")


@pytest.mark.parametrize("precision", ["int8", "int8-weights"])
def test_int8_without_a_table_is_a_programming_error(precision: Precision, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{precision} files are written from the quantized graph"):
        TARGET.lower(target_graph(upscaler(), None, precision), Options(), tmp_path)
