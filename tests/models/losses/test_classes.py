"""Losses of classifiers."""

from __future__ import annotations

import math

import pytest
import torch

from clearport.errors import BadInput
from clearport.models.data.crops import Batch
from clearport.models.losses.classes import binary, cross_entropy, forged, zipf, zipf_law
from clearport.models.training.outputs import Restored

PICTURES = torch.zeros(2, 3, 8, 8)


def batch(*labels: int) -> Batch:
    return Batch(PICTURES, None, {"label": torch.tensor(labels).float().reshape(-1, 1, 1, 1)})


def test_losses_of_one_logit_and_of_several_name_each_other() -> None:
    with pytest.raises(BadInput, match="one logit; this one has several: use cross-entropy"):
        binary(Restored(torch.zeros(2, 2)), batch(0, 1), 1.0)
    with pytest.raises(BadInput, match="a single one: use binary"):
        cross_entropy(Restored(torch.zeros(2, 1)), batch(0, 1), 1.0)


def test_zipf_s_law_of_a_worked_example() -> None:
    """Votes 5, 3, 2, 1 of which the first class is right: ranks 2, 3 and 4 are left, as 6, 4 and 3 thirteenths."""
    law = zipf_law(torch.tensor([[5, 3, 2, 1]]), torch.tensor([0]))
    assert law[0].tolist() == pytest.approx([0, 6 / 13, 4 / 13, 3 / 13])


def test_classes_with_as_many_votes_share_the_first_rank() -> None:
    law = zipf_law(torch.tensor([[7, 2, 2, 0, 2]]), torch.tensor([3]))
    assert law[0].tolist() == pytest.approx([2 / 5, 1 / 5, 1 / 5, 0, 1 / 5])


def test_zipf_is_least_where_wrong_classes_follow_the_law() -> None:
    target, votes = 1, [6, 9, 3, 2]  # pixels that choose each class
    dense = torch.zeros(1, 4, 4, 5)
    dense.flatten(2)[0, torch.arange(4).repeat_interleave(torch.tensor(votes)), torch.arange(20)] = 1.0
    law = zipf_law(torch.tensor([votes]), torch.tensor([target]))
    exact = law.log().masked_fill(law == 0, 3.0)
    at = {}
    for name, logits in {"law": exact, "flat": torch.zeros(1, 4)}.items():
        given = logits.clone().requires_grad_()
        at[name] = zipf(Restored(given, maps={"dense": dense}), batch(target), 1.0)
        (gradient,) = torch.autograd.grad(at[name], given)
        assert torch.isfinite(gradient).all()
    assert float(at["law"].detach()) == pytest.approx(0.0, abs=1e-6)
    wanted = sum(p * math.log(p * 3) for p in law[0].tolist() if p)
    assert float(at["flat"].detach()) == pytest.approx(wanted)


def test_cross_entropy_of_logits_and_labels() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    wanted = (math.log(1 + math.exp(2.0)) + math.log(2.0)) / 2
    assert float(cross_entropy(Restored(logits), batch(1, 0), 1.0)) == pytest.approx(wanted)


def test_forged_places_are_compared_in_the_size_of_the_map() -> None:
    truth = torch.zeros(2, 1, 4, 4)
    truth[:, :, :2] = 1.0
    data = Batch(PICTURES, None, {"forged": truth})
    right, wrong = (Restored(PICTURES, maps={"forged": s * torch.tensor([[[[9.0], [-9.0]]]] * 2)}) for s in (1, -1))
    assert float(forged(right, data, 1.0)) < 0.001
    assert float(forged(wrong, data, 1.0)) > 8


def test_missing_inputs_of_losses_are_reported() -> None:
    with pytest.raises(BadInput, match="the loss cross-entropy needs labels"):
        cross_entropy(Restored(torch.zeros(2, 2)), Batch(PICTURES, None), 1.0)
    with pytest.raises(BadInput, match="needs a classifier with at least three classes"):
        zipf(Restored(torch.zeros(2, 2), maps={"dense": torch.zeros(2, 2, 3, 3)}), batch(0, 1), 1.0)
    with pytest.raises(BadInput, match="needs a network that locates forgeries"):
        forged(Restored(torch.zeros(2, 2)), batch(0, 1), 1.0)
