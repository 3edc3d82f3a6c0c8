"""A bundle under test: the value of the pytest plugin's fixture, with assertion methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.bundle.folder import Bundle, verify_folder
from clearport.pipeline.exams import exams_of, sample_of
from clearport.pipeline.latency import QUICK, measure_all
from clearport.pipeline.prove import network_of, run_each
from clearport.pipeline.verify import check_artifact
from clearport.protocols import no_progress
from clearport.runtime.parity import NETWORKS
from clearport.runtime.usable import method_of, runners_of

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.bundle.manifest import ArtifactRecord
    from clearport.runtime.latency.stats import Ratio


@dataclass(frozen=True)
class BundleUnderTest:
    """The bundle in ``folder``. Artifacts have keys such as ``tflite/int8``.

    Every method raises ``AssertionError`` with the actual figure, or ``BadInput`` for an unknown artifact.
    """

    folder: Path
    threads: int = 1

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle on disk."""
        return Bundle.load(self.folder)

    def assert_files(self) -> None:
        """Assert that no file was changed."""
        wrong = verify_folder(self.folder)
        assert not wrong, "; ".join(map(str, wrong))

    def assert_parity(self, key: str) -> None:
        """Assert parity with the golden pictures in every available runtime, of which there must be one."""
        checks = check_artifact(self.bundle, self._record(key), self.threads)
        failed = [f"{check.name}: {check.message}" for check in checks if check.passed is False]
        assert not failed, f"{key}: {'; '.join(failed)}"
        why = "; ".join(check.message for check in checks)
        assert any(check.passed for check in checks), f"{key}: no runtime could check it: {why}"

    def psnr_db(self, key: str) -> float:
        """PSNR in dB to the network itself on the golden photo; infinite if equal. Fails for class indices."""
        record = self._record(key)
        artifact, exam = self.bundle.artifact(record), exams_of(self.bundle, record)[0]
        runner = next((runner for runner, obstacle in runners_of(record) if obstacle is None), None)
        assert runner is not None, f"{key}: no runtime for it is available"
        (outputs,) = run_each(runner.name, artifact, [exam.sample], self.threads)
        judged = exam.judge(outputs, artifact, method_of(runner, artifact))
        reports = [report for report in judged if report.reference.startswith(NETWORKS)]
        assert reports, f"{key}: the bundle does not contain the network to compare with"
        told = [report.output for report in reports if report.same is not None]
        assert not told, f"{key}: {told[0]} is class indices or Booleans, which have no PSNR; use assert_parity"
        return min(math.inf if report.psnr_db is None else report.psnr_db for report in reports)

    def assert_psnr(self, key: str, *, at_least: float) -> None:
        """Assert a minimum PSNR to the network, in dB, on the golden photo."""
        found = self.psnr_db(key)
        assert found >= at_least, f"{key}: {found:.2f} dB to the network, expected at least {at_least:g}"

    def latency_ratio(self, key: str) -> Ratio:
        """Time of the artifact relative to the network's, interleaved on this machine's CPU, with its interval."""
        artifact, sample = self.bundle.artifact(self._record(key)), sample_of(self.bundle)
        report = measure_all(network_of(self.bundle), [artifact], sample, QUICK, no_progress).reports[key]
        assert not isinstance(report, Skipped), f"{key}: not timed: {report.reason}"
        assert report.ratio is not None, f"{key}: the clock is too coarse for the network"
        return report.ratio

    def assert_latency_ratio(self, key: str, *, at_most: float) -> None:
        """Assert a maximum time relative to the network's; fails if the whole interval is above it."""
        found = self.latency_ratio(key)
        said = f"{found.value:.3f} of the network's time (95 %: {found.low:.3f} to {found.high:.3f})"
        assert found.low <= at_most, f"{key}: {said}, expected at most {at_most:g}"

    def _record(self, key: str) -> ArtifactRecord:
        target, _, rest = key.partition("/")
        precision, _, variant = rest.partition("/")
        return self.bundle.find(target, precision, variant or None)
