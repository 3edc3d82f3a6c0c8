"""PyTorch network -> checked ONNX graph in clearport's dialect."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common

from clearport.base import BadInput, CheckFailed, Graph, ModelSpec, Size, TensorSpec
from clearport.export.passes import order as passes
from clearport.graph import nodes as graphs
from clearport.models import modes
from clearport.pictures.images import MAX_PIXELS

if TYPE_CHECKING:
    from clearport.base import Array

INPUT, OUTPUT = "image", "restored"
TOLERANCE = 1e-4
"""The largest deviation of ONNX Runtime from PyTorch, as a share of the value range."""
_ROUNDINGS = 64.0
"""A network that float32 itself cannot compute better (deep attention on noise: its numbers are far from float64's) may
deviate by this many times its own error: kernels add in other orders, which move the result by some such errors.
Measured, RLFN x4 with the published weights on noise of 48x64: PyTorch is 0.0007 of 255 from float64, ONNX Runtime 26
times as far without its optimisations and 42 times with them, at a fixed and at a free size alike."""
_MOST = 1e-3
"""However ill-conditioned a network is, its graph may deviate by no more, as a share of the value range: a quarter of
an 8-bit level."""


@dataclass(frozen=True)
class Deviation:
    """How far a graph is from its network on one image, in real values, and how far it may be."""

    image: str
    size: Size
    max_abs: float
    allowed: float


def export_graph(module: torch.nn.Module, spec: ModelSpec, scale: int, size: Size | None) -> Graph:
    """Export ``module`` for a fixed input ``size``, or for every size (None), and check it against PyTorch.

    Returns:
        The graph after all passes: ``image`` float32 (1, 3, H, W) RGB in ``spec.value_range`` to ``restored``.

    Raises:
        BadInput: the size is not one that the network takes, or the network cannot be exported: PyTorch says so, it is
            in training mode, draws numbers, or changes when it runs.
        CheckFailed: the graph's output is not PyTorch's.
    """
    check_size(spec, size)
    modes.check_eval(module, spec.name)
    modes.check_repeatable(module.eval(), torch.from_numpy(_noise(spec, size or _example(spec))), spec.name)
    exported = _to_onnx(deployed(module), spec, size)
    raw = _as_graph(exported, spec, scale)
    graph = passes.run(raw)
    for deviation in deviations(module, graph, spec, size):
        if not deviation.max_abs <= deviation.allowed:
            raise CheckFailed(
                f"{spec.name}: the exported graph is not the network: on the {deviation.image} image of "
                f"{deviation.size} it is off by up to {deviation.max_abs:g} in {spec.value_range}, "
                f"more than {deviation.allowed:g}"
            )
    return graph


def deployed(module: torch.nn.Module) -> torch.nn.Module:
    """The plain form of a network that is re-parameterised for training (its ``deploy()``), else the network itself."""
    deploy = getattr(module, "deploy", None)
    plain: torch.nn.Module = module if deploy is None else deploy()
    return plain.eval()


def check_size(spec: ModelSpec, size: Size | None) -> None:
    """Whether the network takes this input size (None: any).

    Raises:
        BadInput: it is too small, too large, or not a multiple; the nearest size that is right is named.
    """
    if size is None:
        return
    least = _least(spec)
    if size.height < least or size.width < least:
        raise BadInput(f"{spec.name}: size {size} is too small; each side must be at least {least} pixels")
    if size.height * size.width > MAX_PIXELS:
        raise BadInput(f"{spec.name}: size {size} is over {MAX_PIXELS} pixels; run larger pictures in tiles")
    step = spec.size_multiple
    if size.height % step or size.width % step:
        near = Size(*(max(least, round(n / step) * step) for n in (size.height, size.width)))
        if near.height * near.width > MAX_PIXELS:
            near = Size(*(n // step * step for n in (size.height, size.width)))
        raise BadInput(f"{spec.name}: size {size}: both sides must be multiples of {step}, for example {near}")


def _least(spec: ModelSpec) -> int:
    return -(-spec.least_side // spec.size_multiple) * spec.size_multiple


def _to_onnx(module: torch.nn.Module, spec: ModelSpec, size: Size | None) -> ir.Model:
    shown = size or _example(spec)
    example = torch.zeros(1, 3, shown.height, shown.width)
    free: Any = None if size is not None else ({2: _free_side(spec, "H"), 3: _free_side(spec, "W")},)
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=graphs.OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=free,
                custom_translation_table={torch.ops.aten.pixel_unshuffle.default: _unshuffled},
                optimize=False,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        what = str(size) if size is not None else "a free size (give --size HEIGHTxWIDTH instead)"
        raise BadInput(f"{spec.name}: PyTorch cannot export it for {what}: {_first_line(error)}") from error
    assert program is not None
    return program.model


def _unshuffled(image: Any, factor: int) -> Any:
    """pixel_unshuffle as two operators: the exporter's own form computes sizes, where they are free."""
    from onnxscript import opset20 as op

    channels = image.shape[1]
    order = np.arange(channels * factor**2).reshape(factor**2, channels).T.reshape(-1)
    packed = op.SpaceToDepth(image, blocksize=factor)  # channel s*C + c, where PyTorch has c*factor² + s
    return op.Gather(packed, op.Constant(value_ints=order.tolist()), axis=1)


def _free_side(spec: ModelSpec, name: str) -> Any:
    least, most = _least(spec) // spec.size_multiple, 8192 // spec.size_multiple
    return spec.size_multiple * torch.export.Dim(name, min=least, max=most)


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress lines, deprecation warnings or notes on missing packages from the exporter."""
    chatter = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        chatter.setLevel(level)


def _as_graph(model: ir.Model, spec: ModelSpec, scale: int) -> Graph:
    """The exporter's model without traces of the machine that made it, with its pixel contract."""
    common.ClearMetadataAndDocStringPass()(model)
    model.producer_name, model.producer_version = "clearport", ""
    model.graph.name = spec.name
    for value in model.graph.initializers.values():
        tensor = value.const_value
        assert tensor is not None
        value.const_value = ir.tensor(np.array(tensor.numpy()), name=value.name)
    source, restored = (_tensor_spec(v, spec) for v in (model.graph.inputs[0], model.graph.outputs[0]))
    about = {"task": spec.task, "paper": spec.paper.title, "url": spec.paper.url, "license": spec.license}
    return Graph(model, (source,), (restored,), spec.name, scale, least_side=spec.least_side, credits=about)


def _tensor_spec(value: ir.Value, spec: ModelSpec) -> TensorSpec:
    assert value.shape is not None
    shape = tuple(n if isinstance(n, int) else str(n.value) for n in value.shape)
    return TensorSpec(graphs.name_of(value), shape, value_range=spec.value_range)


def deviations(module: torch.nn.Module, graph: Graph, spec: ModelSpec, size: Size | None) -> list[Deviation]:
    """PyTorch against ONNX Runtime on noise and on a photo-like image; with a free size also on a second, odd one."""
    sizes = [size] if size is not None else [_example(spec), _second(spec)]
    opened = graphs.session(graph.model)
    found = []
    for shown in sizes:
        for name, image in (("noise", _noise(spec, shown)), ("photo-like", _photo_like(spec, shown))):
            with torch.inference_mode():
                wanted = module.eval()(torch.from_numpy(image)).numpy()
            _check_scale(wanted.shape, shown, graph)
            given = opened.run(None, {INPUT: image})[0]
            if given.shape != wanted.shape:
                raise CheckFailed(f"{spec.name}: for {shown} the graph gives {given.shape}, the network {wanted.shape}")
            far = float(np.abs(given - wanted).max())
            allowed = TOLERANCE * (spec.value_range[1] - spec.value_range[0])
            if far > allowed:
                most = _MOST * (spec.value_range[1] - spec.value_range[0])
                allowed = max(allowed, min(most, _ROUNDINGS * _rounding(module, image, wanted)))
            found.append(Deviation(name, shown, far, allowed))
    return found


def _check_scale(shape: tuple[int, ...], taken: Size, graph: Graph) -> None:
    wanted = (1, 3, taken.height * graph.scale, taken.width * graph.scale)
    if shape != wanted:
        raise CheckFailed(
            f"{graph.spec_name}: for a picture of {taken} the network gives {shape}, and x{graph.scale} is {wanted}: "
            "its scale is another one than it is said to have"
        )


def _rounding(module: torch.nn.Module, image: Array, single: Array) -> float:
    """How far PyTorch's float32 output is from its float64 one."""
    with torch.inference_mode():
        double = copy.deepcopy(module).double()(torch.from_numpy(image).double()).numpy()
    return float(np.abs(single - double).max())


def _example(spec: ModelSpec) -> Size:
    step = spec.size_multiple
    return Size(-(-48 // step) * step, -(-64 // step) * step)


def _second(spec: ModelSpec) -> Size:
    """Another size; its sides are odd multiples of what the network needs."""
    step = spec.size_multiple
    return Size((-(-34 // step) | 1) * step, (-(-52 // step) | 1) * step)


def _noise(spec: ModelSpec, size: Size) -> Array:
    low, high = spec.value_range
    shape = (1, 3, size.height, size.width)
    noise: Array = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
    return noise


def _photo_like(spec: ModelSpec, size: Size) -> Array:
    """Gradients, an edge and a texture: smooth almost everywhere, as photos are and noise is not."""
    low, high = spec.value_range
    y, x = np.mgrid[0 : size.height, 0 : size.width] / (max(size.height, size.width) - 1)
    planes = [0.5 + 0.3 * np.sin(3 * x + c) * np.cos(2 * y) + 0.2 * (x + y > 0.7) for c in range(3)]
    texture = 0.05 * np.sin(40 * x) * np.sin(55 * y)
    unit = np.clip(np.stack(planes) + texture, 0.0, 1.0)
    image: Array = (low + unit[None] * (high - low)).astype(np.float32)
    return image
