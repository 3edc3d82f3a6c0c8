"""The page's functions for tests of its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.devices.browser.page_functions import Ask, page_functions


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """``ask(code, **given)``: run JavaScript with the page's functions as ``page``; gives what it returns."""
    with page_functions(tmp_path_factory.mktemp("page")) as ask:
        yield ask
