"""The file of ``clearport matrix``, and its exports: one per network, scale and size.

An export writes every target and precision from one graph and one scale table, so it is the unit of work; targets and
precisions are the cells of its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from clearport.base import USUAL_PRECISIONS, IODType, Precision, Size
from clearport.disk.toml_files import TomlFile
from clearport.errors import BadInput
from clearport.pipeline.sources.request import ExportRequest
from clearport.registry import NETWORKS, TARGETS

EXAMPLE = """\
# clearport matrix zoo.toml --out out/zoo
# Every network at every scale and size, in every precision, for every target. Settings here apply to all models.

sizes = ["360x640"]                      # HEIGHTxWIDTH, or "dynamic"; left out: the network's own size, else 360x640
targets = ["tflite", "onnxruntime"]      # left out: all of 'clearport list'
precisions = ["fp32", "int8"]            # of fp32, fp16, int8, int8-weights; left out: all

[models.ncnet]                           # a network of 'clearport list'
scales = [2, 3]

[models.derain]                          # the name of its bundles; the network follows
network = "mobilederain"
precisions = ["int8"]                    # overrides the setting above

# [models.mine]
# network = "my.onnx"                    # or my.pt2; paths are relative to this file
# sizes = ["256x256", "512x512"]
# calibration = "photos/"                # photos typical of its input, for int8
# contract = "my.toml"                   # as 'clearport inspect my.onnx' prints it
# weights = "mine.safetensors"           # of a network of 'clearport list'
"""

ADVICE = "; 'clearport matrix --init FILE' writes an example"
_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_OWN = (".onnx", ".pt2")


def _size(text: str) -> str:
    _told(lambda: Size.parse(text))
    return text.strip().lower()


def _target(name: str) -> str:
    _told(lambda: TARGETS.module(name))
    return name


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("names of models, and so of bundles, may have lowercase letters, digits, '_' and '-' only")
    return text


def _network(word: str) -> str:
    if word.lower().rpartition(":")[0].endswith(".py") or word.lower().endswith(".py"):
        raise ValueError(
            f"{word}: the imports of a Python file are unknown, so changes cannot be detected; save the network with "
            "torch.export.save, and name the .pt2 file"
        )
    if not word.lower().endswith(_OWN):
        _told(lambda: NETWORKS.module(word))
    return word


def _told(check: object) -> None:
    try:
        check()  # type: ignore[operator]
    except BadInput as error:
        raise ValueError(str(error).removeprefix("--size ")) from error


SizeText = Annotated[StrictStr, AfterValidator(_size)]
TargetName = Annotated[StrictStr, AfterValidator(_target)]
Label = Annotated[StrictStr, AfterValidator(_label)]
SOME = Field(min_length=1)
"""An empty list or word would mean everything, or the folder of the file: left out, it means that."""
Word = Annotated[StrictStr, SOME]
Scale = Annotated[StrictInt, Field(ge=1, le=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelTold(_Part):
    """A network with export settings; see ``clearport export --help``. Paths are relative to the file."""

    network: Word | None = None
    scales: Annotated[tuple[Scale, ...], SOME] | None = None
    sizes: Annotated[tuple[SizeText, ...], SOME] | None = None
    targets: Annotated[tuple[TargetName, ...], SOME] | None = None
    precisions: Annotated[tuple[Precision, ...], SOME] | None = None
    weights: Word | None = None
    knobs: Mapping[str, float] = Field(default_factory=dict)
    calibration: Word | None = None
    contract: Word | None = None
    requantize: StrictBool = False
    io: IODType | None = None


class MatrixFile(_Part):
    """The whole file: settings for all models, and the models by the names of their bundles."""

    sizes: Annotated[tuple[SizeText, ...], SOME] = ()
    targets: Annotated[tuple[TargetName, ...], SOME] = ()
    precisions: Annotated[tuple[Precision, ...], SOME] = ()
    io: IODType = "uint8"
    calibration: Word | None = None
    models: Annotated[Mapping[Label, ModelTold], Field(min_length=1)]


@dataclass(frozen=True)
class Job:
    """One export. ``name`` is the folder of its bundle, ``label`` the model's name in the file.

    ``size`` is as in the file, or ``own``. ``folder`` is the base of relative paths.
    """

    name: str
    label: str
    network: str
    scale: int | None
    size: str
    targets: tuple[str, ...]
    precisions: tuple[Precision, ...]
    weights: str | None
    knobs: tuple[str, ...]
    calibration: str | None
    contract: str | None
    requantize: bool
    io: IODType
    folder: str

    @property
    def is_file(self) -> bool:
        """Whether the network is the user's file."""
        return self.network.lower().endswith(_OWN)

    @property
    def named(self) -> Mapping[str, str]:
        """Field -> file or folder, as written in the matrix file."""
        words = {
            "network": self.network if self.is_file else None,
            "weights": self.weights,
            "calibration": self.calibration,
            "contract": self.contract,
        }
        return {field: word for field, word in words.items() if word is not None}

    @property
    def places(self) -> Mapping[str, Path]:
        """Field -> absolute path of its file or folder."""
        return {field: Path(self.folder, word) for field, word in self.named.items()}

    def request(self, out: Path, places: Mapping[str, Path]) -> ExportRequest:
        """The job as a request for an export to ``out``, with its files at ``places``."""
        size: Size | Literal["own"] | None = "own" if self.size == "own" else Size.parse(self.size)
        return ExportRequest(
            network=str(places["network"]) if self.is_file else self.network,
            out=out,
            scale=self.scale,
            size=size,
            targets=self.targets,
            precisions=self.precisions,
            weights=places.get("weights"),
            knobs=self.knobs,
            calibration=places.get("calibration"),
            contract=places.get("contract"),
            requantize=self.requantize,
            io=self.io,
            measure=False,
        )


def read_matrix(path: Path) -> list[Job]:
    """The exports of a matrix file, in order.

    Raises:
        BadInput: it cannot be read, has an unknown setting, network or target, or names a missing file; the message has
            the key and its line.
    """
    file = TomlFile(path)
    told = file.model(MatrixFile, "a matrix", ADVICE)
    jobs: dict[str, Job] = {}
    for label, model in told.models.items():
        _check_network(file, label, model)
        _check_files(file, told, label, model)
        for job in _jobs(told, label, model, path.parent):
            if job.name in jobs:
                raise BadInput(
                    f"{path}: {file.at(('models', label))}: its bundle {job.name} is also that of model "
                    f"{jobs[job.name].label!r}, or listed twice"
                )
            jobs[job.name] = job
    return list(jobs.values())


def _check_network(file: TomlFile, label: str, model: ModelTold) -> None:
    key = ("models", label, *(("network",) if model.network else ()))
    try:
        _network(model.network or label)
    except ValueError as error:
        named = "" if model.network else "; set 'network' if this is only the bundles' name"
        raise BadInput(f"{file.path}: {file.at(key)}: {error}{named}") from error


def _check_files(file: TomlFile, told: MatrixFile, label: str, model: ModelTold) -> None:
    named: dict[tuple[str, ...], str | None] = {
        ("models", label, key): getattr(model, key) for key in ("weights", "calibration", "contract")
    }
    if (model.network or label).lower().endswith(_OWN):
        named["models", label, "network"] = model.network
        if model.scales is not None:
            raise BadInput(
                f"{file.path}: {file.at(('models', label, 'scales'))}: the scale of your own network is fixed; the "
                "setting is for networks of 'clearport list'"
            )
    for key, word in {**named, ("calibration",): told.calibration}.items():
        place = Path(file.path.parent, word or "")
        if word is not None and not place.exists():
            raise BadInput(f"{file.path}: {file.at(key)}: no such file or folder: {place}")
        if word is not None and place.is_dir() and key[-1] != "calibration":
            raise BadInput(f"{file.path}: {file.at(key)}: expected a file, and this is a folder: {place}")


def _jobs(told: MatrixFile, label: str, model: ModelTold, folder: Path) -> Iterator[Job]:
    sizes = told.sizes if model.sizes is None else model.sizes
    for scale in model.scales or (None,):
        for size in sizes or ("own",):
            parts = (label, "" if scale is None else f"x{scale}", "" if size == "own" else size)
            yield Job(
                name="_".join(filter(None, parts)),
                label=label,
                network=model.network or label,
                scale=scale,
                size=size,
                targets=told.targets if model.targets is None else model.targets,
                precisions=told.precisions if model.precisions is None else model.precisions,
                weights=model.weights,
                knobs=tuple(f"{name}={value!r}" for name, value in sorted(model.knobs.items())),
                calibration=told.calibration if model.calibration is None else model.calibration,
                contract=model.contract,
                requantize=model.requantize,
                io=told.io if model.io is None else model.io,
                folder=str(folder.absolute()),
            )


def all_cells(job: Job) -> list[tuple[str, Precision]]:
    """Every (target, precision) of a job."""
    targets = job.targets or TARGETS.names()
    return [(target, precision) for target in targets for precision in job.precisions or USUAL_PRECISIONS]
