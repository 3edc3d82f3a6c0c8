"""Networks are widened for training: what counts, reads its kernels, or is small."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearport.models.training.state import State
from clearport.models.training.widen import Widening, collapse, widen

pytestmark = pytest.mark.usefixtures("one_thread")


class Counting(nn.Module):
    """A network with batch normalization, that computes with the kernel of one of its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.normal = nn.BatchNorm2d(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.normal(self.first(image))
        return nn.functional.conv2d(features, 0.5 * self.second.weight, self.second.bias, padding=1)


def test_networks_may_count_and_may_read_their_kernels() -> None:
    torch.manual_seed(0)
    plain = Counting()
    trainee = widen(plain, Widening(2, bfloat16=False, bias_unit=255.0))
    for parameter in trainee.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    image = torch.rand(2, 3, 8, 8) * 255
    state = State({k: v.clone() for k, v in collapse(trainee).items()}, {})
    trainee(image)
    state.average_in(collapse(trainee), 0.9)
    assert int(state.average["normal.num_batches_tracked"]) == 1
    plain.load_state_dict(collapse(trainee))
    torch.testing.assert_close(plain.eval()(image), trainee.eval()(image))


@pytest.mark.parametrize(("side", "in_float32"), [(1, True), (2, True), (3, False)])
def test_features_smaller_than_a_kernel_are_convolved_in_float32(side: int, in_float32: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(48, 64, 3, stride=2, padding=1))
    trainee = widen(plain, Widening(0, bfloat16=True, bias_unit=1.0))
    made = trainee(torch.randn(2, 48, side, side))
    assert (made.dtype == torch.float32) == in_float32
    made.float().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trainee.parameters())
