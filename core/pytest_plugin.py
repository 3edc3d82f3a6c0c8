"""The pytest plugin: a fixture for tests of a bundle.

::

    def test_the_phone_file(clearport_bundle):
        clearport_bundle.assert_parity("tflite/int8")
        clearport_bundle.assert_psnr("tflite/int8", at_least=45)
        clearport_bundle.assert_latency_ratio("tflite/int8", at_most=0.5)

``pytest --clearport-bundle out/x3``, or ``clearport_bundle = "out/x3"`` in pytest's settings, says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clearport.pipeline.asserted import BundleUnderTest

_NAME = "clearport_bundle"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The bundle, as an option and as a setting."""
    parser.addoption("--clearport-bundle", metavar="FOLDER", help="bundle that the fixture clearport_bundle gives")
    parser.addini(_NAME, "bundle that the fixture clearport_bundle gives")


@pytest.fixture(scope="session")
def clearport_bundle(pytestconfig: pytest.Config) -> BundleUnderTest:
    """The bundle under test; see ``clearport.pipeline.asserted``."""
    from clearport.errors import BadInput
    from clearport.pipeline.asserted import BundleUnderTest

    option = pytestconfig.getoption(_NAME)
    said = option or pytestconfig.getini(_NAME)
    if not said:
        raise pytest.UsageError("which bundle? --clearport-bundle FOLDER, or clearport_bundle in pytest's settings")
    folder = Path(said) if option else pytestconfig.rootpath / said
    found = BundleUnderTest(folder)
    try:
        assert found.bundle
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    return found
