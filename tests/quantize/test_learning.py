"""Quantization-aware training of a tiny graph: it learns, repeats to the bit, and never keeps what is worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearport.base import Graph
from clearport.errors import BadInput, CheckFailed
from clearport.graph import nodes as graphs
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training import checkpoint
from clearport.models.training.options import TrainOptions
from clearport.pictures.images import save_png
from clearport.quantize import qdq
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.trained import learn
from clearport.quantize.trained.options import qat_options
from clearport.quantized import QuantizedGraph

Learner = Callable[..., learn.Learning]

DOUBLER = """
    scales = Constant<value_floats=[1.0, 1.0, 2.0, 2.0]>()
    up = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(image, , scales)
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = ConvTranspose<strides=[2,2]>(b, T, F)
    d = Add(c, up)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    restored = Clip(d, lo, hi)
"""
SHAPES = {"W": [8, 3, 3, 3], "B": [8], "T": [8, 3, 2, 2], "F": [3]}


@pytest.fixture(scope="module")
def doubler(graph_of: Callable[..., Graph]) -> Graph:
    """A residual network that doubles height and width."""
    return graph_of(DOUBLER, **SHAPES)


@pytest.fixture(scope="module")
def form(doubler: Graph, photos: list[np.ndarray]) -> QuantizedGraph:
    return quantize(doubler, photos, QuantizeOptions((0.0,), search=False, compensate=False))


@pytest.fixture
def learner(doubler: Graph, form: QuantizedGraph, photos: list[np.ndarray], tmp_path: Path) -> Learner:
    """Makes a training of the small network, on small photos."""
    torch.set_num_threads(1)
    for number in range(4):
        save_png(tmp_path / "photos" / f"{number}.png", np.rot90(photos[number % 2], number))

    def made(out: str = "a", **more: Any) -> learn.Learning:
        given = {"steps": 10, "batch": 2, "patch": 12, "lr": 0.02, "validate_every": 5, "workers": 0, **more}
        options: TrainOptions = qat_options(
            "ncnet", data=(tmp_path / "photos",), out=tmp_path / out, scale=2, **given
        ).train
        return learn.Learning(options, SPEC, learn.read(options, SPEC, 2), doubler, form)

    return made


def learned(run: learn.Learning, until: int | None = None) -> bytes:
    """The QDQ model after all steps, or after some."""
    while run.share() < 1.0 and run.state.step != until:
        run.advance()
        if run.state.step % run.options.validate_every == 0:
            run.report()
    return graphs.to_bytes(qdq.to_qdq(run.best()))


def test_it_comes_nearer_to_the_float_network(doubler: Graph, learner: Learner) -> None:
    """From integers that are two levels off."""
    like = learner(steps=60, lr=0.1, validate_every=20)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in like.fake.parameters():
            parameter.add_(2.0 * torch.randn_like(parameter).sign())
    run = learn.Learning(like.options, SPEC, like.data, doubler, like.fake.quantized())
    assert run.best().table == run.start.table
    learned(run)
    assert run.improved
    assert run.after.fidelity_db > run.before.fidelity_db + 3.0
    assert run.after.loss_db < run.before.loss_db
    run.fake.load_state_dict(run.state.best)
    assert run.judge() == run.after
    assert run.tick().losses["distillation"] > 0
    assert run.options.preview_path.is_file()


def test_the_same_seed_gives_the_same_integers_also_after_a_stop(learner: Learner) -> None:
    whole = learned(learner())
    first = learner("b")
    learned(first, until=5)
    first.kept = {"trained": {"seed": 0}}
    first.save_checkpoint(first.options.checkpoint)
    second = learner("b")
    second.restore(checkpoint.load(second.options.checkpoint, {"seed": 0}))
    assert second.state.step == 5
    assert learned(second) == whole
    assert learned(learner(seed=1)) != whole


def test_a_form_worse_than_the_initial_one_is_not_kept(learner: Learner, form: QuantizedGraph) -> None:
    run = learner(lr=80.0)
    assert learned(run) == graphs.to_bytes(qdq.to_qdq(form))
    assert not run.improved
    assert run.after == run.before
    assert run.state.psnr_db < run.before.fidelity_db


def test_a_form_that_loses_more_against_ground_truth_is_not_kept(learner: Learner, form: QuantizedGraph) -> None:
    run = learner()
    run.before = replace(run.before, loss_db=-100.0)
    assert learned(run) == graphs.to_bytes(qdq.to_qdq(form))


def test_with_a_loss_to_ground_truth_alone_that_decides(learner: Learner) -> None:
    run = learner(loss="l1", lr=0.3, steps=40)
    learned(run)
    assert run.after.loss_db < run.before.loss_db
    assert run.state.best_psnr_db == -run.after.loss_db


def test_pictures_go_one_by_one_through_a_graph_that_takes_no_batch(
    graph_of: Callable[..., Graph], learner: Learner, photos: list[np.ndarray]
) -> None:
    graph = graph_of(
        "sizes = Constant<value_ints=[1,3,144]>() a = Reshape(image, sizes) "
        "back = Constant<value_ints=[1,3,12,12]>() b = Reshape(a, back) restored = Conv(b, W, B)",
        size=12,
        W=[3, 3, 1, 1],
        B=[3],
    )
    form = quantize(graph, photos, QuantizeOptions((0.0,), search=False, compensate=False))
    like = learner()
    pairs = tuple(replace(p, low=p.low[:12, :12], high=None) for p in like.data.validation if p.low is not None)
    run = learn.Learning(like.options, SPEC, replace(like.data, validation=pairs), graph, form)
    run.advance()
    assert run.state.losses[0] >= 0


def test_a_diverging_training_says_so(learner: Learner) -> None:
    with pytest.raises(CheckFailed, match="smaller --lr"):
        learned(learner(lr=1e30, validate_every=2))


def test_an_operator_that_pytorch_cannot_run_is_refused(
    graph_of: Callable[..., Graph], learner: Learner, photos: list[np.ndarray]
) -> None:
    graph = graph_of("a = Conv(image, W, B) restored = Erf(a)", W=[3, 3, 1, 1], B=[3])
    form = quantize(graph, photos, QuantizeOptions((0.0,), search=False, compensate=False))
    like = learner()
    odd = graphs.clone(graph)
    next(node for node in odd.model.graph if node.op_type == "Erf").op_type = "Atan"
    with pytest.raises(BadInput, match="ncnet has an operator that QAT does not implement: Atan"):
        learn.Learning(like.options, SPEC, like.data, odd, form)
