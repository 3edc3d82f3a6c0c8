"""``clearport diagnose`` names the layer that a fault was planted in, on the runtime whose file has it."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import clearport
from clearport.bundle.diagnosis import Diagnosis, Witness
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import ArtifactRecord
from clearport.cli.app import app
from clearport.errors import BadInput
from clearport.pipeline.criteria import PHOTO
from clearport.pipeline.diagnosis.run import diagnose_bundle
from clearport.pipeline.exams import exams_of
from clearport.pipeline.prove import run_each
from clearport.runtime.steps.reference import StepReference
from clearport.runtime.usable import runners_of
from device_tests import faults

RUNTIME = {"tflite": "LiteRT (CPU)", "onnxruntime": "ONNX Runtime (CPU)", "openvino": "OpenVINO (CPU)"}
TWICE = "doubled rounding"
KINDS = (*faults.LAYER_KINDS, TWICE)


def spoiled(
    source: Bundle, folder: Path, record: ArtifactRecord, kind: str, random: np.random.Generator
) -> tuple[Bundle, set[str]]:
    """A copy with a fault that changes the picture, and the int8 tensors that the faulty layers write."""
    reference = StepReference(source.folder / "reference_qdq.onnx")
    for _ in range(20):
        copy = Bundle.load(Path(shutil.copytree(source.folder, folder)))
        if kind == TWICE:
            name = faults.round_twice(copy.folder / record.path, random)
            return faults.sign_again(copy), {name}
        fault = faults.plant(copy, record, kind, random, faults.LAYER_KINDS)
        copy = faults.sign_again(copy)
        if fault is not None and not np.array_equal(restored(source, record.key), restored(copy, record.key)):
            layers = {name.split("/")[0].removesuffix(".out") for name in fault.layers}
            computed = {
                tensor
                for tensor in reference.grids
                if any(name in layers for name, _ in reference.nodes(tensor, reference.grids))
            }
            return copy, computed
        shutil.rmtree(folder)
    raise AssertionError(f"no place for a fault: {kind} in {record.key}")


def restored(bundle: Bundle, key: str) -> np.ndarray:
    """The output for the golden photo: channels that are black on it may have any weights."""
    record = next(each for each in bundle.artifacts if each.key == key)
    exam = next(each for each in exams_of(bundle, record) if each.name == PHOTO)
    runner = next(runner.name for runner, obstacle in runners_of(record) if obstacle is None)
    (outputs,) = run_each(runner, bundle.artifact(record), [exam.sample], 1)
    return outputs["restored"]


def seen(found: Diagnosis, key: str, runtime: str) -> Witness:
    return next(each for each in found.witnesses if (each.artifact, each.runtime) == (key, runtime))


def named(source: Bundle, folder: Path, key: str, kind: str, random: np.random.Generator) -> tuple[set[str], Diagnosis]:
    """The tensors of a planted fault, and the diagnosis of the file's runtimes."""
    record = next(each for each in source.artifacts if each.key == key)
    bundle, tensors = spoiled(source, folder, record, kind, random)
    return tensors, diagnose_bundle(bundle.folder, targets=(record.target,))


@pytest.mark.parametrize(
    ("key", "kind"), [("tflite/int8", "transposed kernel"), ("tflite/int8", "wrong scale"), ("onnxruntime/int8", TWICE)]
)
def test_the_layer_with_a_fault_is_named(int8_pair: Bundle, tmp_path: Path, key: str, kind: str) -> None:
    tensors, found = named(int8_pair, tmp_path / "b", key, kind, np.random.default_rng(3))
    witness = seen(found, key, RUNTIME[key.split("/", maxsplit=1)[0]])
    assert witness.parted in tensors
    assert witness.wrong or kind == TWICE
    assert witness.also == ()
    assert witness.why
    assert witness.todo


def test_right_files_are_right_and_the_outputs_are_what_they_say(int8_pair: Bundle, tmp_path: Path) -> None:
    """The table, JSON by its schema, a page, and node data by the tensors of the file."""
    files = {word: tmp_path / f"d.{word}" for word in ("json", "html", "nodes")}
    asked = ["diagnose", str(int8_pair.folder), "--json", str(files["json"]), "--html", str(files["html"])]
    for _ in range(2):  # its own files are replaced
        outcome = CliRunner().invoke(app, [*asked, "--node-data", str(files["nodes"]), "--quiet"])
        assert outcome.exit_code == 0, outcome.output
    assert "no layer has an own error" in outcome.output
    found = Diagnosis.model_validate_json(files["json"].read_text())
    assert not any(witness.wrong for witness in found.witnesses)
    assert all(seen(found, f"{name}/int8", RUNTIME[name]).parted == "" for name in ("tflite", "onnxruntime"))
    assert sum(layer.loss_share or 0 for layer in found.layers) == pytest.approx(1)
    page = files["html"].read_text()
    assert all(layer.name in page for layer in found.layers)
    (nodes,) = json.loads(files["nodes"].read_text()).values()
    assert set(nodes["results"]) == {layer.name for layer in found.layers}


def test_what_cannot_be_diagnosed_is_refused(int8_pair: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the bundle has photo, probe"):
        diagnose_bundle(int8_pair.folder, picture="cat")
    with pytest.raises(BadInput, match="no runtime here can output intermediate tensors"):
        diagnose_bundle(int8_pair.folder, runtimes=("ncnn",))
    copy = Path(shutil.copytree(int8_pair.folder, tmp_path / "b"))
    path = copy / "reference_qdq.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match="export again"):
        diagnose_bundle(copy)


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Exports a network with its bundled weights, once."""

    @functools.cache
    def made(network: str) -> Bundle:
        options = {"targets": tuple(RUNTIME), "precisions": ("int8",), "size": "64x64", "measure": False}
        return clearport.export(network, tmp_path_factory.mktemp("diagnosed") / network, **options)  # type: ignore[arg-type]

    return made


FAULTS = [
    pytest.param(network, number, id=f"{network}-{number}-{KINDS[number % len(KINDS)]}")
    for network, count in (("ncnet", 20), ("mobilederain", 15), ("iagc", 15))
    for number in range(count)
]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "number"), FAULTS)
def test_a_fault_at_a_random_place_is_named(
    bundle_of: Callable[[str], Bundle], network: str, number: int, tmp_path: Path
) -> None:
    kind = KINDS[number % len(KINDS)]
    key = "onnxruntime/int8" if kind == TWICE else f"{tuple(RUNTIME)[number % 3]}/int8"
    tensors, found = named(bundle_of(network), tmp_path / "spoiled", key, kind, np.random.default_rng(number))
    witness = seen(found, key, RUNTIME[key.split("/", maxsplit=1)[0]])
    assert witness.parted in tensors, witness.remark
