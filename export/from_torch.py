"""PyTorch network -> checked ONNX graph in clearport's dialect."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common
from torch.utils._pytree import tree_leaves

from clearport.base import Graph, Size, TensorSpec
from clearport.errors import BadInput, CheckFailed
from clearport.export import origins, torch_forms
from clearport.export.passes import order as passes
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.models import modes, normalized
from clearport.pictures.images import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Scale
    from clearport.protocols import Described

    Ends = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]

TOLERANCE = 1e-4
"""The largest deviation of ONNX Runtime from PyTorch, as a share of the value range."""
_ROUNDINGS = 64.0
"""A network that float32 itself cannot compute better (deep attention on noise: its numbers are far from float64's) may
deviate by this many times its own error: kernels add in other orders, which move the result by some such errors.
Measured, RLFN x4 with the published weights on noise of 48x64: PyTorch is 0.0007 of 255 from float64, ONNX Runtime 26
times as far without its optimizations and 42 times with them, at a fixed and at a free size alike."""
_MOST = 1e-3
"""However ill-conditioned a network is, its graph may deviate by no more, as a share of the value range: a quarter of
an 8-bit level."""


@dataclass(frozen=True)
class Deviation:
    """How far one output of a graph is from its network's on one image, in real values, and how far it may be."""

    image: str
    size: Size
    max_abs: float
    allowed: float
    output: str


def export_graph(
    module: torch.nn.Module,
    spec: Described,
    scale: Scale,
    size: Size | None,
    program: torch.export.ExportedProgram | None = None,
) -> Graph:
    """Export ``module`` for a fixed input ``size``, or for every size (None), and check it against PyTorch.

    Args:
        module: the network, one of clearport's own unless there is a ``program``.
        spec: what it takes and gives.
        scale: output size over input size.
        size: height and width of the input.
        program: what ``program_of`` made of it for that size.

    Returns:
        The graph after all passes, with the inputs and outputs of ``shapes.contract``: float32, pictures NCHW and plain
        RGB in their range, whatever mean, deviation and order of colors the module wants.

    Raises:
        BadInput: the size is not one that the network takes, an input is a batch, or the network cannot be exported:
            PyTorch says so, it is in training mode, draws numbers, or changes when it runs.
        CheckFailed: the graph's output is not PyTorch's.
    """
    check_size(spec, size)
    ends = shapes.contract(spec, scale)
    modes.check_eval(module, spec.name)
    example = feeds.noise(ends[0], size or _example(spec))
    modes.check_repeatable(module.eval(), arguments(example, ends[0]), spec.name)
    exported = _to_onnx(program if program is not None else deployed(module), spec, ends, size)
    graph = passes.run(_as_graph(exported, spec, scale, ends))
    for deviation in deviations(module, graph, spec, size):
        if not deviation.max_abs <= deviation.allowed:
            where = f" (output {deviation.output})" if len(graph.outputs) > 1 else ""
            raise CheckFailed(
                f"{spec.name}: the exported graph differs from the network: on the {deviation.image} image of "
                f"{deviation.size} it is off by up to {deviation.max_abs:g}{where}, more than {deviation.allowed:g}"
            )
    return graph


def program_of(module: torch.nn.Module, spec: Described, size: Size | None) -> torch.export.ExportedProgram:
    """A module of the user's as PyTorch's own exported program, for one size or for any.

    Raises:
        BadInput: PyTorch cannot export it.
    """
    example = arguments(feeds.noise(spec.inputs, size or _example(spec)), spec.inputs)
    free = None if size is not None else _free_shapes(spec, spec.inputs)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(module, example, dynamic_shapes=free, strict=False)
    except Exception as error:  # whatever the user's code and PyTorch's tracing raise
        raise BadInput(_refusal(spec, size, error)) from error


def _refusal(spec: Described, size: Size | None, error: BaseException) -> str:
    what = str(size) if size is not None else "a free size (give --size HEIGHTxWIDTH instead)"
    return f"{spec.name}: PyTorch cannot export it for {what}: {_first_line(error)}"


def graph_of(program: torch.export.ExportedProgram, spec: Described, scale: Scale, size: Size | None) -> Graph:
    """The graph of a program after all passes, compared with nothing."""
    ends = shapes.contract(spec, scale)
    return passes.run(_as_graph(_to_onnx(program, spec, ends, size), spec, scale, ends))


def deployed(module: torch.nn.Module) -> torch.nn.Module:
    """The plain form of a network that is re-parameterized for training (its ``deploy()``), else the network itself."""
    deploy = getattr(module, "deploy", None)
    plain: torch.nn.Module = module if deploy is None else deploy()
    return plain.eval()


def check_size(spec: Described, size: Size | None) -> None:
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
        raise BadInput(f"{spec.name}: size {size} is over {MAX_PIXELS} pixels; process larger pictures in tiles")
    step = _step(spec)
    if size.height % step or size.width % step:
        near = Size(*(max(least, round(n / step) * step) for n in (size.height, size.width)))
        if near.height * near.width > MAX_PIXELS:
            near = Size(*(n // step * step for n in (size.height, size.width)))
        raise BadInput(f"{spec.name}: size {size}: both sides must be multiples of {step}, for example {near}")


def _least(spec: Described) -> int:
    return -(-spec.least_side // _step(spec)) * _step(spec)


def _step(spec: Described) -> int:
    """What sides must be multiples of: that the network says, and that its inputs and outputs have whole sides."""
    known = [shapes.multiple(n) for each in (*spec.inputs, *spec.outputs) for n in each.shape]
    return math.lcm(spec.size_multiple, *(each[0].denominator for each in known if each is not None))


def _to_onnx(
    network: torch.nn.Module | torch.export.ExportedProgram, spec: Described, ends: Ends, size: Size | None
) -> ir.Model:
    example = feeds.noise(ends[0], size or _example(spec))
    done = isinstance(network, torch.export.ExportedProgram)
    free: Any = None if size is not None or done else _free_shapes(spec, ends[0])
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                () if done else arguments({name: np.zeros_like(value) for name, value in example.items()}, ends[0]),
                dynamo=True,
                opset_version=graphs.OPSET,
                input_names=[each.name for each in ends[0]],
                output_names=[each.name for each in ends[1]],
                dynamic_shapes=free,
                custom_translation_table=torch_forms.table(),
                optimize=False,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise BadInput(_refusal(spec, size, error)) from error
    assert program is not None
    return program.model


def arguments(feed: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> tuple[torch.Tensor, ...]:
    """A feed in the order of the module's arguments."""
    return tuple(torch.from_numpy(feed[each.name]) for each in inputs)


def _free_shapes(spec: Described, inputs: Sequence[TensorSpec]) -> tuple[dict[int, Any], ...]:
    """The sides of each input that are free, as multiples of one unit each of height and width."""
    step = _step(spec)
    least, most = -(-spec.least_side // step), 8192 // step
    units = {of: torch.export.Dim(of, min=max(1, least), max=most) for of in ("H", "W")}
    return tuple(
        {
            axis: int(times[0] * step) * units[times[1]]
            for axis, n in enumerate(each.shape)
            if (times := shapes.multiple(n)) is not None
        }
        for each in inputs
    )


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


def _as_graph(model: ir.Model, spec: Described, scale: Scale, ends: Ends) -> Graph:
    """The exporter's model without traces of the machine that made it, with its contract."""
    origins.from_torch(model)
    common.ClearMetadataAndDocStringPass()(model)
    model.producer_name, model.producer_version = "clearport", ""
    model.graph.name = spec.name
    for value in model.graph.initializers.values():
        tensor = value.const_value
        assert tensor is not None
        value.const_value = ir.tensor(np.array(tensor.numpy()), name=value.name)
    body, words = model.graph, ("takes", "gives")
    for values, specs, word in zip((body.inputs, body.outputs), ends, words, strict=True):
        if len(values) != len(specs):
            raise BadInput(f"{spec.name}: it {word} {len(values)} tensors, and its contract names {len(specs)}")
    sources, results = (tuple(map(_tensor_spec, v, s)) for v, s in zip((body.inputs, body.outputs), ends, strict=True))
    paper = {"paper": spec.paper.title, "url": spec.paper.url} if spec.paper else {}
    about = {"task": spec.task, **paper, "license": spec.license}
    return Graph(model, sources, results, spec.name, scale, least_side=spec.least_side, credits=about)


def _tensor_spec(value: ir.Value, spec: TensorSpec) -> TensorSpec:
    assert value.shape is not None
    if len(value.shape) != len(spec.shape):
        raise BadInput(
            f"{spec.name}: its rank is {len(value.shape)}, but its contract has {len(spec.shape)} axes: {spec.shape}"
        )
    shape = tuple(n if isinstance(n, int) else said for n, said in zip(value.shape, spec.shape, strict=True))
    dtype = "int64" if spec.kind == "index" else "float32"
    return replace(spec, name=graphs.name_of(value), shape=shape, dtype=dtype, layout="NCHW")


def deviations(module: torch.nn.Module, graph: Graph, spec: Described, size: Size | None) -> list[Deviation]:
    """PyTorch against ONNX Runtime on noise and on a photo-like image; with a free size also on a second, odd one."""
    sizes = [size] if size is not None else [_example(spec), _second(spec)]
    opened = graphs.session(graph.model)
    inputs, outputs = shapes.contract(spec, graph.scale)
    plain = normalized.module(module.eval(), inputs)
    found = []
    for shown in sizes:
        for name, make in (("noise", feeds.noise), ("photo-like", feeds.photo_like)):
            feed = make(inputs, shown)
            taken = arguments(feed, inputs)
            wanted = _results(plain, taken)
            given = opened.run(None, feed)
            _check_shapes(wanted, given, shown, graph, outputs)
            pairs = list(zip(given, wanted, strict=True))
            far = [float(np.abs(one - other).max(initial=0.0)) for one, other in pairs]
            allowed = _allowed(plain, taken, wanted, far, outputs)
            found += [
                Deviation(name, shown, *each) for each in zip(far, allowed, [o.name for o in outputs], strict=True)
            ]
    return found


def _results(module: torch.nn.Module, arguments: Sequence[torch.Tensor]) -> list[Array]:
    """What a module gives, in order: a tensor, a tuple, a list or a dict of tensors."""
    with torch.inference_mode():
        return [value.numpy() for value in tree_leaves(module(*arguments))]


def _allowed(
    module: torch.nn.Module,
    arguments: Sequence[torch.Tensor],
    wanted: Sequence[Array],
    far: Sequence[float],
    outputs: Sequence[TensorSpec],
) -> list[float]:
    """How far each output may be off: more than usual only where float32 itself computes it no better."""
    whole = [_whole(value, each) for value, each in zip(wanted, outputs, strict=True)]
    usual = [TOLERANCE * n for n in whole]
    if all(one <= other for one, other in zip(far, usual, strict=True)):
        return usual
    roundings = _roundings(module, arguments, wanted)
    return [
        max(least, min(_MOST * n, _ROUNDINGS * rounding))
        for least, n, rounding in zip(usual, whole, roundings, strict=True)
    ]


def _whole(values: Array, spec: TensorSpec) -> float:
    """What deviations are shares of: a picture's range, and the largest number of anything else."""
    return spec.span[1] - spec.span[0] if spec.is_picture else float(np.abs(values).max(initial=0.0))


def _check_shapes(
    wanted: Sequence[Array], given: Sequence[Array], taken: Size, graph: Graph, outputs: Sequence[TensorSpec]
) -> None:
    for one, other, spec in zip(wanted, given, outputs, strict=True):
        said = shapes.shape_at(spec, taken)
        if one.shape != said:
            what = f"its output {spec.name}" if len(outputs) > 1 else "the network"
            raise CheckFailed(
                f"{graph.spec_name}: for a picture of {taken} {what} gives {one.shape}, and x{graph.scale} is {said}: "
                "its scale differs from the declared one"
            )
        if one.shape != other.shape:
            raise CheckFailed(
                f"{graph.spec_name}: for {taken} the graph gives {other.shape}, the network {one.shape} ({spec.name})"
            )


def _roundings(module: torch.nn.Module, arguments: Sequence[torch.Tensor], single: Sequence[Array]) -> list[float]:
    """How far PyTorch's float32 outputs are from its float64 ones."""
    wide = [a.double() if a.is_floating_point() else a for a in arguments]
    double = _results(copy.deepcopy(module).double(), wide)
    return [float(np.abs(one - other).max(initial=0.0)) for one, other in zip(single, double, strict=True)]


def _example(spec: Described) -> Size:
    step = _step(spec)
    return Size(-(-48 // step) * step, -(-64 // step) * step)


def _second(spec: Described) -> Size:
    """Another size; its sides are odd multiples of what the network needs."""
    step = _step(spec)
    return Size((-(-34 // step) | 1) * step, (-(-52 // step) | 1) * step)
