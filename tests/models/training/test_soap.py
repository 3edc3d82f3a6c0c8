"""SOAP against what it is defined as, and against Adam where Adam has a hard time."""

from __future__ import annotations

import pytest
import torch

from clearport.models.training import soap
from clearport.models.training.soap import Soap


def correlated(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs whose entries are nearly equal, and the outputs of a linear map of them."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, 1, generator=generator) + 0.03 * torch.randn(200, 12, generator=generator)
    return inputs, inputs @ torch.randn(12, 5, generator=generator)


def remaining(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter, steps: int) -> float:
    """The loss after some steps on the correlated problem."""
    inputs, outputs = correlated()
    loss = torch.tensor(0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((inputs @ weight.T - outputs) ** 2).mean()
        torch.autograd.backward(loss)
        optimizer.step()
    return loss.item()


def test_it_solves_in_few_steps_what_adam_crawls_on() -> None:
    ours, theirs = (torch.nn.Parameter(torch.zeros(5, 12)) for _ in range(2))
    by_soap = remaining(Soap([ours], lr=0.03, refresh=5), ours, 300)
    by_adam = remaining(torch.optim.Adam([theirs], lr=0.03), theirs, 300)
    assert by_soap < 0.1 * by_adam


def test_vectors_are_updated_as_by_adam() -> None:
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0])) for _ in range(2))
    mine = Soap([ours], lr=0.1)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), eps=1e-12)
    ours.grad = torch.ones(3)
    mine.step()  # the first gradient only sets the bases
    for i in range(5):
        ours.grad = theirs.grad = torch.tensor([0.1, -1.0, 5.0 + i])
        mine.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_the_bases_stay_orthogonal_and_become_the_eigenvectors() -> None:
    weight = torch.nn.Parameter(torch.zeros(5, 12))
    optimizer = Soap([weight], lr=1e-3, refresh=1)
    generator = torch.Generator().manual_seed(1)
    shape = torch.diag(torch.linspace(1, 4, 12)) @ torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
    for _ in range(300):
        weight.grad = torch.randn(5, 12, generator=generator) @ shape
        optimizer.step()
    state = optimizer.state[weight]
    basis = state["right_basis"]
    torch.testing.assert_close(basis.T @ basis, torch.eye(12), atol=1e-4, rtol=0)
    turned = basis.T @ state["right"] @ basis
    off_diagonal = turned - torch.diag(turned.diagonal())
    assert off_diagonal.abs().max() < 0.25 * turned.diagonal().max()
    assert turned.diagonal()[0] > turned.diagonal()[-1]


def test_sides_that_are_too_large_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "_LARGEST_BASIS", 8)
    weight = torch.nn.Parameter(torch.zeros(5, 12))
    optimizer = Soap([weight], lr=0.03)
    assert remaining(optimizer, weight, 100) < 0.5 * remaining(optimizer, torch.nn.Parameter(torch.zeros(5, 12)), 1)
    assert "left" in optimizer.state[weight]
    assert "right" not in optimizer.state[weight]


def test_a_basis_is_had_where_lapack_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    direction = torch.tensor([3.0, 4.0]) * 1e-15
    matrix = torch.outer(direction, direction)
    eigh = torch.linalg.eigh

    def fails_in_float32(candidate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if candidate.dtype == torch.float32:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        found: tuple[torch.Tensor, torch.Tensor] = eigh(candidate)
        return found

    monkeypatch.setattr(torch.linalg, "eigh", fails_in_float32)
    basis = soap._eigenbasis(matrix)
    torch.testing.assert_close(basis[:, 0].abs(), torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(basis.T @ basis, torch.eye(2))


def test_a_gradient_that_is_not_finite_does_not_end_the_step() -> None:
    assert soap._eigenbasis(torch.full((3, 3), float("nan"))).equal(torch.eye(3))
