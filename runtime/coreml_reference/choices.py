"""MIL operations referenced by operator records: comparisons, selection, rounding, indexing and normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.coreml_reference.arguments import Arguments

_PADDING = {"constant": "zeros", "border": "border", "reflection": "reflection"}


def equal(a: Arguments) -> Tensor:
    """x == y."""
    return a.tensor("x") == a.tensor("y")


def greater(a: Arguments) -> Tensor:
    """x > y."""
    return a.tensor("x") > a.tensor("y")


def greater_equal(a: Arguments) -> Tensor:
    """x >= y."""
    return a.tensor("x") >= a.tensor("y")


def less(a: Arguments) -> Tensor:
    """x < y."""
    return a.tensor("x") < a.tensor("y")


def less_equal(a: Arguments) -> Tensor:
    """x <= y."""
    return a.tensor("x") <= a.tensor("y")


def logical_and(a: Arguments) -> Tensor:
    """x and y."""
    return a.raw("x").logical_and(a.raw("y"))


def logical_or(a: Arguments) -> Tensor:
    """x or y."""
    return a.raw("x").logical_or(a.raw("y"))


def logical_xor(a: Arguments) -> Tensor:
    """x xor y."""
    return a.raw("x").logical_xor(a.raw("y"))


def logical_not(a: Arguments) -> Tensor:
    """not x."""
    return a.raw("x").logical_not()


def select(a: Arguments) -> Tensor:
    """``a`` where ``cond``, else ``b``."""
    return torch.where(a.raw("cond").bool(), a.tensor("a"), a.tensor("b"))


def ceil(a: Arguments) -> Tensor:
    """The smallest integer not below x."""
    return a.tensor("x").ceil()


def floor(a: Arguments) -> Tensor:
    """The largest integer not above x."""
    return a.tensor("x").floor()


def rounded(a: Arguments) -> Tensor:
    """The nearest integer, ties to even."""
    return a.tensor("x").round()


def sign(a: Arguments) -> Tensor:
    """The sign of x: -1, 0 or 1."""
    return a.tensor("x").sign()


def sin(a: Arguments) -> Tensor:
    """Sine of radians."""
    return a.tensor("x").sin()


def cos(a: Arguments) -> Tensor:
    """Cosine of radians."""
    return a.tensor("x").cos()


def elu(a: Arguments) -> Tensor:
    """x, or alpha * (exp(x) - 1) below 0."""
    return F.elu(a.tensor("x"), float(a.tensor("alpha")) if "alpha" in a.given else 1.0)


def instance_norm(a: Arguments) -> Tensor:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, for each picture and channel."""
    epsilon = float(a.tensor("epsilon")) if "epsilon" in a.given else 1e-5
    return F.instance_norm(a.tensor("x"), weight=a.optional("gamma"), bias=a.optional("beta"), eps=epsilon)


def resample(a: Arguments) -> Tensor:
    """Pixels at coordinates (x, y) in -1..1; those beyond the picture by ``padding_mode``, a constant of 0."""
    if a.text("coordinates_mode", "normalized_minus_one_to_one") != "normalized_minus_one_to_one":
        raise a.refuse(f"coordinates_mode {a.text('coordinates_mode')!r}")
    if "padding_value" in a.given and float(a.tensor("padding_value")):
        raise a.refuse("a padding value other than 0 is not evaluated")
    return F.grid_sample(
        a.tensor("x"),
        a.tensor("coordinates"),
        mode=a.text("sampling_mode", "bilinear"),
        padding_mode=_PADDING[a.text("padding_mode", "constant")],
        align_corners=a.flag("align_corners"),
    )


def topk(a: Arguments) -> Tensor:
    """The ``k`` largest along ``axis`` (or smallest, ``ascending``), sorted; indices are not evaluated."""
    return a.tensor("x").topk(a.integer("k", 1), a.integer("axis", -1), largest=not a.flag("ascending")).values


def argmax(a: Arguments) -> Tensor:
    """The index of the maximum."""
    return a.tensor("x").argmax(a.integer("axis", -1), keepdim=a.flag("keep_dims", True))


def argmin(a: Arguments) -> Tensor:
    """The index of the minimum."""
    return a.tensor("x").argmin(a.integer("axis", -1), keepdim=a.flag("keep_dims", True))
