"""Alpha of what was clicked on, at 128x128, with its uncertainty (after arXiv 2012.08323): see ``layers.matting``.

With ``matrefine`` it is the system ``matting``, which takes pictures of any size.

The bundled weights learned from synthetic composites only. On composites of 40 other photos, SAD is 7.79 and MSE 25.8,
where no alpha at all has 23.03 and 147.0.
"""

from __future__ import annotations

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.matting import COARSE, Matting


def build(scale: int) -> Matting:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Matting(refines=False).eval()


UNIT = (0.0, 1.0)
PAPER = Paper("Improved Image Matting via Real-time User Clicks and Uncertainty Estimation", "2012.08323")
PICTURE = TensorSpec("image", (1, 3, "H", "W"), value_range=UNIT)
ALPHA = TensorSpec("alpha", (1, 1, "H", "W"), value_range=UNIT, color="Y")
RECIPE = {
    "degradation": "composite",
    "loss": "matting",
    "patch": COARSE,
    "batch": 16,
    "optimizer": "adam",
    "lr": 2e-3,
    "ema": 0.999,
    "bias_unit": 1.0,
}

SPEC = ModelSpec(
    name="matcoarse",
    task="matting",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,
    recommended=True,
    size_multiple=16,
    least_side=64,
    value_range=UNIT,
    paper=PAPER,
    inputs=(PICTURE, TensorSpec("clicks", (1, 1, "H", "W"), kind="map", value_range=(-1.0, 1.0))),
    outputs=(ALPHA, TensorSpec("scale", (1, 1, "H", "W"), kind="map", value_range=None)),
    recipe=RECIPE,
)
