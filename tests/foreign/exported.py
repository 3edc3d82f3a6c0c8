"""A foreign network as the graph that either exporter of PyTorch writes, before any pass."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common

from clearport.base import Graph, TensorSpec
from clearport.export.from_onnx.ends import plain_name
from clearport.graph import nodes as graphs

from .zoo import Foreign

EXPORTERS = ("dynamo", "legacy")
_COLORS = {1: "Y", 3: "RGB", 4: "RAW"}


def inputs_of(network: Foreign, seed: int = 0) -> list[np.ndarray]:
    """Noise on a gradient, in 0..1: smooth parts and edges, and channels that differ."""
    rng = np.random.default_rng(seed)
    found = []
    for shape in network.inputs:
        slope = np.linspace(0, 0.5, shape[-1]) + np.linspace(0, 0.3, shape[1]).reshape(-1, *[1] * (len(shape) - 2))
        found.append((slope + 0.2 * rng.random(shape)).astype(np.float32))
    return found


def wanted(module: torch.nn.Module, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What PyTorch gives."""
    with torch.inference_mode():
        given = module(*[torch.from_numpy(array) for array in inputs])
    return [tensor.numpy() for tensor in (given if isinstance(given, tuple) else (given,))]


def exported(network: Foreign, exporter: str = "dynamo") -> ir.Model:
    """The network by one of ``EXPORTERS``, with opset ``graphs.OPSET``."""
    module = network.module()
    examples = tuple(torch.from_numpy(array) for array in inputs_of(network))
    names = [f"input{index}" for index in range(len(examples))]
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        if exporter == "dynamo":
            program = torch.onnx.export(
                module,
                examples,
                dynamo=True,
                opset_version=graphs.OPSET,
                input_names=names,
                optimize=False,
                verbose=False,
            )
            assert program is not None
            common.NameFixPass()(program.model)
            return program.model
        path = Path(folder, "network.onnx")
        torch.onnx.export(module, examples, path, dynamo=False, opset_version=graphs.OPSET, input_names=names)
        return ir.load(path)


def graph_of(model: ir.Model, name: str) -> Graph:
    """The model as passes take it: the ends have plain names, as after reading (the older exporter says ``58``)."""
    body = model.graph
    for value in body.outputs:
        others = {each.name or "" for node in body for each in node.outputs if each is not value}
        value.name = plain_name(graphs.name_of(value), others)
    for value in body.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(np.array(value.const_value.numpy()), name=value.name)
    return Graph(model, tuple(map(_spec, body.inputs)), tuple(map(_spec, body.outputs)), name, 1)


def _spec(value: ir.Value) -> TensorSpec:
    shape = tuple(n if isinstance(n, int) else str(n.value) for n in value.shape or ())
    name = graphs.name_of(value)
    if value.dtype is not None and value.dtype.is_integer():
        return TensorSpec(name, shape, "int64", kind="index", value_range=None)
    if len(shape) == 4 and shape[1] in {1, 3, 4}:
        return TensorSpec(name, shape, color=_COLORS[shape[1]], value_range=(0.0, 1.0))
    return TensorSpec(name, shape, kind="map" if len(shape) == 4 else "vector", value_range=None)


@contextlib.contextmanager
def _quiet():
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
