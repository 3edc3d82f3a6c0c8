"""OpenVINO IR: a folder ``<name>.openvino`` with the ``.xml`` and ``.bin`` of one model.

fp32 is the graph in clearport's dialect. fp16 is the same with half-precision constants; the device determines the
compute type. int8 is the QDQ form with uint8 activations, whose quantization OpenVINO's plugins fuse into integer
kernels; asymmetric int8 activations would silently run in float.

Inputs and outputs of an int8 IR are uint8 pixels (NCHW), or float32 (``--io``); of others float32. The pixel contract
is in the IR's ``rt_info``, as in the metadata of the ONNX file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from clearport.base import Artifact, Options, Precision, Skipped
from clearport.disk.files import atomic_path, digest
from clearport.errors import NotInstalled, UnsupportedOperator
from clearport.export.coreml.fp32_fallback import choose
from clearport.export.half_arithmetic import measured
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.openvino.compact import compact
from clearport.export.openvino.forms import rewritten
from clearport.export.passes.plain import sampling
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.index import TOP_K
from clearport.operators.layouts import RESHAPE, SQUEEZE, TRANSPOSE, UNSQUEEZE
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions, missing

if TYPE_CHECKING:
    from clearport.base import Graph

_PLUMBING = frozenset({"Constant", "Convert", "FakeQuantize", "Parameter", "Result"})
"""Quantization-agnostic operations that are not operators of a network."""

_VIEWS = frozenset((*RESHAPE.openvino, *SQUEEZE.openvino, *UNSQUEEZE.openvino))
"""What gives the numbers that it was given under other sizes."""

IN_FLOAT32 = "precise"
"""OpenVINO's attribute of layers that must keep their precision."""

_LOST_END = 2e-6
"""Ranges that begin nearer to zero are spelled out: those within 1e-6 are lost (``quirks.openvino``: TINY_ENDS)."""

_HIGHEST = 255
"""The highest level of int8 values (as uint8)."""

_COUNTED_NAME = re.compile(r"[A-Z][A-Za-z0-9]*_\d+")


class OpenVinoTarget:
    """The target ``openvino`` (see the module's docstring)."""

    name = "openvino"
    title = "OpenVINO"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    requires = ("openvino",)

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.openvino/``.

        Raises:
            NotInstalled: OpenVINO is missing.
            UnsupportedOperator: OpenVINO computes an operator differently, and no equivalent form is known.
        """
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        precision = form.precision
        if precision not in self.precisions:
            return [Skipped(f"{self.name}/{precision}", f"OpenVINO is written as {', '.join(self.precisions)}")]
        graph = sampling.of_clips(form.graph)
        model, inputs, outputs = onnx_form(replace(form, graph=graph), options)
        stem = f"{graph.stem}_{precision}"
        path = folder / f"{stem}.openvino"
        with atomic_path(path) as temporary:
            temporary.mkdir()
            _write(graphs.to_bytes(rewritten(model)), temporary / f"{stem}.xml", precision == "fp16")
            compact(temporary / f"{stem}.xml")
            if precision == "fp16":
                _mark(temporary / f"{stem}.xml", _wide_layers(graph))
        versions = {name: found for name, found in installed_versions(self.requires).items() if found}
        return [Artifact(self.name, precision, path, digest(path), inputs, outputs, versions)]


def _write(model: bytes, path: Path, half: bool) -> None:
    """Convert an ONNX model as ``openvino.convert_model`` does, and save its IR.

    That function is avoided because it sends telemetry to Intel; no device is queried, so that no plugin is loaded.
    """
    import openvino as ov
    from openvino import _offline_transformations as passes

    try:
        network = ov.Core().read_model(model)
    except RuntimeError as error:
        raise _unread(str(error)) from error
    passes.apply_moc_transformations(network, cf=False, smart_reshape=True)
    passes.compress_quantize_weights_transformation(network)
    _keep_roundings(network)
    _keep_apart(network)
    _spell_out(network)
    _keep_order(network)
    network.set_friendly_name(path.stem)
    _number_nodes(network)
    ov.save_model(network, path, compress_to_fp16=half)


def _unread(said: str) -> UnsupportedOperator:
    """The refusal of a model that OpenVINO's reader rejects, with the operator and the reason."""
    lines = [line.strip("- ") for line in said.splitlines() if line.strip()]
    named = re.search(r"for operations: ([\w.]+)", said) or re.search(r"^-- (\w+)", said, re.MULTILINE)
    op = named[1] if named else "?"
    return UnsupportedOperator("openvino", op, "?", f"its reader says: {'; '.join(lines[-3:])}"[:400])


def _wide_layers(graph: Graph) -> frozenset[str]:
    """The layers for which float16 does not suffice."""
    if measured(graph).fits:
        return frozenset()
    wide = choose(graph).names  # OpenVINO names a layer after the operator or after its output
    return wide | {node.name for node in graph.model.graph if node.name and graphs.name_of(node.outputs[0]) in wide}


def _mark(xml: Path, layers: frozenset[str]) -> None:
    """Mark layers so that plugins which compute in float16 keep them in float32.

    The attribute is the one that OpenVINO's own transformations set; its reader knows it, its writer drops it.
    """
    if not layers:
        return
    tree = ET.parse(xml)  # noqa: S314  written by OpenVINO a moment ago
    for layer in tree.iterfind("layers/layer"):
        name = layer.get("name", "")
        if layer.get("type") != "Result" and layers & {name, name.partition("/")[0]}:
            about = layer.find("rt_info")
            if about is None:
                about = ET.Element("rt_info")
                layer.insert(int(layer.find("data") is not None), about)
            about.append(ET.Element("attribute", name=IN_FLOAT32, version="0"))
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def in_float32(path: Path) -> int:
    """Number of layers of an IR (folder) that are marked to compute in float32."""
    (xml,) = path.glob("*.xml")
    return xml.read_text(encoding="utf-8").count(f'<attribute name="{IN_FLOAT32}"')


def _keep_roundings(network: Any) -> None:
    """Insert a no-op activation before each FakeQuantize whose rounding the CPU plugin would skip.

    The plugin fuses operators into a preceding convolution, and then clips but does not round the convolution's own
    output ("drop rounding one special residual pattern" in its source; seen in 2026.4.1); it also merges
    multiplications by and additions of constants between two roundings. A fifth of the values after an addition were
    off by a level (up to 8 levels after a leaky ReLU), and all but a thousandth of those after adding a constant. After
    an activation it does round; a leaky ReLU of slope 1 is not optimized away, whereas a clamp is.
    """
    for node in network.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and _computed(node) and _goes_on(node):
            _put_same(node)


def _keep_apart(network: Any) -> None:
    """Put an activation that changes nothing before a Reshape of what a Transpose reads, too.

    The CPU plugin makes views of both and gives the memory under them away once the one of the Transpose is read
    (``quirks.openvino``: SHARED_VIEWS). Integers it keeps.
    """
    for node in network.get_ordered_ops():
        for port in node.outputs() if node.get_type_name() != "FakeQuantize" else ():
            readers = [each.get_node() for each in port.get_target_inputs()]
            if any(reader.get_type_name() in TRANSPOSE.openvino for reader in readers):
                for reader in readers:
                    if reader.get_type_name() in _VIEWS:
                        _put_same(reader)


def _put_same(node: Any) -> None:
    """A leaky ReLU of slope 1 before the first input of a node."""
    from openvino import opset13 as ops

    same = ops.prelu(node.input_value(0), ops.constant(np.ones(1, np.float32)), name=f"{node.get_friendly_name()}.same")
    node.input(0).replace_source_output(same.output(0))


def _spell_out(network: Any) -> None:
    """Write the rounding of tensors of very small values as arithmetic, which the CPU plugin computes in float32.

    Of a FakeQuantize it takes the lower end for zero if that is closer to zero than 1e-6, and drops the zero point with
    it (``quirks.openvino``: TINY_ENDS).
    """
    from openvino import opset13 as ops

    for node in network.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        low, high = (float(node.input_value(port).get_node().data.max()) for port in (3, 4))
        if not -_LOST_END < low < 0:
            continue
        name, readers = node.get_friendly_name(), list(node.output(0).get_target_inputs())
        step = (high - low) / _HIGHEST
        levels = ops.multiply(node.input_value(0), ops.constant(np.float32(1 / step)))
        zero = np.float32(np.rint(-low / step))
        levels = ops.clamp(ops.round(levels, "half_to_even"), -float(zero), _HIGHEST - float(zero))
        found = ops.multiply(levels, ops.constant(np.float32(step)), name=name)
        for reader in readers:
            reader.replace_source_output(found.output(0))


def _keep_order(network: Any) -> None:
    """Ask each TopK for ONNX's order of equal values, that of their indices (``quirks.openvino``: UNSTABLE)."""
    from openvino import opset11 as ops

    for node in network.get_ordered_ops():
        if node.get_type_name() != TOP_K.name:
            continue
        said, name = node.get_attributes(), node.get_friendly_name()
        held = (node.input_value(0), node.input_value(1), said["axis"], said["mode"], "value")
        found = ops.topk(*held, said["index_element_type"], stable=True, name=name)
        for place, port in enumerate(node.outputs()):
            found.output(place).get_tensor().set_names(port.get_names())
            for reader in list(port.get_target_inputs()):
                reader.replace_source_output(found.output(place))


def _moves() -> frozenset[str]:
    """OpenVINO's quantization-agnostic operations."""
    return _PLUMBING.union(*(record.openvino for record in table.operators().values() if record.moves_data))


def _heavy() -> frozenset[str]:
    """OpenVINO's operations into which the plugin fuses later ones."""
    kinds = {"convolution", "matrix"}
    return frozenset().union(*(record.openvino for record in table.operators().values() if record.kind in kinds))


def _computed(node: Any) -> bool:
    """Whether a node's input is computed arithmetic, not already rounded values."""
    return node.input_value(0).get_node().get_type_name() not in _moves()


def _goes_on(node: Any) -> bool:
    """Whether a consumer of a node is elementwise, so that the plugin may fuse it into the same kernel."""
    readers = {port.get_node().get_type_name() for port in node.output(0).get_target_inputs()}
    return bool(readers - _moves() - _heavy())


def _number_nodes(network: Any) -> None:
    """Name the nodes created by the conversion by their position.

    OpenVINO names them ``Constant_4711`` from a process-wide counter.
    """
    for place, node in enumerate(network.get_ordered_ops()):
        name = node.get_friendly_name()
        if _COUNTED_NAME.fullmatch(name):
            node.set_friendly_name(f"{name.partition('_')[0]}.{place}")


TARGET = OpenVinoTarget()
