"""Encoders and generator of inversion on every target: proven, or skipped with a reason that is true."""

from __future__ import annotations

from device_tests.zoo import zoo

test_it_reaches_every_target, test_it_passes_at_every_precision, _ = zoo.tests("inversion")
