"""Whether a QDQ model (``qdq``) follows a scale table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clearport.base import Array
    from clearport.quantized import QParams, ScaleTable

_UINT8_OFFSET = 128
"""Zero points of the table are those of int8."""


def read_parameters(path: Path) -> dict[str, Array]:
    """Scales and zero points in a file of ``to_qdq``, by the names ``<tensor>.scale`` and ``<tensor>.zero_point``.

    Raises:
        DecodeError: it is no ONNX file.
    """
    held = onnx.load_model_from_string(path.read_bytes()).graph.initializer
    own = [each for each in held if each.name.endswith((".scale", ".zero_point")) and not each.external_data]
    return {each.name: onnx.numpy_helper.to_array(each) for each in own}


def contradictions(table: ScaleTable, written: Mapping[str, Array]) -> list[str]:
    """The tensors whose parameters in a file (``read_parameters``) are others than in a table, or are in one alone."""
    names = {name.removesuffix(".scale") for name in written if name.endswith(".scale")}
    return sorted(
        (names ^ table.entries.keys())
        | {name for name in names & table.entries.keys() if not _is_as_written(table[name], name, written)}
    )


def _is_as_written(params: QParams, name: str, written: Mapping[str, Array]) -> bool:
    scale, zero = written[f"{name}.scale"], written.get(f"{name}.zero_point")
    if zero is None or not np.array_equal(np.asarray(params.scale, np.float32), scale.reshape(-1)):
        return False
    offset = _UINT8_OFFSET if zero.dtype == np.uint8 else 0
    return bool((zero == params.zero_point + offset).all())
