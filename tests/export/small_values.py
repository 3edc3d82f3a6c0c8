"""Very small values between int8 convolutions, of which OpenVINO drops the zero point."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tflite.harness import weight

CONV = {"pads": [1, 1, 1, 1]}
TINY = (
    ("Conv", "y w b", "a", CONV),
    ("Conv", "y u b", "c", CONV),
    ("Add", "a c", "s", {}),
    ("Conv", "s v d", "restored", CONV),
)
TINY_CONSTANTS = {
    "w": 1e-8 * weight(8, 8, 3, 3),
    "u": 2e-8 * weight(8, 8, 3, 3, seed=8),
    "v": 1e8 * weight(3, 8, 3, 3),
    "b": 0 * weight(8),
    "d": weight(3),
}
"""Very small values between convolutions, which the last one makes large again."""


def drops_zero_points_of_small_values() -> bool:
    """A convolution between two roundings, to a range that begins at -1e-7."""
    import openvino as ov
    from openvino import opset13 as op

    def rounded(value: Any, low: float, high: float) -> Any:
        return op.fake_quantize(value, *[op.constant(np.float32(end)) for end in (low, high, low, high)], levels=256)

    pixels = op.parameter((1, 16, 8, 8), np.float32)
    levels = np.random.default_rng(0).integers(-63, 64, (16, 16, 1, 1)).astype(np.int8)
    kernel = op.multiply(op.convert(op.constant(levels), np.float32), op.constant(np.float32(2e-11)))
    summed = op.convolution(rounded(pixels, 0, 1), kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    model = ov.Model([rounded(summed, -1e-7, 1.55e-7)], [pixels])
    image = np.random.default_rng(1).random((1, 16, 8, 8)).astype(np.float32)
    found, wanted = (
        ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": mode})(image)[0]
        for mode in (True, False)
    )
    return bool(np.abs(found - wanted).max() > 1e-8)
