"""PRN: a shallow residual network, repeated (arXiv 1901.09221).

    image ─────────────┬─ concat ─ conv 6-32 ─ 5 residual blocks ─ conv 32-3 ─ add image ─ picture of stage t ─ clip
    picture of t - 1 ──┘ (at first the image)                                              (6 stages, same weights)

As the paper has it: 32 channels, 6 stages, no normalization, plain residual blocks (the variant PRN_r, which repeats
one block five times, is not built here). It was trained with the negative SSIM of the last stage, in RGB 0..1.
"""

from __future__ import annotations

import torch

from clearport.model_spec import ModelSpec
from clearport.models.layers.progressive import PAPER, PUBLISHED, STAGES, Progressive
from clearport.models.training.outputs import Restored


class PRN(Progressive):
    """RGB image (B, 3, H, W) float32 in 0..1 to the same without rain. 95,107 parameters.

    In training mode it gives ``Restored`` with the pictures of the earlier stages, (B, 3, H, W) each, as auxiliary.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start()

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        pictures = [image]
        for _ in range(STAGES):
            pictures.append(self.derain(image, self.look(image, pictures[-1])))
        if self.training:
            return Restored(pictures[-1], auxiliary=tuple(pictures[1:-1]))
        return pictures[-1].clamp(0.0, 1.0)


def build(scale: int) -> PRN:
    """PRN in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return PRN().eval()


SPEC = ModelSpec(
    name="prn",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=36,  # six stages of 12 convolutions reach 72 pixels far; what lies beyond half of it weighs next to nothing
    value_range=(0.0, 1.0),
    paper=PAPER,
    published=PUBLISHED,
    recipe={"degradation": "rain", "loss": "ssim", "lr": 1e-3, "patch": 48, "batch": 4},
)
