"""The file of a matrix: its exports, and messages with key and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.errors import BadInput
from clearport.pipeline.matrix.matrix import write_example
from clearport.pipeline.matrix.plan import Job, read_matrix


def jobs_of(folder: Path, text: str) -> list[Job]:
    path = folder / "zoo.toml"
    path.write_text(text)
    return read_matrix(path)


def test_models_scales_and_sizes_are_multiplied(tmp_path: Path) -> None:
    text = """
    sizes = ["64x64", "dynamic"]
    targets = ["tflite"]
    [models.ncnet]
    scales = [2, 3]
    [models.dark]
    network = "iagc"
    sizes = ["32x64"]
    targets = ["ncnn", "openvino"]
    precisions = ["fp16"]
    knobs = {}
    """
    found = jobs_of(tmp_path, text)
    names = ["ncnet_x2_64x64", "ncnet_x2_dynamic", "ncnet_x3_64x64", "ncnet_x3_dynamic", "dark_32x64"]
    assert [job.name for job in found] == names
    assert found[0].targets == ("tflite",)
    assert (found[-1].network, found[-1].targets, found[-1].precisions) == ("iagc", ("ncnn", "openvino"), ("fp16",))


def test_the_example_is_a_matrix(tmp_path: Path) -> None:
    write_example(tmp_path / "zoo.toml")
    assert [job.name for job in read_matrix(tmp_path / "zoo.toml")] == [
        "ncnet_x2_360x640",
        "ncnet_x3_360x640",
        "derain_360x640",
    ]
    with pytest.raises(BadInput, match="already there"):
        write_example(tmp_path / "zoo.toml")


WRONG = {
    "[models.ncnet]\nscales = []": r"line 2, models\.ncnet\.scales: .*at least 1 item",
    "sizes = []\n[models.ncnet]": r"line 1, sizes: .*at least 1 item",
    "targets = []\n[models.ncnet]": r"line 1, targets: .*at least 1 item",
    "[models.ncnet]\nweights = ''": r"line 2, models\.ncnet\.weights: .*at least 1 character",
    "calibration = ''\n[models.ncnet]": r"line 1, calibration: .*at least 1 character",
    "[models.ncnet]\nweights = '.'": r"line 2, models\.ncnet\.weights: expected a file, and this is a folder",
    f"x = {'9' * 5000}\n[models.ncnet]": r"zoo\.toml: not a TOML file: .*digits",
    'sizes = [\n  "64x64",\n  "64by64",\n]\n[models.ncnet]': r"line 1, sizes\.1: '64by64': expected HEIGHTxWIDTH",
    "[models.ncnet]\n\n# so\nscales = [2, 'x']": r"line 4, models\.ncnet\.scales\.1: .*integer",
    "[models.ncnet]\ntragets = ['tflite']": r"line 2, models\.ncnet\.tragets: unknown setting",
    "[models.ncnet]\ntargets = ['tflte']": r"line 2, models\.ncnet\.targets\.0: unknown target 'tflte'; did you mean",
    "[models.ncnet]\nprecisions = ['int4']": r"line 2, models\.ncnet\.precisions\.0: .*'int8'",
    "\n[models.nknet]": r"line 2, models\.nknet: unknown network 'nknet'; did you mean 'ncnet'",
    "[models.Big]\nnetwork = 'ncnet'": r"models\.Big.*lowercase letters",
    "[models.mine]\nnetwork = 'my.onnx'": r"line 2, models\.mine\.network: no such file or folder",
    "[models.mine]\nnetwork = 'net.py:build'": r"line 2, models\.mine\.network: .*torch\.export\.save",
    "[models.ncnet]\nscales = [2\n": "not a TOML file",
    "sizes = ['64x64']": "models: Field required.*--init",
    "[models.ncnet]\nsizes = ['64x64', '64X64']": r"line 1, models\.ncnet: its bundle ncnet_64x64 .* listed twice",
    "[models.ncnet]\nweights = 'gone.safetensors'": r"line 2, models\.ncnet\.weights: no such file or folder",
}


@pytest.mark.parametrize("text", WRONG)
def test_messages_name_file_key_and_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=WRONG[text]) as caught:
        jobs_of(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "zoo.toml"))
