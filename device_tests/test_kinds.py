"""Networks of several inputs and outputs, of any kind, are exported, proven from disk and run like any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clearport.base import Size, Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pictures.images import load_stored, save_png
from clearport.pipeline.export import export_bundle
from clearport.pipeline.run import RunRequest, restore_picture
from clearport.pipeline.select import plain_scale
from clearport.pipeline.sources.contract import Contract, Ends
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.verify import verify_bundle
from clearport.runtime.parity import ParityReport
from device_tests.proven import proof_of

SIZE = Size(48, 64)
UNIT = (0.0, 1.0)


def conv(taken: int, given: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(taken, given, 3, stride=stride, padding=1)


class Exposures(nn.Module):
    """Three pictures of one scene to one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(9, 8), conv(8, 3)

    def forward(self, low: torch.Tensor, mid: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.last(torch.relu(self.first(torch.cat([low, mid, high], 1)))))


class Flow(nn.Module):
    """A picture, and a flow of a quarter of its size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.picture, self.flow = conv(3, 8), conv(8, 3), conv(8, 2, stride=4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.first(image))
        return torch.sigmoid(self.picture(features)), self.flow(features)


class Classifier(nn.Module):
    """Ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 8, stride=2), nn.Linear(8, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(torch.relu(self.first(image)).mean((2, 3)))
        return logits


class Video(nn.Module):
    """A frame and a state to a frame and the next state."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.next, self.last = conv(3, 8, stride=2), conv(16, 8), conv(8, 12)

    def forward(self, frame: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.tanh(self.next(torch.cat([torch.relu(self.first(frame)), hidden], 1)))
        return torch.pixel_shuffle(self.last(state), 2).clamp(0, 1), state


class Labels(nn.Module):
    """A picture, and the class of each of its pixels; pooled where four cells do not divide the width.

    Without the factor of three the picture deviates by 6 levels: rounding it to 8 bits is 26 dB below that, where
    int8 weights must be 29.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.gains = conv(3, 8), conv(8, 3), nn.Linear(8 * 4 * 6, 16)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.first(image))
        gains, offsets = self.gains(nn.functional.avg_pool2d(features, (12, 10)).flatten(1)).chunk(2, 1)
        logits = self.last(features * torch.sigmoid(gains)[..., None, None] + offsets[..., None, None])
        return torch.sigmoid(3 * logits), logits.argmax(1)


class Channels(nn.Module):
    """Pictures of any channels."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.first, self.last = conv(taken, 8), conv(8, given)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.last(torch.relu(self.first(image))))


class Half(nn.Module):
    """One and a half times as large.

    What is nothing to its convolution is not the middle of the range, as behind a sigmoid: that is 127.5 pixels, a tie
    that kernels round either way, and many numbers of so small a network with random weights are just that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(3, 27, stride=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (torch.pixel_shuffle(self.first(image), 3) + 0.45).clamp(0, 1)


@dataclass(frozen=True)
class Case:
    """A network, shapes of what it takes, and what is said of both ends."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    inputs: tuple[Ends, ...]
    outputs: tuple[Ends, ...]


def picture(name: str, color: str = "RGB", **more: object) -> Ends:
    return Ends.model_validate({"name": name, "kind": "picture", "color": color, "range": UNIT, **more})


def shape(channels: int = 3) -> tuple[int, ...]:
    return (1, channels, SIZE.height, SIZE.width)


STATE = (1, 8, SIZE.height // 2, SIZE.width // 2)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CASES = {
    "video": Case(
        Video,
        (shape(), STATE),
        (picture("frame"), Ends(name="hidden", kind="state")),
        (picture("output_1"), Ends(name="output_2", kind="state")),
    ),
    "exposures": Case(
        Exposures, (shape(),) * 3, tuple(picture(n) for n in ("low", "mid", "high")), (picture("restored"),)
    ),
    "flow": Case(
        Flow, (shape(),), (picture("image"),), (picture("output_1"), Ends(name="output_2", kind="map", measure="flow"))
    ),
    "classifier": Case(
        Classifier,
        (shape(),),
        (picture("image", "BGR", **IMAGENET),),
        (Ends(name="output", kind="vector", measure="logits"),),
    ),
    "labels": Case(Labels, (shape(),), (picture("image"),), (picture("output_1"), Ends(name="output_2", kind="index"))),
    "gray": Case(lambda: Channels(1, 1), (shape(1),), (picture("image", "Y"),), (picture("restored", "Y"),)),
    "raw": Case(lambda: Channels(4, 3), (shape(4),), (picture("image", "RAW"),), (picture("restored"),)),
    "burst": Case(lambda: Channels(14, 4), (shape(14),), (picture("image", "RAW"),), (picture("restored", "RGBA"),)),
    "half": Case(Half, (shape(),), (picture("image"),), (picture("restored"),)),
}
FAST = "video"


def export(name: str, folder: Path, targets: tuple[str, ...] = (), precisions: tuple[str, ...] = ()) -> Bundle:
    case = CASES[name]
    torch.manual_seed(0)
    module = case.build().eval()
    with torch.no_grad():
        for parameter in module.parameters():  # else what comes out is nearly flat, and tells little
            parameter.mul_(3.0)
    given = (module, tuple(torch.rand(each) for each in case.shapes))
    told = Contract(name=name, inputs=case.inputs, outputs=case.outputs)
    request = ExportRequest(
        given, folder / name, size=SIZE, targets=targets, precisions=precisions, told=told, measure=False
    )
    return export_bundle(request)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(FAST, tmp_path_factory.mktemp("video"), ("onnxruntime", "tflite"), ("fp32", "int8"))


def assert_proven(bundle: Bundle) -> None:
    assert bundle.passed, bundle.manifest.failures()
    failed = [check for check in verify_bundle(bundle.folder) if check.passed is False]
    assert failed == []
    outputs = {spec.name for spec in bundle.manifest.pixel_contract.outputs}
    for artifact in bundle.artifacts:
        if len(outputs) > 1 and proof_of(artifact) is not None:
            assert {report.output for report in artifact.parities} == outputs, artifact.key


def test_a_frame_and_a_state_are_proven_from_disk(video: Bundle) -> None:
    assert_proven(video)
    assert [spec.kind for spec in video.manifest.pixel_contract.inputs] == ["picture", "state"]
    int8 = next(a for a in video.artifacts if a.key == "tflite/int8")
    assert [spec.dtype for spec in int8.inputs] == ["uint8", "float32"], "only pictures are pixels"
    judged = [r for r in int8.parities if r.output == "output_2"]
    assert judged
    assert all(r.basis == "values" and r.sqnr_db is not None for r in judged)


def test_a_golden_state_is_no_beginning(video: Bundle) -> None:
    """Zeros would prove nothing of what reads the state."""
    from clearport.pipeline.exams import sample_of

    assert np.abs(sample_of(video)["hidden"]).max() > 0.1


@pytest.mark.parametrize("key", ["onnxruntime/fp32", "tflite/int8"])
def test_a_state_that_is_not_the_network_s_is_found(video: Bundle, key: str) -> None:
    """The second output alone is wrong: the picture's parity does not hide it."""
    from clearport.pipeline.exams import exams_of
    from clearport.pipeline.prove import run_once

    record = next(a for a in video.artifacts if a.key == key)
    artifact, exam = video.artifact(record), exams_of(video, record)[0]
    runner = {"onnxruntime": "onnxruntime", "tflite": "litert"}[record.target]
    outputs = run_once(runner, artifact, exam.sample, 1)
    assert all(report.passed for report in exam.judge(outputs, artifact, "ran"))
    spoiled = {**outputs, "output_2": np.roll(outputs["output_2"], 1, axis=-1)}
    assert {r.output for r in exam.judge(spoiled, artifact, "ran") if not r.passed} == {"output_2"}


def test_a_step_is_run_and_the_next_goes_on_from_its_state(video: Bundle, tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (SIZE.height, SIZE.width, 3), np.uint8)
    save_png(tmp_path / "frame.png", frame)
    first = restore_picture(RunRequest(video.folder, (tmp_path / "frame.png",), tmp_path / "one.png", precision="fp32"))
    assert [(given.name, given.kind) for given in first.outputs] == [("output_1", "picture"), ("output_2", "state")]
    assert load_stored(tmp_path / "one.png").shape == frame.shape
    state = np.load(tmp_path / "one.output_2.npy")
    assert state.shape == STATE
    again = (tmp_path / "frame.png", f"hidden={tmp_path / 'one.output_2.npy'}")
    restore_picture(RunRequest(video.folder, again, tmp_path / "two.png", precision="fp32"))
    assert not np.array_equal(np.load(tmp_path / "two.output_2.npy"), state)


def test_what_does_not_fit_is_told_and_nothing_is_written(video: Bundle, tmp_path: Path) -> None:
    save_png(tmp_path / "small.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(BadInput, match="requires pictures of 48x64"):
        restore_picture(RunRequest(video.folder, (tmp_path / "small.png",), tmp_path / "out.png", precision="fp32"))
    with pytest.raises(BadInput, match=r"'hidden' is not a picture \(state\): give an array as .npy"):
        wrong = (tmp_path / "small.png", tmp_path / "small.png")
        restore_picture(RunRequest(video.folder, wrong, tmp_path / "out.png", precision="fp32"))
    with pytest.raises(
        BadInput, match="clearport serve is for networks with one RGB picture as input and one as output"
    ):
        plain_scale(video, "serve")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.png"]


def test_classes_are_whole_numbers_and_cells_need_not_divide_the_one_size(tmp_path: Path) -> None:
    bundle = export("labels", tmp_path, ("ncnn", "coreml"), ("fp32",))
    assert_proven(bundle)
    types = {a.key: a.outputs[1].dtype for a in bundle.artifacts}
    assert types == {"ncnn/fp32": "float32", "coreml/fp32/tensor": "int32", "coreml/fp32/image": "int32"}
    assert len({artifact.target for artifact in bundle.artifacts}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_kind_is_proven_on_every_target(name: str, tmp_path: Path) -> None:
    bundle = export(name, tmp_path)
    assert_proven(bundle)
    assert {a.target for a in bundle.artifacts} >= {"onnxruntime", "openvino", "tflite", "ncnn", "coreml"}
    assert all(isinstance(a.parity, ParityReport | Skipped) for a in bundle.artifacts)


def test_arrays_calibrate_a_network_that_takes_more_than_pictures(tmp_path: Path) -> None:
    """``--calibration`` with ``.npz`` examples: the bundle says which they were."""
    examples = tmp_path / "examples"
    examples.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        frame = generator.integers(0, 256, (SIZE.height, SIZE.width, 3), np.uint8)
        hidden = generator.uniform(-3, 3, STATE).astype(np.float32)
        np.savez(examples / f"{name}.npz", frame=frame, hidden=hidden)
    network = Video().eval(), (torch.rand(shape()), torch.zeros(STATE))
    request = ExportRequest(
        network,
        tmp_path / "out",
        size=SIZE,
        targets=("onnxruntime",),
        precisions=("int8",),
        calibration=examples,
        measure=False,
    )
    bundle = export_bundle(request)
    assert_proven(bundle)
    record = bundle.manifest.quantization
    assert record is not None
    assert record.images == 2
    table = json.loads((bundle.folder / record.table).read_text())
    assert {image["name"] for image in table["calibration"]["images"]} == {"a.npz", "b.npz"}
