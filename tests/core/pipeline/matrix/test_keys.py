"""The content address of an export changes with every file that the export reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from clearport.bundle.replays import processor
from clearport.errors import BadInput
from clearport.pipeline.matrix.build import plain_job
from clearport.pipeline.matrix.keys import PROCESSOR, contents, environment, key_of
from clearport.pipeline.matrix.on_dask import _packed, _unpacked, remote
from tests.core.pipeline.matrix.test_plan import jobs_of


def outside(path: Path, location: str) -> None:
    """An ONNX file whose weights lie at ``location``, relative to its folder."""
    weights = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    sides = {"image": (1, 3, 8, 8), "out": (1, 3, 8, 8)}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sides.items()}
    nodes = [helper.make_node("Conv", ["image", "w"], ["out"])]
    graph = helper.make_graph(nodes, "tiny", [values["image"]], [values["out"]], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (path.parent / location).parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)


def test_external_data_in_a_folder_is_part_of_a_network(tmp_path: Path) -> None:
    outside(tmp_path / "net.onnx", "data/net.bin")
    before = contents("network", tmp_path / "net.onnx")
    assert [name for name, _ in before] == ["net.onnx", "data/net.bin"]
    (tmp_path / "data" / "net.bin").write_bytes(np.zeros(9, np.float32).tobytes())
    assert contents("network", tmp_path / "net.onnx") != before


def test_data_that_an_export_refuses_are_not_read(tmp_path: Path) -> None:
    outside(tmp_path / "net.onnx", "net.bin")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(36))
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = str(secret)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert [name for name, _ in contents("network", tmp_path / "net.onnx")] == ["net.onnx"]


def test_photos_in_linked_folders_are_part_of_a_calibration(tmp_path: Path) -> None:
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    photos.mkdir()
    elsewhere.mkdir()
    (photos / "more").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "a.png").write_bytes(b"one")
    before = contents("calibration", photos)
    assert [name for name, _ in before] == ["more/a.png"]
    (elsewhere / "a.png").write_bytes(b"two")
    assert contents("calibration", photos) != before


def test_the_card_of_weights_has_their_terms_and_is_part_of_them(tmp_path: Path) -> None:
    weights, card = tmp_path / "mine.safetensors", tmp_path / "mine.json"
    weights.write_bytes(b"weights")
    alone = contents("weights", weights)
    card.write_text('{"license": "MIT"}')
    assert [name for name, _ in contents("weights", weights)] == ["mine.safetensors", "mine.json"]
    assert contents("weights", weights)[:1] == alone
    assert contents("network", weights) == alone


def test_a_cluster_gets_what_the_key_covers(tmp_path: Path) -> None:
    outside(tmp_path / "net.onnx", "data/net.bin")
    (job,) = jobs_of(tmp_path, "[models.mine]\nnetwork = 'net.onnx'")
    ((name, files),) = _packed(job).values()
    place = _unpacked(tmp_path / "worker", name, files)
    assert place.read_bytes() == (tmp_path / "net.onnx").read_bytes()
    assert (place.parent / "data" / "net.bin").read_bytes() == (tmp_path / "data" / "net.bin").read_bytes()


def test_another_processor_has_other_keys_and_refuses_the_jobs_of_this_one(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path, "[models.ncnet]")
    here, there = environment(), {**environment(), PROCESSOR: "another"}
    assert here[PROCESSOR] == processor()
    assert key_of(job, here) != key_of(job, there)
    with pytest.raises(BadInput, match=r"a worker of the cluster differs in processor \(.* it would write other files"):
        remote(plain_job(job), {}, key_of(job, there), there)
