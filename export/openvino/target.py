"""OpenVINO IR: a folder ``<name>.openvino`` with the ``.xml`` and ``.bin`` of one model.

fp32 is the graph in clearport's dialect. fp16 is the same with half-precision constants; OpenVINO computes in what the
device has. int8 is the QDQ form with uint8 activations, whose quantization OpenVINO's plugins fuse into integer
kernels; asymmetric int8 activations would silently run in float.

An int8 IR takes and gives uint8 pixels (NCHW), or float32 when that was asked for; others float32. The pixel
contract stands in the IR's ``rt_info``, as in the metadata of the ONNX file.
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
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions, missing

if TYPE_CHECKING:
    from clearport.base import Graph

_PLUMBING = frozenset({"Constant", "Convert", "FakeQuantize", "Parameter", "Result"})
"""What gives numbers that it was given, and is no operator of a network."""

_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze"})
"""What gives the numbers that it was given under other sizes."""

IN_FLOAT32 = "precise"
"""OpenVINO's attribute of layers whose precision is not to be lowered."""

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
            UnsupportedOperator: OpenVINO computes an operator otherwise, and there is no form that it computes right.
        """
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        precision = form.precision
        if precision not in self.precisions:
            return [Skipped(f"{self.name}/{precision}", f"OpenVINO is written as {', '.join(self.precisions)}")]
        graph = sampling.run(form.graph, deep_only=True)
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

    Without that function, because it reports to Intel whatever it converts; and without asking for a device, so that
    no plugin is loaded.
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
    network.set_friendly_name(path.stem)
    _number_nodes(network)
    ov.save_model(network, path, compress_to_fp16=half)


def _unread(said: str) -> UnsupportedOperator:
    """The refusal of what OpenVINO's reader does not take, with the operator and the reason that it names."""
    lines = [line.strip("- ") for line in said.splitlines() if line.strip()]
    named = re.search(r"for operations: ([\w.]+)", said) or re.search(r"^-- (\w+)", said, re.MULTILINE)
    op = named[1] if named else "?"
    return UnsupportedOperator("openvino", op, "?", f"its reader says: {'; '.join(lines[-3:])}"[:400])


def _wide_layers(graph: Graph) -> frozenset[str]:
    """The layers whose numbers float16 would not do for."""
    if measured(graph).fits:
        return frozenset()
    wide = choose(graph).names  # OpenVINO calls a layer as the operator is called, or what it writes
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
    """How many layers of an IR (its folder) are marked to be computed in float32."""
    (xml,) = path.glob("*.xml")
    return xml.read_text(encoding="utf-8").count(f'<attribute name="{IN_FLOAT32}"')


def _keep_roundings(network: Any) -> None:
    """Put an activation that changes nothing before those FakeQuantize whose rounding the CPU plugin would leave out.

    It computes what follows a convolution within it, and then clips but does not round what the convolution itself
    gives ("drop rounding one special residual pattern" in its source; seen in 2026.4.1), and it merges the factors and
    sums with constants between two roundings into one. A fifth of the values behind an addition were off by a step, up
    to 8 steps behind a leaky ReLU, and all but a thousandth of those behind a constant that is added. Behind an
    activation it rounds; one of slope 1 is not optimized away, as a clamp is.
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
            if any(reader.get_type_name() == "Transpose" for reader in readers):
                for reader in readers:
                    if reader.get_type_name() in _VIEWS:
                        _put_same(reader)


def _put_same(node: Any) -> None:
    """A leaky ReLU of slope 1 before the first input of a node."""
    from openvino import opset13 as ops

    same = ops.prelu(node.input_value(0), ops.constant(np.ones(1, np.float32)), name=f"{node.get_friendly_name()}.same")
    node.input(0).replace_source_output(same.output(0))


def _moves() -> frozenset[str]:
    """OpenVINO's operations that give numbers that they were given."""
    return _PLUMBING.union(*(record.openvino for record in table.operators().values() if record.moves_data))


def _heavy() -> frozenset[str]:
    """OpenVINO's operations that the plugin begins a kernel with."""
    kinds = {"convolution", "matrix"}
    return frozenset().union(*(record.openvino for record in table.operators().values() if record.kind in kinds))


def _computed(node: Any) -> bool:
    """Whether what a node reads are sums, products or functions, and not numbers that were rounded already."""
    return node.input_value(0).get_node().get_type_name() not in _moves()


def _goes_on(node: Any) -> bool:
    """Whether a reader of a node computes each number by itself, so that the plugin may do it in the same kernel."""
    readers = {port.get_node().get_type_name() for port in node.output(0).get_target_inputs()}
    return bool(readers - _moves() - _heavy())


def _number_nodes(network: Any) -> None:
    """Name the nodes that the conversion made by their place.

    OpenVINO calls them ``Constant_4711`` by a counter that goes on as long as the process.
    """
    for place, node in enumerate(network.get_ordered_ops()):
        name = node.get_friendly_name()
        if _COUNTED_NAME.fullmatch(name):
            node.set_friendly_name(f"{name.partition('_')[0]}.{place}")


TARGET = OpenVinoTarget()
