"""Every network for high dynamic range on every target: proven, or skipped with a reason that is true."""

from __future__ import annotations

from device_tests.zoo import zoo

test_it_reaches_every_target, test_it_passes_at_every_precision, test_it_takes_any_size = zoo.tests("hdr")
