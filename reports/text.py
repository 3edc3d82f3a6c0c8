"""Formatting of numbers and pixel contracts."""

from __future__ import annotations

import math

from clearport.base import TensorSpec


def number(value: float, digits: int = 3) -> str:
    """``digits`` significant digits, without an exponent if readable: 75.1, 0.0042, 2 310."""
    if not math.isfinite(value):
        return "∞" if value > 0 else str(value)
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return "< 0.000001" if value > 0 else f"{value:.1e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def trimmed(text: str) -> str:
    """A decimal number without trailing zeros: 2.5, not 2.50."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: int) -> str:
    """An integer with separated thousands: 52 279."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def kilobytes(size: int) -> str:
    """Bytes as kB (1000 bytes), with one decimal."""
    return f"{size / 1000:,.1f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def large(value: int) -> str:
    """A large count with an SI prefix: 52.3 k, 12.0 G."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}\N{NARROW NO-BREAK SPACE}{prefix}"
    return str(value)


def percent(share: float) -> str:
    """A share 0..1 as percentage; never rounded up to 100 or down to 0."""
    shown = f"{share * 100:.2f}"
    if shown == "100.00" and share < 1:
        return "> 99.99"
    return "< 0.01" if shown == "0.00" and share > 0 else shown


def in_words(value: object) -> str:
    """A JSON value without its punctuation: ``{"name": "T91", "photos": 91}`` is ``T91 (photos: 91)``."""
    if isinstance(value, dict):
        rest = ", ".join(_entry(key, held) for key, held in value.items() if key != "name")
        if "name" not in value:
            return rest
        return f"{in_words(value['name'])} ({rest})" if rest else in_words(value["name"])
    if isinstance(value, list):
        return "; ".join(in_words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _entry(key: str, value: object) -> str:
    label, words = key.replace("_", " "), in_words(value)
    return f"{label} ({words})" if isinstance(value, dict | list) else f"{label}: {words}"


_PICTURE_AXES = 4


def plain(value: float) -> str:
    """A number of a contract: 255, not 255.0."""
    return f"{value:g}"


def shape(spec: TensorSpec) -> str:
    """``1×360×640×3``; dynamic axes by their names."""
    return "×".join(str(n) for n in spec.shape)


def contract(spec: TensorSpec) -> str:
    """The contract of a tensor in one line: name, dtype, layout, shape, color or kind, range, quantization."""
    reach = "" if spec.value_range is None else f" {plain(spec.value_range[0])}–{plain(spec.value_range[1])}"
    layout = f"{spec.layout} " if spec.is_picture or len(spec.shape) == _PICTURE_AXES else ""
    what = spec.color if spec.is_picture else spec.kind
    parts = [f"{spec.name}: {spec.dtype}", f"{layout}{shape(spec)}", f"{what}{reach}"]
    if spec.scale is not None:
        zero = spec.zero_point or 0
        offset = f" {'−' if zero > 0 else '+'} {abs(zero)}" if zero else ""
        word = "pixel" if spec.is_picture else "value"
        parts.append(f"{word} = {f'(q{offset})' if offset else 'q'} × {trimmed(number(spec.scale, 6))}")
    return ", ".join(parts)
