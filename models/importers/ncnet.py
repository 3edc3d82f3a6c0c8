"""Importer of NCNet's published weights: a PyTorch state dict of the fp32 network, and int8 TFLite files.

The TFLite file is read with the schema's lazy accessors, and every count and index is checked before use, since offsets
in a damaged flatbuffer may point anywhere. The last convolution is permuted: TensorFlow's depth_to_space orders
channels s*3+c, PyTorch's PixelShuffle c*s²+s.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clearport.disk.files import explain
from clearport.errors import BadInput, NotInstalled

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from clearport.models.importers.checkpoint import Source

_CONVOLUTIONS = 7
_PUBLISHED_KEY = re.compile(r"body\.(0|2|4|6|8|10|12)\.(weight|bias)")
_LARGEST_FILE = 16 << 20
_MOST_OPERATORS = 64
_MOST_TENSORS = 256
# What the flatbuffers package and the schema's accessors raise when an offset leads nowhere.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' fp32 weights (``body.0`` to ``body.12`` in steps of two), or None for any other file."""
    del scale  # recognized by shapes, which the caller checks against the network
    state = source.tensors
    if state is None or len(state) != 2 * _CONVOLUTIONS or not all(_PUBLISHED_KEY.fullmatch(key) for key in state):
        return None
    return {_own_key(int(key.split(".")[1]) // 2, key.split(".")[2]): value for key, value in state.items()}


def _own_key(index: int, kind: str) -> str:
    return f"tail.{kind}" if index == _CONVOLUTIONS - 1 else f"body.{index}.{kind}"


def published_tflite(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The weights in one of the authors' TFLite files, dequantized to float32, or None for any other file.

    Raises:
        BadInput: it is a TFLite file, but damaged or not NCNet.
        NotInstalled: the ``tflite`` extra is missing.
    """
    path = source.path
    data = None if source.tensors is not None else _tflite_bytes(path)
    if data is None:
        return None
    try:
        convolutions = list(_convolutions(data, path))
    except _DAMAGE as error:
        raise BadInput(f"{path}: damaged or truncated TFLite file ({type(error).__name__}: {error})") from error
    return _state_dict(convolutions, scale, path)


def _tflite_bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise explain(error, path) from error
    if data[4:8] != b"TFL3":
        return None
    if len(data) > _LARGEST_FILE:
        raise BadInput(f"{path}: a TFLite file of more than {_LARGEST_FILE >> 20} MiB is not NCNet")
    return data


@dataclass(frozen=True)
class _Convolution:
    """A CONV_2D of the file: kernel (out, in, k, k) and bias (out,), both float32."""

    kernel: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise NotInstalled("ai-edge-litert", "tflite") from error
    return schema_py_generated


def _convolutions(data: bytes, path: Path) -> Iterable[_Convolution]:
    schema = _schema()
    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    if graph is None or not 0 < graph.OperatorsLength() <= _MOST_OPERATORS or graph.TensorsLength() > _MOST_TENSORS:
        raise BadInput(f"{path}: a TFLite file, but not NCNet (wrong number of operators)")
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) != schema.BuiltinOperator.CONV_2D:
            continue
        if operator.InputsLength() != 3:
            raise BadInput(f"{path}: a TFLite file, but not NCNet (operator {i} is a convolution without bias)")
        kernel, bias = (_constant(model, graph, operator.Inputs(k), path) for k in (1, 2))
        yield _Convolution(np.ascontiguousarray(kernel.transpose(0, 3, 1, 2)), bias)


def _constant(model: Any, graph: Any, index: int, path: Path) -> npt.NDArray[np.float32]:
    """A constant tensor as float32: int8 and int32 are multiplied by their scales (one, or one per output)."""
    if not 0 <= index < graph.TensorsLength():
        raise IndexError(f"tensor {index}")
    tensor = graph.Tensors(index)
    shape = tuple(int(tensor.Shape(k)) for k in range(min(tensor.ShapeLength(), 4)))
    dtype = {0: "<f4", 2: "<i4", 9: "<i1"}[tensor.Type()]
    buffer = model.Buffers(tensor.Buffer())
    raw = buffer.DataAsNumpy()
    values = np.frombuffer(np.asarray(raw, np.uint8).tobytes(), dtype).reshape(shape).astype(np.float64)
    if dtype != "<f4":
        values *= _scales(tensor, shape, path).reshape(-1, *[1] * (len(shape) - 1))
    return values.astype(np.float32)


def _scales(tensor: Any, shape: tuple[int, ...], path: Path) -> npt.NDArray[np.float64]:
    parameters = tensor.Quantization()
    scales = np.asarray(parameters.ScaleAsNumpy(), np.float64).reshape(-1)
    zero_points = np.asarray(parameters.ZeroPointAsNumpy()).reshape(-1)
    if len(scales) not in {1, shape[0]} or not np.all(np.isfinite(scales)) or np.any(zero_points != 0):
        raise BadInput(f"{path}: a weight is not quantized symmetrically per output channel, as in NCNet's files")
    return scales


def _state_dict(convolutions: list[_Convolution], scale: int, path: Path) -> dict[str, torch.Tensor]:
    wide = [c for c in convolutions if c.kernel.shape[2:] == (3, 3)]
    nearest = [c for c in convolutions if c.kernel.shape[2:] == (1, 1)]
    if len(wide) != _CONVOLUTIONS or len(nearest) != 1 or len(convolutions) != _CONVOLUTIONS + 1:
        raise BadInput(f"{path}: a TFLite file, but not NCNet (expected seven 3x3 convolutions and one 1x1)")
    colors = 3 * scale * scale
    if wide[-1].kernel.shape[0] != colors:
        raise BadInput(
            f"{path}: outputs {wide[-1].kernel.shape[0]} channels, but NCNet x{scale} has {colors}: see --scale"
        )
    order = np.arange(colors).reshape(scale * scale, 3).T.reshape(-1)
    if not np.allclose(nearest[0].kernel[order, :, 0, 0], np.repeat(np.eye(3), scale * scale, axis=0), atol=1e-3):
        raise BadInput(f"{path}: its 1x1 convolution does not repeat the image's colors, so it is not NCNet")
    wide[-1] = _Convolution(wide[-1].kernel[order], wide[-1].bias[order] + nearest[0].bias[order])
    state: dict[str, torch.Tensor] = {}
    for i, convolution in enumerate(wide):
        state[_own_key(i, "weight")] = torch.from_numpy(convolution.kernel)
        state[_own_key(i, "bias")] = torch.from_numpy(convolution.bias)
    return state
