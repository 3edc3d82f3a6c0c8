"""ONNX Runtime: ``.onnx`` files, and the same in ONNX Runtime's own format for phones (``.ort``).

fp32 is the graph in clearport's dialect. int8 is its QDQ form with uint8 activations (the scale table's twin, same real
values), which ONNX Runtime's x86 and Arm kernels are written for; asymmetric int8 would run several times slower.

int8a16 is the same with uint16 activations and opset 21, for Qualcomm's HTP (ONNX Runtime's provider QNN). ONNX
Runtime's CPU has no such kernels: it computes in float32 between quantization steps, so the file can be proven there,
but runs no faster than fp32. Inputs and outputs are float32, and there is no ``.ort`` variant.

Inputs and outputs of int8 files are uint8 pixels (NCHW), or float32 (``--io``); of other files float32. An ``.onnx``
file has the lowest format version that its operators need, so that ONNX Runtime 1.17 and later run it; ``.ort`` files
need the version that wrote them, or a later one.
The ``.ort`` variant is optimized ahead of time, as ``onnxruntime.tools.convert_onnx_models_to_ort`` does in its
``Fixed`` style: without the NCHWc layout, whose block size depends on the processor. So it runs everywhere, but on x86
its float convolutions are slower than those of the ``.onnx`` file, which is optimized at load time.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clearport.base import Artifact, Options, Precision, Skipped
from clearport.disk.files import digest, write_bytes
from clearport.export.written import described
from clearport.graph import nodes as graphs
from clearport.quantized import QuantizedGraph, ScaleTable, TargetGraph
from clearport.registry import installed_versions

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import TensorSpec

    Specs = tuple[TensorSpec, ...]

CONTRACT_KEY = "clearport.pixel_contract"
"""Metadata key of the contract of inputs and outputs, as JSON (``written.described``)."""

LEAST_ONNXRUNTIME = "1.17"
"""The oldest ONNX Runtime that has ``graphs.OPSET`` and ``graphs.IR_VERSION`` (its docs/reference/compatibility).

Seen: 1.17.3 runs ``.onnx`` files of both precisions; ``.ort`` files may hold operators that it lacks there (Gelu).
"""

_UINT8_OFFSET = 128  # from the table's int8 zero point to that of its uint8 twin


class OnnxRuntimeTarget:
    """The target ``onnxruntime`` (see the module's docstring)."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    precisions: tuple[Precision, ...] = ("fp32", "int8", "int8a16")
    requires = ("onnxruntime", "onnx", "onnx_ir")

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.onnx`` and ``<network>_x<scale>_<precision>_ort.ort``."""
        precision = form.precision
        if precision not in self.precisions:
            return [Skipped(f"{self.name}/{precision}", f"ONNX Runtime is written in {', '.join(self.precisions)}")]
        model, inputs, outputs = onnx_form(form, options)
        data = graphs.to_bytes(model)
        stem = f"{form.graph.stem}_{precision}"
        versions = {name: found for name, found in installed_versions(self.requires).items() if found}
        files = [("", folder / f"{stem}.onnx", data)]
        if precision != "int8a16":
            files.append(("ort", folder / f"{stem}_ort.ort", ort_bytes(data)))
        artifacts = []
        for variant, path, content in files:
            write_bytes(path, content)
            artifacts.append(Artifact(self.name, precision, path, digest(path), inputs, outputs, versions, variant))
        return artifacts


def onnx_form(form: TargetGraph, options: Options) -> tuple[ir.Model, Specs, Specs]:
    """The ONNX model of a precision, and the contracts of its inputs and outputs; the model is an editable copy.

    int8 is the QDQ form with uint8 activations, int8a16 with uint16 ones; every other precision the float graph. Inputs
    and outputs other than pictures are float32, as are all those of int8a16.
    """
    graph, table = form.graph, form.table
    wide = form.precision == "int8a16"
    inputs, outputs = graph.inputs, graph.outputs
    if table is None:
        model = graph.model.clone()
    else:
        from clearport.quantize.qdq import to_qdq

        io: Literal["uint8", "float32"] = "float32" if wide or options.io == "float32" else "uint8"
        model = to_qdq(QuantizedGraph(graph, table), "uint8", io)
        if io == "uint8":
            inputs, outputs = (tuple(_pixels(spec, table) for spec in specs) for specs in (inputs, outputs))
    model.metadata_props[CONTRACT_KEY] = json.dumps(described(inputs, outputs), sort_keys=True)
    if not wide:
        model.ir_version = graphs.IR_VERSION
    return model, inputs, outputs


def _pixels(spec: TensorSpec, table: ScaleTable) -> TensorSpec:
    if not spec.is_picture:
        return spec
    params = table[spec.name]
    return spec.with_dtype("uint8", params.scale[0], params.zero_point + _UINT8_OFFSET, "NCHW")


def ort_bytes(model: bytes) -> bytes:
    """An ONNX model in ONNX Runtime's own format, optimized for any processor."""
    import onnxruntime as ort

    from clearport.export.onnxruntime.format import canonical

    options = ort.SessionOptions()
    options.log_severity_level = 3  # else it warns that such a file may be specific to this processor: it is not
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.ort")
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
        )
        return canonical(path.read_bytes())


TARGET = OnnxRuntimeTarget()
