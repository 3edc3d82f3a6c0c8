"""What an artifact is held against, picture by picture: decided by an export, kept in the manifest, applied by all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clearport.runtime import limits, parity, tolerance
from clearport.runtime.parity import Basis, ParityReport, Reference, Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.base import Array, Artifact, TensorSpec
    from clearport.pictures.images import Image8

PYTORCH = "PyTorch fp32"
QDQ = "QDQ reference"


@dataclass(frozen=True)
class Criterion:
    """What an output is compared with, as what, and how far it may be off."""

    reference: Reference
    tolerance: Tolerance
    basis: Basis

    def judge(self, output: Array, artifact: Artifact, method: str) -> ParityReport:
        """The verdict on a raw output; PyTorch's own output must be fit to prove anything."""
        report = parity.compare(output, artifact, self.reference, method, self.tolerance, self.basis)
        unusable = parity.unusable(self.reference) if self.reference.name.startswith(PYTORCH) else None
        if unusable is None:
            return report
        return replace(report, passed=False, failures=(*report.failures, unusable))


@dataclass(frozen=True)
class Exam:
    """A picture that an artifact is run on, and all that its output must be.

    Attributes:
        name: ``photo`` or ``probe``.
        criteria: those of one reference are one report.
        remark: what is missing in a manifest of an earlier version, if anything.
    """

    name: str
    picture: Image8
    criteria: tuple[Criterion, ...]
    remark: str = ""

    def judge(self, output: Array, artifact: Artifact, method: str) -> list[ParityReport]:
        """A report for each reference."""
        by_reference: dict[str, list[ParityReport]] = {}
        for criterion in self.criteria:
            report = criterion.judge(output, artifact, method)
            by_reference.setdefault(report.reference, []).append(report)
        return [parity.merged(reports) for reports in by_reference.values()]

    def for_npu(self, artifact: Artifact, *, half: bool) -> Exam:
        """The same on an NPU: one that has no float32 is judged by the limits of float16, and int8 by the widest."""
        spec = artifact.outputs[0]
        if artifact.precision == "int8":
            return self._limited(QDQ, lambda _: tolerance.widest_for("int8", spec))
        if artifact.precision != "fp32" or not half:
            return self
        by_basis = {"real values": spec, "8-bit pictures": as_picture(spec)}
        return self._limited(PYTORCH, lambda c: tolerance.tolerance_for("fp16", by_basis[c.basis]))

    def _limited(self, reference: str, tolerated: Callable[[Criterion], Tolerance]) -> Exam:
        """With other limits for what is compared with ``reference``."""
        return replace(
            self,
            criteria=tuple(
                replace(c, tolerance=tolerated(c)) if c.reference.name == reference else c for c in self.criteria
            ),
        )


@dataclass(frozen=True)
class References:
    """What came of one picture: PyTorch's output and, where there is a QDQ model, that model's.

    ``again`` is the QDQ model's output by ONNX Runtime's fused kernels: what rounding alone changes.
    """

    name: str
    picture: Image8
    float: Reference
    int8: Reference | None = None
    again: Reference | None = None

    def exam(self, artifact: Artifact) -> Exam:
        """What ``artifact`` is held against on this picture."""
        return Exam(self.name, self.picture, tuple(self._criteria(artifact)))

    def _criteria(self, artifact: Artifact) -> list[Criterion]:
        if artifact.precision == "int8":
            return self._int8()
        spec, found = artifact.outputs[0], []
        if spec.dtype not in tolerance.INTEGERS:
            found.append(Criterion(self.float, self._eased(artifact, spec), "real values"))
        return [*found, Criterion(self.float, self._eased(artifact, as_picture(spec)), "8-bit pictures")]

    def _int8(self) -> list[Criterion]:
        assert self.int8 is not None, "an int8 artifact without a QDQ model"
        assert self.again is not None, "a QDQ model that was run once"
        again = parity.measure(self.again.levels, self.int8, "8-bit pictures")
        near = Criterion(self.int8, limits.near_reference(again), "8-bit pictures")
        if self.name != PHOTO:  # calibration is for photos: what int8 does to a probe is not the files' fault
            return [near]
        own = parity.measure(self.int8.levels, self.float, "8-bit pictures")
        return [near, Criterion(self.float, limits.near_network(own), "8-bit pictures")]

    def _eased(self, artifact: Artifact, spec: TensorSpec) -> Tolerance:
        own = tolerance.tolerance_for(artifact.precision, spec)
        return own if self.name == PHOTO else tolerance.eased(own)


PHOTO, PROBE = "photo", "probe"


def as_picture(spec: TensorSpec) -> TensorSpec:
    """The contract of an output once it is an 8-bit picture (1, H, W, 3)."""
    return spec.with_dtype("uint8", spec.pixel_step, round(-spec.span[0] / spec.pixel_step), "NHWC")
