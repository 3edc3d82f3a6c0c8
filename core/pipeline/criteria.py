"""Acceptance criteria of an artifact, per sample: set by an export, kept in the manifest, applied by all commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clearport.runtime import limits, parity, parity_values, tolerance
from clearport.runtime.parity import NETWORKS, Basis, ParityReport, Reference, Tolerance
from clearport.runtime.parity_values import ValuesReference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clearport.base import Array, Artifact, TensorSpec
    from clearport.graph.feeds import Sample

QDQ = "QDQ reference"


AnyReference = Reference | ValuesReference


@dataclass(frozen=True)
class Criterion:
    """The reference of an output, its kind, and its tolerance."""

    reference: AnyReference
    tolerance: Tolerance
    basis: Basis

    def judge(self, outputs: Mapping[str, Array], artifact: Artifact, method: str) -> ParityReport:
        """The verdict on raw outputs; PyTorch's own output must be fit to prove anything."""
        spec = self.spec(artifact)
        if spec.name not in outputs:
            return self._failed(method, f"no output {spec.name!r} (available: {', '.join(outputs)})")
        report = self._compared(outputs[spec.name], spec, artifact, method)
        unusable = self._unusable() if self.reference.name.startswith(NETWORKS) else None
        if unusable is None:
            return report
        return replace(report, passed=False, failures=(*report.failures, unusable))

    def spec(self, artifact: Artifact) -> TensorSpec:
        """The judged output: the first, if unnamed."""
        return next((spec for spec in artifact.outputs if spec.name == self.reference.output), artifact.outputs[0])

    def _compared(self, output: Array, spec: TensorSpec, artifact: Artifact, method: str) -> ParityReport:
        if isinstance(self.reference, ValuesReference):
            return parity_values.compare(output, spec, self.reference, method, self.tolerance)
        return parity.compare(output, artifact, self.reference, method, self.tolerance, self.basis)

    def _unusable(self) -> str | None:
        if isinstance(self.reference, ValuesReference):
            return parity_values.unusable(self.reference)
        return parity.unusable(self.reference)

    def _failed(self, method: str, why: str) -> ParityReport:
        given = (None, None, None, None, method, self.reference.name, self.basis, self.tolerance, (why,))
        return ParityReport(False, *given, output=self.reference.output)


@dataclass(frozen=True)
class Exam:
    """An artifact's sample and all criteria for its outputs.

    Attributes:
        name: ``photo`` or ``probe``.
        sample: a value for each input (``graph.feeds``).
        criteria: those of one output and reference are one report.
        remark: missing parts of an older manifest, if any.
        beside: the distance to PyTorch that takes the place of limits against the QDQ model where every step of the
            file is proven.
    """

    name: str
    sample: Sample
    criteria: tuple[Criterion, ...]
    remark: str = ""
    beside: tuple[Criterion, ...] = ()

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the input that determines the size; (1, 1) if it has none."""
        shape = next(iter(self.sample.values())).shape
        found = shape[:2] if len(shape) == 3 else shape[2:4] if len(shape) == 4 else (1, 1)
        return int(found[0]), int(found[1])

    def judge(self, outputs: Mapping[str, Array], artifact: Artifact, method: str) -> list[ParityReport]:
        """A report per output and reference."""
        found: dict[tuple[str, str], list[ParityReport]] = {}
        for criterion in self.criteria:
            report = criterion.judge(outputs, artifact, method)
            found.setdefault((report.reference, report.output), []).append(report)
        return [parity.merged(reports) for reports in found.values()]

    def by_steps(self) -> Exam:
        """The exam for a file with proven steps: without limits against the QDQ model, but with those of ``beside``.

        An output that ``beside`` does not cover keeps its limits.
        """
        told = {c.reference.output for c in self.beside}
        freed = (c.reference.name == QDQ and c.reference.output in told for c in self.criteria)
        pairs = zip(self.criteria, freed, strict=True)
        return replace(
            self, criteria=(*(replace(c, tolerance=limits.BY_STEPS) if free else c for c, free in pairs), *self.beside)
        )

    def for_npu(self, artifact: Artifact, *, half: bool) -> Exam:
        """The exam on an NPU: without float32, the limits of float16 apply, and to int8 the widest."""
        if artifact.precision == "int8":
            return self._limited((QDQ,), lambda c: tolerance.widest_for("int8", c.spec(artifact)))
        if artifact.precision != "fp32" or not half:
            return self
        return self._limited(NETWORKS, lambda c: tolerance.tolerance_for("fp16", _judged(c.spec(artifact), c.basis)))

    def _limited(self, names: tuple[str, ...], tolerated: Callable[[Criterion], Tolerance]) -> Exam:
        """The exam with other limits for the named references."""
        return replace(
            self,
            criteria=tuple(
                replace(c, tolerance=tolerated(c)) if c.reference.name in names else c for c in self.criteria
            ),
        )


@dataclass(frozen=True)
class References:
    """The outputs for one sample: PyTorch's and, if there is a QDQ model, that model's.

    ``again`` is the QDQ model's output with ONNX Runtime's fused kernels; it differs only by rounding.
    """

    name: str
    sample: Sample
    float: tuple[AnyReference, ...]
    int8: tuple[AnyReference, ...] = ()
    again: tuple[AnyReference, ...] = ()

    def exam(self, artifact: Artifact) -> Exam:
        """The criteria of ``artifact`` on this sample."""
        found = [c for index in range(len(self.float)) for c in self._criteria(artifact, index)]
        pairs = zip(self.float, self.int8, strict=True) if artifact.precision == "int8" else ()
        return Exam(self.name, self.sample, tuple(found), beside=tuple(beside(*pair) for pair in pairs))

    def _criteria(self, artifact: Artifact, index: int) -> list[Criterion]:
        if artifact.precision == "int8":
            return self._int8(index)
        spec, wanted = artifact.outputs[index], self.float[index]
        if isinstance(wanted, ValuesReference):
            return [Criterion(wanted, self._eased(artifact, spec), parity_values.BASIS)]
        found = []
        if spec.dtype not in tolerance.INTEGERS:
            found.append(Criterion(wanted, self._eased(artifact, spec), "real values"))
        return [*found, Criterion(wanted, self._eased(artifact, as_picture(spec)), "8-bit pictures")]

    def _int8(self, index: int) -> list[Criterion]:
        assert self.int8, "an int8 artifact without a QDQ model"
        assert self.again, "a QDQ model run without fused kernels only"
        wanted, int8 = self.float[index], self.int8[index]
        again = measured(self.again[index], int8)
        near = Criterion(int8, limits.near_reference(again), again.basis)
        if self.name != PHOTO:  # calibration used photos: int8 errors on the probe are not errors of the files
            return [near]
        own = measured(int8, wanted)
        return [near, Criterion(wanted, limits.near_network(own, few=parity_values.is_few(wanted)), own.basis)]

    def _eased(self, artifact: Artifact, spec: TensorSpec) -> Tolerance:
        own = tolerance.tolerance_for(artifact.precision, spec)
        return own if self.name == PHOTO else tolerance.eased(own)


PHOTO, PROBE = "photo", "probe"


def beside(wanted: AnyReference, int8: AnyReference) -> Criterion:
    """Tolerance to PyTorch of a file with proven steps."""
    own = measured(int8, wanted)
    return Criterion(wanted, limits.beside_reference(own, few=parity_values.is_few(wanted)), own.basis)


def measured(given: AnyReference, wanted: AnyReference) -> ParityReport:
    """The distance between two references, as pictures if they are pictures."""
    if isinstance(given, ValuesReference):
        assert isinstance(wanted, ValuesReference)
        return parity_values.measure(given.values, wanted)
    assert isinstance(wanted, Reference)
    return parity.measure(given.levels, wanted, "8-bit pictures")


def reference_of(name: str, tensor: Array, spec: TensorSpec, grid: int, output: str) -> AnyReference:
    """A reference from the raw output tensor that ``spec`` describes; ``output`` is its name in reports."""
    if spec.is_picture:
        return Reference.of(name, tensor, spec, grid, output)
    return ValuesReference.of(name, tensor, spec)


def output_names(outputs: Sequence[TensorSpec]) -> list[str]:
    """Output names in reports: a network's only picture needs none."""
    return [spec.name if len(outputs) > 1 or not spec.is_picture else "" for spec in outputs]


def as_picture(spec: TensorSpec) -> TensorSpec:
    """The contract of an output as an 8-bit picture (1, H, W, C)."""
    return spec.with_dtype("uint8", spec.pixel_step, round(-spec.span[0] / spec.pixel_step), "NHWC")


def _judged(spec: TensorSpec, basis: Basis) -> TensorSpec:
    return as_picture(spec) if basis == "8-bit pictures" else spec
