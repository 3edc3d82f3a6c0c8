"""Reader of a model file or folder, chosen by its suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport import problems
from clearport.disk.files import size_bytes
from clearport.errors import BadInput, ClearportError, NotInstalled
from clearport.pipeline.formats import coreml, ncnn, onnx, openvino, tflite

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.pipeline.formats.described import Described

READERS = {
    ".onnx": onnx.described,
    ".tflite": tflite.described,
    ".xml": openvino.described,
    ".openvino": openvino.described,
    ".param": ncnn.described,
    ".ncnn": ncnn.described,
    ".mlpackage": coreml.described,
}
FORMS = ".onnx, .tflite, .mlpackage, OpenVINO's .xml (or its folder .openvino), ncnn's .param (or its folder .ncnn)"
MOST_BYTES = 2 << 30


def readable(path: Path) -> bool:
    """Whether a path has the suffix of a format that is read here."""
    return path.suffix.lower() in READERS


def described(path: Path) -> Described:
    """The description of a file.

    Raises:
        BadInput: it is missing, of another format, too large, or damaged.
    """
    if not readable(path):
        raise BadInput(f"{path}: expected {FORMS}")
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if size_bytes(path) > MOST_BYTES:
        raise BadInput(f"{path}: over {MOST_BYTES >> 30} GiB, the limit")
    try:
        return READERS[path.suffix.lower()](path)
    except NotInstalled:
        raise
    except ClearportError as error:
        raise BadInput(str(error)) from error
    except ImportError as error:
        raise BadInput(f"{path}: {error}: the package of its target is not installed") from error
    except problems.UNEXPECTED as error:
        raise BadInput(f"{path}: damaged, or not a file of this format: {type(error).__name__}: {error}") from error
