"""Networks that draw random numbers, are in training mode or change their buffers are refused, naming the layer."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clearport.base import Size
from clearport.errors import BadInput
from clearport.export import from_torch
from clearport.export.deviations import deviations
from clearport.model_spec import ModelSpec, Paper
from clearport.models import modes

IMAGE = torch.full((1, 3, 8, 8), 0.5)


class Around(nn.Module):
    """A convolution, something, a convolution."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.head, self.middle, self.tail = nn.Conv2d(3, 8, 3, padding=1), middle, nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        restored: torch.Tensor = self.tail(self.middle(self.head(image)))
        return restored


class Does(nn.Module):
    """Whatever a function of features does."""

    def __init__(self, what) -> None:
        super().__init__()
        self.what = what
        self.register_buffer("count", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        done: torch.Tensor = self.what(self, x)
        return done


class Counting(Does):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x


def normed(layer: Does, x: torch.Tensor) -> torch.Tensor:
    """Batch statistics in use, and their mean kept."""
    return functional.batch_norm(x, layer.count, torch.ones(8), training=True)


DRAWING = {
    "rand_like": lambda _, x: x + 1e-6 * torch.rand_like(x),
    "randn": lambda _, x: x + torch.randn(x.shape),
    "randint": lambda _, x: x + torch.randint(0, 2, (1,)),
    "bernoulli": lambda _, x: x * torch.bernoulli(torch.full_like(x, 0.9)),
    "randperm": lambda _, x: x[:, torch.randperm(8)],
    "normal": lambda _, x: x + torch.normal(0.0, 1.0, (1, 8, 1, 1)),
    "uniform": lambda _, x: x + torch.empty_like(x).uniform_(),
    "dropout": lambda _, x: functional.dropout(x, 0.1),
    "dropout2d": lambda _, x: functional.dropout2d(x, 0.1),
    "seeded": lambda _, x: x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)),
    "rrelu": lambda _, x: functional.rrelu(x, training=True),
    "gumbel": lambda _, x: functional.gumbel_softmax(x, dim=1),
}


@pytest.mark.parametrize("how", DRAWING)
def test_random_numbers_are_refused_with_their_layer(how: str) -> None:
    with pytest.raises(BadInput, match=r"net: layer 'middle' draws random numbers \(\w+\) although"):
        modes.check_repeatable(Around(Does(DRAWING[how])).eval(), [IMAGE], "net")


class StaysOn(nn.Dropout):
    """Monte Carlo dropout: eval() does not turn it off."""

    def train(self, mode: bool = True) -> StaysOn:
        super().train(True)
        return self


@pytest.mark.parametrize("what", [lambda _, x: x * random.random(), lambda _, x: x * float(np.random.rand())])
def test_numbers_from_elsewhere_are_refused(what) -> None:
    with pytest.raises(BadInput, match="two runs on the same picture differ by up to"):
        modes.check_repeatable(Around(Does(what)).eval(), [IMAGE], "net")


@pytest.mark.parametrize("layer", [Counting(None), Does(normed)])
def test_buffers_that_change_are_refused(layer: nn.Module) -> None:
    with pytest.raises(BadInput, match=r"buffer 'middle\.count' changes whenever the network runs"):
        modes.check_repeatable(Around(layer).eval(), [IMAGE], "net")


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout2d(0.1), nn.AlphaDropout(0.1), nn.BatchNorm2d(8)])
def test_training_mode_is_refused_where_it_matters(layer: nn.Module) -> None:
    with pytest.raises(BadInput, match=r"layer 'middle' \(\w+\) is in training mode.*call \.eval\(\)"):
        modes.check_eval(Around(layer), "net")
    modes.check_eval(Around(layer).eval(), "net")
    modes.check_repeatable(Around(layer).eval(), [IMAGE], "net")


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.ReLU(), StaysOn(0.0)])
def test_training_mode_that_changes_nothing_is_taken(layer: nn.Module) -> None:
    modes.check_eval(Around(layer), "net")


def test_a_cache_filled_by_the_first_run_is_not_a_change() -> None:
    def cached(layer: Does, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(layer, "grid"):
            layer.register_buffer("grid", torch.linspace(0, 1, x.shape[3]), persistent=False)
        return x + layer.grid

    modes.check_repeatable(Around(Does(cached)).eval(), [IMAGE], "net")


SPEC = ModelSpec("net", "deraining", lambda _: None, (1,), 1, 2, Paper("", "0"), value_range=(0.0, 1.0))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (StaysOn(0.2), r"layer 'middle' \(StaysOn\) is in training mode"),
        (Does(DRAWING["dropout"]), "layer 'middle' draws random numbers"),
        (Does(DRAWING["randn"]), "layer 'middle' draws random numbers"),
        (nn.Dropout(0.2).train(), "call .eval"),
    ],
)
def test_an_export_refuses_them(layer: nn.Module, words: str) -> None:
    module = Around(layer).eval()
    layer.train()
    with pytest.raises(BadInput, match=words):
        from_torch.export_graph(module, SPEC, 1, Size(16, 16))


class Shaky(nn.Module):
    """Single precision gets it wrong by a fifth of the range: 1e8 is added and taken away."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image + 2e6 * image.mean()) - 2e6 * image.mean()


@pytest.mark.slow
def test_the_allowance_for_rounding_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = from_torch.export_graph(Around(nn.ReLU()).eval(), SPEC, 1, Size(16, 16))
    found = deviations(Shaky(), graph, SPEC, Size(16, 16))
    assert [each.image for each in found] == ["noise", "calm noise", "photo-like"]
    assert all(deviation.max_abs > deviation.allowed == pytest.approx(1e-3) for deviation in found[1:])


class Amplifying(nn.Module):
    """Darkness gets large numbers added and taken away again, beside which float32 loses the picture.

    ``canceled``: without them, as real numbers would have it. Noise is dark in places, the photo-like picture is not.
    """

    def __init__(self, wrong: float = 0.0, *, canceled: bool = False) -> None:
        super().__init__()
        self.wrong, self.canceled = wrong, canceled

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        large = 1e7 * torch.relu(0.2 - image)
        return torch.sin(image) + self.wrong if self.canceled else (torch.sin(image) + large + self.wrong) - large


def test_noise_that_float32_does_not_hold_is_calmed() -> None:
    graph = from_torch.export_graph(Amplifying(canceled=True).eval(), SPEC, 1, Size(48, 64))
    found = deviations(Amplifying().eval(), graph, SPEC, Size(48, 64))
    assert [each.image for each in found] == ["noise", "calm noise", "photo-like"]
    assert all(each.max_abs <= each.allowed for each in found)
    other = deviations(Amplifying(0.01).eval(), graph, SPEC, Size(48, 64))
    assert all(each.max_abs > each.allowed for each in other[1:]), "a graph that is wrong is found all the same"


def test_calm_noise_excuses_no_graph_that_is_wrong_where_only_contrast_leads() -> None:
    wrong = Does(lambda _, image: torch.sin(image) + 1e9 * torch.relu(0.1 - image))
    graph = from_torch.export_graph(wrong.eval(), SPEC, 1, Size(48, 64))
    found = deviations(Amplifying().eval(), graph, SPEC, Size(48, 64))
    assert [each.max_abs <= each.allowed for each in found] == [False, True, True]
