"""Uses of ``coreai-core`` beyond its public API ``coreai.authoring``, pinned to 1.0.0b3.

By default, the package (1.0.0b3) names large constants by a process-wide counter, stores the author's Python file and
line with each operator, and a timestamp in the metadata. Here constants are named by content hash, locations are the
layers' names, and the metadata is sorted and has no timestamp, so the same graph gives the same bytes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import ClearportError, RuntimeFailure
from clearport.registry import installed_versions

if TYPE_CHECKING:
    from clearport.base import Array

VERSION = "1.0.0b3"
PACKAGE = "coreai-core"

LEAST_OS = "27"
"""OS version (iOS and macOS): the only one that the package can write for."""

MAIN, TENSORS = "main", "tensors"
"""Functions of a program. With images as inputs or outputs, ``main`` converts them and calls ``tensors``."""

IMAGE = "image"
"""Metadata value of ``VARIANT_KEY`` for files whose ``main`` has images, and the name of that variant."""

VARIANT_KEY = "clearport.variant"

NOT_RUN = "images need CoreVideo, which only Apple's systems have"
"""Reason why ``main`` of the image variant cannot be run elsewhere (``coreai.runtime.HAS_IMAGE_SUPPORT``)."""

IMAGE_CHANNELS = 4
"""Channels of an image as a tensor (height, width, 4), uint8: blue, green, red, alpha."""

PROGRAM, HASH, METADATA = "main.mlirb", "main.hash", "metadata.json"
"""The files of an ``.aimodel``: the program with its constants, the program's SHA-256 (32 bytes), the producer."""

_INLINE_BYTES = 256
"""Smaller constants are inline in the program and need no name."""

_NO_PLACE = "clearport"


@dataclass(frozen=True)
class End:
    """An input or output of a program; dynamic sides are -1. ``name`` is a Python identifier.

    ``image``: 32-bit BGRA in ``main``, and in ``tensors`` a uint8 tensor of ``shape``, (height, width, 4).
    """

    name: str
    shape: tuple[int, ...]
    dtype: type[np.generic]
    image: bool = False


@dataclass(frozen=True)
class About:
    """Contents of the metadata."""

    author: str
    license: str
    description: str
    facts: Mapping[str, str]


def unusable() -> str | None:
    """Why ``coreai-core`` does not support this system, or None if it does."""
    import platform

    system, machine = platform.system(), platform.machine().lower()
    if (system, machine) in {("Linux", "x86_64"), ("Darwin", "arm64")}:
        return None
    return (
        f"{PACKAGE} {VERSION} is made for Linux on x86-64 and for macOS 26 on Apple silicon, not for {system} {machine}"
    )


@contextmanager
def version_named() -> Iterator[None]:
    """Context in which an error of another version of the package than ``VERSION`` names both versions.

    Raises:
        RuntimeFailure: the package raised, and its version is another one.
    """
    try:
        yield
    except (ClearportError, OSError):
        raise
    except Exception as error:
        found = installed_versions((PACKAGE,))[PACKAGE]
        if found in {None, VERSION}:
            raise
        raise RuntimeFailure(
            f"{PACKAGE} {found} is installed, and clearport is made for {VERSION} (pip install {PACKAGE}=={VERSION}): "
            f"{type(error).__name__}: {error}"
        ) from error


def constant(array: Array) -> Any:
    """A constant of the program under construction; large ones are named by content hash."""
    from coreai._compiler.dialects._coreai_ops_gen import ConstantOp
    from coreai._compiler.ir import DenseResourceElementsAttr
    from coreai.authoring import TensorType, Value
    from coreai.authoring.constant import constant as small

    held = np.asarray(array, order="C")
    if held.nbytes < _INLINE_BYTES:
        return small(held)
    name = hashlib.sha256(f"{held.dtype} {held.shape} ".encode() + held.tobytes()).hexdigest()[:24]
    kind = TensorType(held.shape, held.dtype)._to_mlir()  # noqa: SLF001  the facade names its constants by a counter
    attribute = DenseResourceElementsAttr.get_from_buffer(held, f"w{name}", kind)
    return Value._from_mlir(ConstantOp(value=attribute).result)  # noqa: SLF001


@contextmanager
def layer(name: str) -> Iterator[None]:
    """Context in which operators are recorded as belonging to layer ``name``."""
    from coreai.authoring import DebugInfo

    with DebugInfo.file(name, 1).activate():
        yield


def build(inputs: Sequence[End], outputs: Sequence[End], write: Callable[..., Sequence[Any]]) -> Any:
    """A program whose function ``main`` is built by ``write`` from its inputs.

    With images among ``inputs`` or ``outputs``, ``write`` builds the function ``tensors``, and ``main`` calls it.
    """
    from coreai.authoring import AIProgram, Context, Module, graph

    def called(*values: Any) -> Any:
        return _returned(write(*values))

    images = any(end.image for end in (*inputs, *outputs))
    _describe(called, inputs, outputs, _tensor)
    module = _module(Context, Module)
    with module:
        made = graph(called, provided_name=TENSORS if images else MAIN)
        if images:
            _wrap(made, inputs, outputs)
    return AIProgram(module)


def _wrap(tensors: Any, inputs: Sequence[End], outputs: Sequence[End]) -> None:
    """``main``: images to tensors, ``tensors``, and its results to images."""
    from coreai.authoring import graph, image_to_tensor, tensor_to_image

    def called(*values: Any) -> Any:
        with layer(_NO_PLACE):
            given = [image_to_tensor(v) if e.image else v for e, v in zip(inputs, values, strict=True)]
            made = zip(outputs, tensors(*given), strict=True)
            return _returned([tensor_to_image(_image(end), value) if end.image else value for end, value in made])

    _describe(called, inputs, outputs, lambda end: _image(end) if end.image else _tensor(end))
    graph(called, provided_name=MAIN)


def _returned(made: Sequence[Any]) -> Any:
    return made[0] if len(made) == 1 else tuple(made)


def _tensor(end: End) -> Any:
    from coreai.authoring import TensorType

    return TensorType(end.shape, end.dtype, name=end.name)


def _image(end: End) -> Any:
    from coreai._compiler._mlir_libs._coreaiIR._bindings.mlir.dialects.coreai import FourCC
    from coreai.authoring import ImageType

    return ImageType(FourCC.BGRA32, *end.shape[:2], name=end.name)


def _module(context: Any, module: Any) -> Any:
    """An empty module without source locations."""
    with context()._mlir_context, layer(_NO_PLACE):  # noqa: SLF001  there is no other way to say where it is made
        return module.create()


def _describe(main: Any, inputs: Sequence[End], outputs: Sequence[End], type_of: Callable[[End], Any]) -> None:
    """Give a function the signature that ``graph`` reads, without a source location."""
    from coreai.authoring import Value

    kinds = [_Annotated(Value, type_of(end)) for end in (*inputs, *outputs)]
    given, made = kinds[: len(inputs)], kinds[len(inputs) :]
    main.__signature__ = inspect.Signature(
        [inspect.Parameter(e.name, inspect.Parameter.POSITIONAL_ONLY) for e in inputs]
    )
    result = made[0] if len(made) == 1 else tuple[tuple(made)]  # type: ignore[misc]  # made of values, not of types
    main.__annotations__ = dict(zip((e.name for e in inputs), given, strict=True)) | {"return": result}
    main.__code__ = main.__code__.replace(co_filename=_NO_PLACE, co_firstlineno=1)


def _Annotated(kind: Any, about: Any) -> Any:  # noqa: N802  it is typing's
    from typing import Annotated

    return Annotated[kind, about]


def save(program: Any, about: About, folder: Path) -> None:
    """Write a program as the ``.aimodel`` at ``folder``, whose name must have this suffix."""
    asset = program.save_asset(folder)

    def tell(metadata: Any) -> None:
        metadata.author, metadata.license = about.author, about.license
        metadata.model_description, metadata.creation_date = about.description, 0.0
        for name, text in about.facts.items():
            metadata.set_custom(name, text)

    asset.update_metadata(updates=tell)
    path = folder / METADATA
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1, sort_keys=True) + "\n")


async def watched(
    asset: Any, name: str, folder: Path, layers: Collection[str], note: Callable[[str, Array], None]
) -> Any:
    """The function ``name`` of an asset; while it runs, it passes the int8 tensors of ``layers`` to ``note``.

    ``folder``, which must end in ``.aimodelx``, keeps the compiled program. If a tensor is
    reported several times, the last one counts. Also returns the objects that must outlive the function.
    """
    from coreai.runtime import AIModel, CompileIdentifiers, IntermediateLogger

    asset._write_odix(folder, enable_debug_info=True)  # noqa: SLF001  only a compiled program keeps layers' names
    model = await AIModel.load(path=str(folder))
    operations = json.loads(model._debug_infos)[0]["operations"]  # noqa: SLF001
    places = {
        operation["odixId"]: place["fileName"]
        for operation in operations
        for place in operation.get("sourceLocations", ())
        if operation.get("odixId") is not None and place["fileName"] in layers
    }

    def heard(values: Any, _: Any, identifiers: Any) -> None:
        arrays = [_array(value) for value in values if value is not None]
        if len(arrays) == 1 and arrays[0].dtype == np.int8 and arrays[0].ndim > 1:  # of one axis: memory to work in
            note(places[identifiers.id], arrays[0])

    logger = IntermediateLogger([CompileIdentifiers(each) for each in places], heard, True)
    function = model.load_function(name, intermediate_logger=logger)
    return function, (model, logger)


def _array(value: Any) -> Array:
    """A copy of a reported tensor."""
    from coreai.runtime import NDArray

    wrapped = NDArray._wrap(value).numpy() if hasattr(NDArray, "_wrap") else value  # noqa: SLF001
    return np.array(wrapped)


def metadata(folder: Path) -> dict[str, Any]:
    """The metadata of an ``.aimodel`` (``custom_metadata`` does not exist in 1.0.0b3)."""
    told: dict[str, Any] = json.loads((folder / METADATA).read_bytes())
    return told


def has_images(folder: Path) -> bool:
    """Whether ``main`` of an ``.aimodel`` written by clearport has images as inputs or outputs."""
    known: dict[str, Any] = metadata(folder).get("creatorDefinedMetadata", {})
    return known.get(VARIANT_KEY) == IMAGE


def damage(folder: Path) -> str | None:
    """A description of damage to the files of an ``.aimodel``, or None if its own hash matches.

    The runtime (1.0.0b3) does not check the hash, and a truncated program crashes its process.
    """
    absent = [name for name in (PROGRAM, HASH, METADATA) if not (folder / name).is_file()]
    if absent:
        return f"{absent[0]} is missing"
    try:
        metadata(folder)
    except ValueError:
        return f"{METADATA} is not JSON"
    if hashlib.sha256((folder / PROGRAM).read_bytes()).digest() != (folder / HASH).read_bytes():
        return f"{PROGRAM} is not what {HASH} says: the file is damaged or was changed"
    return None
