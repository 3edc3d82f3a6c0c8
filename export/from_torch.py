"""PyTorch network -> checked ONNX graph in clearport's dialect."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common

from clearport.base import Graph, Size, TensorSpec
from clearport.errors import BadInput, CheckFailed
from clearport.export import origins, torch_forms
from clearport.export.deviations import arguments, deviations
from clearport.export.passes import order as passes
from clearport.export.trial_sizes import check_size, example_size, step_of
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.models import modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Scale
    from clearport.protocols import Described

    Ends = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]


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
        spec: its inputs and outputs.
        scale: output size over input size.
        size: height and width of the input.
        program: the result of ``program_of`` for that size.

    Returns:
        The graph after all passes, with the inputs and outputs of ``shapes.contract``: float32, pictures NCHW and plain
        RGB in their range, whatever mean, standard deviation and color order the module expects.

    Raises:
        BadInput: the network does not accept this size, an input is a batch, or the network cannot be exported: PyTorch
            refuses it, it is in training mode, draws random numbers, mutates its state, or computes NaN or infinity.
        CheckFailed: the graph's outputs differ from PyTorch's.
    """
    check_size(spec, size)
    ends = shapes.contract(spec, scale)
    modes.check_eval(module, spec.name)
    example = feeds.noise(ends[0], size or example_size(spec))
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
    """A user's module as a ``torch.export`` program, for one size or for any.

    Raises:
        BadInput: PyTorch cannot export it.
    """
    example = arguments(feeds.noise(spec.inputs, size or example_size(spec)), spec.inputs)
    free = None if size is not None else _free_shapes(spec, spec.inputs)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(module, example, dynamic_shapes=free, strict=False)
    except Exception as error:  # anything that the user's code or PyTorch's tracing raises
        raise BadInput(_refusal(spec, size, error)) from error


def _refusal(spec: Described, size: Size | None, error: BaseException) -> str:
    what = str(size) if size is not None else "a free size (give --size HEIGHTxWIDTH instead)"
    return f"{spec.name}: PyTorch cannot export it for {what}: {_first_line(error)}"


def graph_of(program: torch.export.ExportedProgram, spec: Described, scale: Scale, size: Size | None) -> Graph:
    """The graph of a program after all passes, not yet compared with PyTorch."""
    ends = shapes.contract(spec, scale)
    return passes.run(_as_graph(_to_onnx(program, spec, ends, size), spec, scale, ends))


def deployed(module: torch.nn.Module) -> torch.nn.Module:
    """The plain form of a network that is re-parameterized for training (its ``deploy()``), else the network itself."""
    deploy = getattr(module, "deploy", None)
    plain: torch.nn.Module = module if deploy is None else deploy()
    return plain.eval()


def _to_onnx(
    network: torch.nn.Module | torch.export.ExportedProgram, spec: Described, ends: Ends, size: Size | None
) -> ir.Model:
    example = feeds.noise(ends[0], size or example_size(spec))
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


def _free_shapes(spec: Described, inputs: Sequence[TensorSpec]) -> tuple[dict[int, Any], ...]:
    """The dynamic sides of each input, as multiples of a common unit for height and for width."""
    step = step_of(spec)
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
