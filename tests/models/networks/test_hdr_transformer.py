"""HDR-Transformer: sizes of the published and the small form, and a batch is what its pictures are."""

from __future__ import annotations

import torch

from clearport.base import Size
from clearport.models.cost import cost
from clearport.models.networks.hdr.hdrtransformer import PUBLISHED, HdrTransformer
from clearport.registry import NETWORKS

SPEC = NETWORKS.get("hdrtransformer")


def test_it_has_the_parameters_that_are_published_and_a_small_form() -> None:
    with torch.device("meta"):
        published = HdrTransformer(*PUBLISHED)
    assert sum(p.numel() for p in published.parameters()) == 1_222_113
    found = cost(SPEC.build(1), Size(128, 128), SPEC.inputs)
    assert (found.params, round(found.macs / 1e9, 2)) == (122_943, 2.12)


@torch.inference_mode()
def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    network = SPEC.build(1)
    frames = [torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    together = network(*frames)
    assert together.shape == frames[0].shape
    for number in range(2):
        assert torch.allclose(network(*(frame[number : number + 1] for frame in frames)), together[number], atol=1e-5)


def test_black_frames_have_gradients() -> None:
    network = SPEC.build(1).train()
    frames = [torch.zeros(1, 3, 16, 16, requires_grad=True) for _ in range(3)]
    network(*frames).sum().backward()
    assert all(frame.grad is not None and frame.grad.isfinite().all() for frame in frames)
