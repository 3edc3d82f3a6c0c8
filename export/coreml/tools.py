"""coremltools, imported without its noise and without TensorFlow and PyTorch.

Importing coremltools imports every framework that it can convert from. TensorFlow must never enter the main
process (it collides with OpenVINO's GPU plugin), and both take seconds, so they are hidden while coremltools looks:
``sys.modules["tensorflow"] = None`` makes an import fail. coremltools
does not check again afterwards.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, cast

from clearport.errors import NotInstalled

_NOISE = (
    "Failed to load _ML",  # the Core ML framework exists on macOS only; code that needs it reports that itself
    "Torch version",  # no network is converted from torch: the MIL Builder is used
    "scikit-learn version",  # nor from scikit-learn
)


class _WithoutNoise(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_NOISE)


@contextlib.contextmanager
def frameworks_hidden() -> Iterator[None]:
    """Within the block, ``import tensorflow`` and ``import torch`` fail unless already imported."""
    modules = cast(dict[str, Any], sys.modules)
    hidden = [name for name in ("tensorflow", "torch") if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


@cache
def load() -> Any:
    """The module ``coremltools``.

    Raises:
        NotInstalled: it is missing.
    """
    log = logging.getLogger("coremltools")
    if not any(isinstance(known, _WithoutNoise) for known in log.filters):
        log.addFilter(_WithoutNoise())
    try:
        with frameworks_hidden():
            import coremltools
    except ModuleNotFoundError as error:
        if error.name != "coremltools":
            raise
        raise NotInstalled("coremltools", "coreml") from error
    return coremltools


@cache
def messages(name: str) -> Any:
    """A module of ``coremltools.proto``, such as ``Model_pb2``, without the rest of coremltools, whose import takes a
    second.

    Raises:
        NotInstalled: coremltools is missing.
    """
    if "coremltools" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    found = importlib.util.find_spec("coremltools")
    if found is None or found.submodule_search_locations is None:
        raise NotInstalled("coremltools", "coreml")
    bare = ModuleType("coremltools")
    bare.__path__ = list(found.submodule_search_locations)
    sys.modules["coremltools"] = bare
    try:
        return importlib.import_module(f"coremltools.proto.{name}")
    finally:  # a later import of coremltools itself must be complete
        for loaded in [each for each in sys.modules if each.partition(".")[0] == "coremltools"]:
            del sys.modules[loaded]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides a conversion's output: progress bars on stderr, and the warning about a temporary folder left open.

    A conversion ends with a full garbage collection. Existing objects are frozen out of it (``gc.freeze``),
    because traversing all of torch and coremltools would take several times as long as the conversion.
    """
    frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", category=ResourceWarning, message="Implicitly cleaning up")
            yield
    finally:
        if not frozen:
            gc.unfreeze()
