"""Exported PyTorch programs (``.pt2``): written, and read without running code of the file.

``torch.export.load`` (PyTorch 2.13) unpickles tensors and sample inputs, loads compiled libraries, evaluates sizes and
guards as Python, writes names into source code, and accepts any function of PyTorch as operator: a file can run
arbitrary code. Hence an archive is inspected, and a new one, made of its harmless parts, is loaded: weights as bytes,
and a graph of ATen operators.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from clearport.disk.files import explain, write_bytes
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

NAMES = "clearport.json"
"""Names of inputs and outputs, as an extra file of the archive."""

_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+\.\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_(float|int|max|min|not|ite|sqrt)|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\.ops\.higher_order\.wrap_with_set_grad_enabled|torch\._C\._set_grad_enabled"
)
_OF_FILES = re.compile(r"torch\.ops\.aten\.(from_file|_?save|_?load)\b.*")
_FUNCTIONS = (
    "Add Mul Max Min Mod FloorDiv PythonMod CleanDiv CeilDiv CeilToInt FloorToInt TruncToInt ToFloat IntTrueDiv "
    "FloatTrueDiv RoundToInt Eq Ne Ge Gt Le Lt Equality Unequality GreaterThan LessThan "
    "StrictGreaterThan StrictLessThan"
)
_SIZE = re.compile(
    r"(?:Symbol\('[su]\d{1,9}'(?:, (?:positive|nonnegative|integer|finite|real)=(?:True|False))*\)"
    r"|Integer\(-?\d{1,12}\)|Rational\(-?\d{1,12}, \d{1,12}\)"
    rf"|(?:{'|'.join(_FUNCTIONS.split())})\(|[su]\d{{1,9}}|\d{{1,12}}|int_oo|true|false|[\s,)])*"
)
"""Allowed expressions of sizes, in sympy's notation: without powers, whose evaluation may not end."""
_WORD = re.compile(r"[\w.:/ +-]*")
_EQUATION = re.compile(r"[A-Za-z., ]*(?:->[A-Za-z., ]*)?")
"""Allowed equations of einsum such as ``bij,bjk->bik``, which PyTorch writes into source code between quotes."""
_MOST_WORD = 400
_MOST_JSON = 1 << 26
_TREES = frozenset({"in_spec", "out_spec"})
_TREE_KINDS = frozenset({"builtins.tuple", "builtins.list", "builtins.dict", None})
_DROPPED: Mapping[str, Any] = {"metadata": {}, "guards_code": []}
"""Dropped fields: source locations, and Python code that checks sizes."""


def save(path: Path, program: torch.export.ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Write a program with the names of its inputs and outputs, without traces of this machine.

    Raises:
        BadInput: the path cannot be written, or ``load`` would refuse the program.
    """
    import torch

    names = json.dumps({"inputs": list(inputs), "outputs": list(outputs)})
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={NAMES: names})
    write_bytes(path, _cleaned(io.BytesIO(buffer.getvalue()), path)[0])


def load(path: Path) -> tuple[torch.export.ExportedProgram, tuple[str, ...], tuple[str, ...]]:
    """A program, and the names of its inputs and outputs, both empty if not in the file.

    Raises:
        BadInput: no such file, it is damaged, or it contains code that would have to be trusted.
    """
    import torch

    try:
        given = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise explain(error, path) from error
    cleaned, names = _cleaned(given, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's warnings about itself
            program = torch.export.load(io.BytesIO(cleaned))
    except Exception as error:  # any exception of PyTorch for a damaged file
        raise BadInput(f"{path}: PyTorch cannot read it: {' '.join(str(error).split())[:300]}") from error
    return program, tuple(names.get("inputs", ())), tuple(names.get("outputs", ()))


def _cleaned(given: io.BytesIO, path: Path) -> tuple[bytes, Mapping[str, Any]]:
    """A deterministic archive of the harmless parts of another, and the names of inputs and outputs.

    Raises:
        BadInput: a required part is not harmless.
    """
    made, names = io.BytesIO(), {}
    try:
        with zipfile.ZipFile(given) as archive, zipfile.ZipFile(made, "w") as copy:
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                place = entry.filename.partition("/")[2]
                data = _plain(archive, entry, place, path)
                if data is not None and place == f"extra/{NAMES}":
                    names = _names(json.loads(data), path)
                if data is not None:
                    copy.writestr(zipfile.ZipInfo(f"network/{place}"), data)
    except (zipfile.BadZipFile, OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise BadInput(f"{path}: not an exported PyTorch program (.pt2): {error}") from error
    except (NotImplementedError, RuntimeError, EOFError, ValueError) as error:  # encrypted, cut short, of another kind
        raise BadInput(f"{path}: its archive cannot be read: {error}") from error
    return made.getvalue(), names


def _plain(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str, path: Path) -> bytes | None:
    """The kept content of an entry, or None."""
    if place.startswith("data/aotinductor/"):
        raise _refused(path, f"it holds compiled code ({entry.filename})")
    if place.startswith("data/sample_inputs/"):
        return _no_samples()
    if place.endswith(".json"):
        if entry.file_size > _MOST_JSON:
            raise BadInput(f"{path}: {entry.filename} has {entry.file_size:,} bytes: too large for a network")
        return json.dumps(_looked(json.loads(archive.read(entry)), path)).encode()
    if re.fullmatch(r"data/(weights/weight|constants/tensor)_\d+|archive_(format|version)|byteorder|\.data/\w+", place):
        return archive.read(entry) if place != ".data/serialization_id" else None
    if place.startswith("extra/"):
        return None
    raise _refused(path, f"it holds {entry.filename}, which is neither a graph nor a tensor")


def _no_samples() -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(((), {}), buffer)
    return buffer.getvalue()


def _names(found: Any, path: Path) -> dict[str, Any]:
    lists = [found.get(key) for key in ("inputs", "outputs")] if isinstance(found, dict) else [None]
    if not all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in lists):
        raise BadInput(f"{path}: {NAMES} should hold two lists of names")
    return dict(found)


def _looked(found: Any, path: Path, key: str = "") -> Any:
    """Check a JSON value recursively; returns it without dropped fields.

    Raises:
        BadInput: a part of it would be run or evaluated.
    """
    if isinstance(found, dict):
        if found.get("use_pickle"):
            raise _refused(path, f"its tensor {str(found.get('path_name'))[:80]!r} is a pickle")
        if "inputs" in found and "target" in found and not _operator(str(found["target"])):
            raise _refused(path, f"its operator {str(found['target'])[:80]!r} is not one of PyTorch's own (ATen)")
        if key == "range_constraints":  # ranges of expressions follow from those of sizes
            found = {name: part for name, part in found.items() if _WORD.fullmatch(name)}
        for name in found:
            _check_text(name, path, "name")
        return {name: _DROPPED[name] if name in _DROPPED else _looked(part, path, name) for name, part in found.items()}
    if isinstance(found, list):
        return [_looked(part, path, key) for part in found]
    if isinstance(found, str):
        _check_text(found, path, key)
    return found


def _check_text(text: str, path: Path, key: str) -> None:
    if key in _TREES:
        _check_tree(json.loads(text), path)
    elif key == "expr_str":
        if len(text) > _MOST_WORD or not _SIZE.fullmatch(text):
            raise _refused(path, f"its size {text[:80]!r} is no plain expression")
    elif len(text) > _MOST_WORD or not (_WORD.fullmatch(text) or (key == "as_string" and _EQUATION.fullmatch(text))):
        raise _refused(path, f"its {key} {text[:80]!r} is no plain name")


def _operator(text: str) -> bool:
    return bool(_OPERATOR.fullmatch(text)) and not _OF_FILES.fullmatch(text)


def _check_tree(found: Any, path: Path) -> None:
    if isinstance(found, dict):
        if "type" in found and found["type"] not in _TREE_KINDS:
            raise _refused(path, f"its inputs or outputs are a {str(found['type'])[:80]!r}")
        for part in found.values():
            _check_tree(part, path)
    elif isinstance(found, list):
        for part in found:
            _check_tree(part, path)


def _refused(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path}: {why}: loading it would execute code from the file; save the program again with "
        f"torch.export.save, or "
        "give the network as FILE.py:ATTRIBUTE or as ONNX"
    )
