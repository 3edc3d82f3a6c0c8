"""Hypothesis strategies of convolutions, plain and transposed."""

from __future__ import annotations

from hypothesis import strategies as st

from .tflite.harness import Case, conv_case, one, weight

KERNELS = st.tuples(st.integers(1, 5), st.integers(1, 5))
STRIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def _window(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, ...],
    depthwise: bool,
) -> Case:
    attributes = {"strides": strides, "dilations": dilations, "pads": pads} | ({"group": 3} if depthwise else {})
    return conv_case((3, 1 if depthwise else 3, *kernel), **attributes)


def _transposed(kernel: int, stride: int, pads: tuple[int, ...], extra: tuple[int, int]) -> Case:
    extra = tuple(min(e, stride - 1, after) for e, after in zip(extra, pads[2:], strict=True))
    node = one("ConvTranspose", "image w b", strides=[stride] * 2, pads=pads, output_padding=list(extra))
    return Case((node,), {"w": weight(3, 2, kernel, kernel), "b": weight(2)})


CONVOLUTIONS = st.builds(
    _window,
    kernel=KERNELS,
    strides=STRIDES,
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    depthwise=st.booleans(),
)
TRANSPOSED = st.builds(
    _transposed,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    extra=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
