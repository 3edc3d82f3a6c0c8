"""``coreai.authoring``, imported where it is used."""

from __future__ import annotations

from typing import Any

from clearport.errors import NotInstalled


def authoring() -> Any:
    """The module ``coreai.authoring``.

    Raises:
        NotInstalled: coreai-core is missing.
    """
    try:
        from coreai import authoring as found
    except ModuleNotFoundError as error:
        if error.name != "coreai":
            raise
        raise NotInstalled("coreai-core", "coreai") from error
    return found
