"""Hides 32 bits in a picture, after robust identity watermarking (arXiv 2311.01357): see ``layers.watermark``.

What the bits are is up to the app. The paper's are a face embedding, encrypted: a third network and a cipher on the
host. A picture that carries another face's bits was manipulated; here that comparison is the app's, too.
"""

from __future__ import annotations

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.watermark import BITS, Watermark


def build(scale: int) -> Watermark:
    """The network in eval mode with fresh weights; it has one scale. The embedder has 28,257 parameters."""
    del scale
    return Watermark(reads=False).eval()


UNIT = (0.0, 1.0)
PAPER = Paper("Robust Identity Perceptual Watermark Against Deepfake Face Swapping", "2311.01357")
PICTURE = TensorSpec("image", (1, 3, "H", "W"), value_range=UNIT)
RECIPE = {
    "degradation": "mark",
    "loss": "bits + 1000*l2",
    "patch": 128,
    "batch": 8,
    "optimizer": "adam",
    "lr": 1e-3,
    "bias_unit": 1.0,
}

SPEC = ModelSpec(
    name="wmembed",
    task="watermarking",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=3,
    size_multiple=16,
    least_side=32,
    value_range=UNIT,
    recommended=True,
    paper=PAPER,
    inputs=(PICTURE, TensorSpec("bits", (1, BITS), kind="bits", value_range=UNIT)),
    outputs=(TensorSpec("marked", (1, 3, "H", "W"), value_range=UNIT),),
    recipe=RECIPE,
)
