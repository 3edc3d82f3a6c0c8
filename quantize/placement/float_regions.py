"""Region boundaries: an Identity node converts a float value to int8, or requantizes an int8 value.

Every target can express that node (QUANTIZE, QuantizeLinear, quantize). A float operator that reads an int8 value needs
none: it reads the dequantized value. So in the resulting graph every int8 operator reads and writes int8 values only,
input and output pictures are int8, and no operator has two conflicting fixed scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.quantization import REQUANTIZE
from clearport.quantize import scheme
from clearport.quantize.placement import floats as placement
from clearport.quantized import QParams

if TYPE_CHECKING:
    from clearport.quantize.placement.fold import Folded

Bounds = Mapping[str, tuple[float, float]]

_OVERHANG = 0.02
"""A fixed range may cut off this share of the value range at each end: values there saturate."""


_USED = 0.5
"""A clamp's range is used if photos cover at least this share of it."""


class Groups:
    """Union-find over value names; ``root`` of a group is its first member."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        self._parent[self.root(b)] = self.root(a)

    def members(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name in self._parent:
            groups.setdefault(self.root(name), []).append(name)
        return groups


def run(folded: Folded, bounds: Bounds) -> Folded:
    """Insert the boundary nodes; ``bounds`` are minimum and maximum of the original graph's values.

    The result has ``fixed``: the parameters that follow from a value's meaning.
    """
    editor = _Editor(folded, bounds)
    editor.enter_int8()
    editor.part_fixed_scales()
    editor.leave_as_pixels()
    return editor.result()


def groups_of(folded: Folded) -> Groups:
    """The int8 values, grouped where they must share a scale."""
    names = [graphs.name_of(v) for v in graphs.values(folded.graph) if graphs.name_of(v) not in folded.floats]
    groups = Groups(names)
    for node in folded.graph.model.graph:
        if not folded.is_int8(node):
            continue
        halved = graphs.clamp_of(node) is not None and graphs.name_of(graphs.need(node, 0)) in folded.clamps
        if table.of(node).shares_scale or halved:
            for value in placement.data_inputs(node):
                groups.join(graphs.name_of(value), graphs.name_of(node.outputs[0]))
    return groups


def covers(params: QParams, bounds: tuple[float, float]) -> bool:
    """Whether a range covers ``bounds``, up to a small margin at each end."""
    (scale,) = params.scale
    low, high = ((end - params.zero_point) * scale for end in (scheme.LOW, scheme.HIGH))
    spare = _OVERHANG * (high - low)
    return low - spare <= bounds[0] and bounds[1] <= high + spare


class _Editor:
    """Edits a copy of one folded graph."""

    def __init__(self, folded: Folded, bounds: Bounds) -> None:
        self._folded = replace(folded, graph=graphs.clone(folded.graph))
        self._body = self._folded.graph.model.graph
        self._bounds = bounds
        self._observed = dict(folded.observed)
        self._floats = set(folded.floats)
        self._fixed = _fixed(folded, bounds)

    def result(self) -> Folded:
        """The folded graph after all edits."""
        return self._now()

    def enter_int8(self) -> None:
        """Convert float values to int8 for int8 operators that read them."""
        written: dict[str, ir.Value] = {}
        for node in list(self._body):
            if graphs.name_of(node.outputs[0]) in self._floats:
                continue
            for index, value in enumerate(node.inputs):
                if value is None or graphs.name_of(value) not in self._floats:
                    continue
                name = graphs.name_of(value)
                if name not in written:
                    written[name] = self._copy(value, f"{name}.int8")
                node.replace_input_with(index, written[name])

    def part_fixed_scales(self) -> None:
        """Requantize a value of fixed scale if it would have to share its scale with values outside its range."""
        now = self._now()
        for members in groups_of(now).members().values():
            fixed = [name for name in members if name in self._fixed]
            if not fixed:
                continue
            keep = self._fits_all(members, {self._fixed[name] for name in fixed})
            for name in fixed:
                if self._fixed[name] != keep and len(members) > 1:
                    self._part(name)

    def leave_as_pixels(self) -> None:
        """Give output pictures the scale of a pixel if their values fill the value range."""
        for output, spec in zip(tuple(self._body.outputs), self._folded.graph.outputs, strict=True):
            if spec.is_picture:
                self._leave_as_pixels(output, scheme.of_range(*spec.span))

    def _leave_as_pixels(self, output: ir.Value, pixel: QParams) -> None:
        name = graphs.name_of(output)
        if name in self._floats:
            self._rename_output(output, name)
            self._fixed[name] = pixel
            return
        members = next(each for each in groups_of(self._now()).members().values() if name in each)
        given = {self._fixed[member] for member in members if member in self._fixed}
        (scale,) = pixel.scale
        if given == {pixel} or self._fits_all(members, {pixel}) is None:
            return
        if not given and self._fills(name, pixel):
            self._fixed[name] = pixel
        elif given and all(abs(params.scale[0] - scale) <= _OVERHANG * scale for params in given):
            self._rename_output(output, name)
            self._fixed[name] = pixel

    def _fills(self, name: str, pixel: QParams) -> bool:
        low, high = self._range(name)
        return high - low >= _USED * 255 * pixel.scale[0]

    def _now(self) -> Folded:
        return replace(self._folded, observed=self._observed, floats=frozenset(self._floats), fixed=self._fixed)

    def _fits_all(self, members: list[str], given: set[QParams]) -> QParams | None:
        """The finest parameters of ``given`` whose range covers the whole group; None if none does."""
        seen = [self._range(name) for name in members]
        both = min(low for low, _ in seen), max(high for _, high in seen)
        fitting = [params for params in given if covers(params, both)]
        return min(fitting, key=lambda params: params.scale[0], default=None)

    def _range(self, name: str) -> tuple[float, float]:
        low, high = self._bounds[self._observed[name]]
        clamp = self._folded.clamps.get(name)
        return (low, high) if clamp is None else (max(low, clamp.lo), min(high, clamp.hi))

    def _part(self, name: str) -> None:
        """Let the scale-sharing operators read a copy of ``name``, whose scale is free."""
        value = next(v for v in graphs.values(self._folded.graph) if v.name == name)
        readers = [
            (use.node, use.idx)
            for use in value.uses()
            if table.of(use.node).shares_scale and graphs.name_of(use.node.outputs[0]) not in self._floats
        ]
        if not readers:  # only a clamp shares its scale: it does not care
            return
        copy = self._copy(value, f"{name}.rescaled")
        for reader, index in readers:
            reader.replace_input_with(index, copy)

    def _copy(self, value: ir.Value, name: str) -> ir.Value:
        """Insert an Identity node after ``value``, with output ``name``."""
        node = ir.node(REQUANTIZE.name, [value], name=name)
        copy = node.outputs[0]
        copy.name, copy.type, copy.shape = name, value.type, value.shape
        self._observed[name] = self._observed[graphs.name_of(value)]
        place = value.producer()
        if place is None:
            self._body.insert_before(self._body[0], [node])
        else:
            self._body.insert_after(place, [node])
        return copy

    def _rename_output(self, output: ir.Value, name: str) -> None:
        """Output a copy of the graph's output, under its name."""
        inner = f"{name}.inner"
        self._observed[inner] = self._observed[name]
        if name in self._fixed:
            self._fixed[inner] = self._fixed[name]
        clamps = dict(self._folded.clamps)
        if name in clamps:
            clamps[inner] = clamps.pop(name)
        self._folded = replace(self._folded, clamps=clamps)
        if name in self._floats:
            self._floats ^= {name, inner}
        output.name = inner
        self._body.outputs[list(self._body.outputs).index(output)] = self._copy(output, name)


def _fixed(folded: Folded, bounds: Bounds) -> dict[str, QParams]:
    """The values whose parameters follow from their meaning.

    A clamp determines them if its range is used; the range of a clamp that is only a guard would be too coarse.
    """
    fixed = {spec.name: scheme.of_range(*spec.span) for spec in folded.graph.inputs if spec.is_picture}
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if name in folded.floats:
            continue
        form = table.of(node).int8
        if form is not None and form.grid is not None:
            fixed[name] = form.grid
        clamp = folded.clamps.get(name) or graphs.clamp_of(node)
        if clamp is None or not clamp.lo <= 0.0 <= clamp.hi or not np.isfinite([clamp.lo, clamp.hi]).all():
            continue
        low, high = bounds[folded.observed[name]]
        if max(high, 0.0) - min(low, 0.0) >= _USED * (clamp.hi - clamp.lo):
            fixed[name] = scheme.of_range(clamp.lo, clamp.hi)
    return fixed
