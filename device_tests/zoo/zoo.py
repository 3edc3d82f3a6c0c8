"""What the tests of the zoo share: weights for a network, its bundles, and what must hold of them.

Weights are the bundled ones where there are some; else the published ones where ``CLEARPORT_SHARED`` has them; else
fresh ones of a fixed seed, which prove the arithmetic and say nothing of quality.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import clearport
from clearport.base import Size, Skipped, Task
from clearport.bundle.folder import Bundle
from clearport.model_spec import ModelSpec
from clearport.pipeline.goldens import golden_picture
from clearport.pipeline.plan import _cells as plan_cells
from clearport.quantize.flow import QuantizeOptions
from clearport.registry import NETWORKS, TARGETS, missing

from ..proven import proof_of
from ..published import some_weights

Test = Callable[..., None]

SIDE = 64
FREE = Size(48, 80)
"""The picture that files of free size are run on: a multiple of what every network divides by, and no square."""
ANY_SIZE = ("onnxruntime", "openvino")
"""Targets whose files take any size of any network."""
EVERYWHERE_AT_ANY_SIZE = {"mobilederain", "ncnet"}
"""Recommended networks that every target takes at a free size; iagc resizes to the size of the picture."""
SIMPLE = partial(QuantizeOptions, equalization=(0.0,), search=False, compensate=False)
FIRST = {
    **dict.fromkeys(("tflite", "onnxruntime", "openvino"), ("fp32", "int8")),
    **dict.fromkeys(("coreai", "coreml", "ncnn"), ("fp16",)),
}
"""What people take first."""
SEARCHED = {"fsrcnn", "rlfn", "span", "stylegen"}
"""Networks that plain ranges bring below what any int8 file must keep to PyTorch (RLFN: 30 dB of 35), or, FSRCNN, to
the reference (0.501 levels of 0.5). StyleGAN2's generator keeps 38 dB with the search, near what it must."""
_NEEDS_A_SIZE = re.compile(r"unsupported operator \w+ of layer .* (give --size|export it for one size)")
_NO_FREE_IMAGE = re.compile("Core AI's images have a fixed size|no input or output is an RGB picture")
LARGE = {"bsrn", "iagcfull", "iat", "imdn", "prenet", "prn", "quasisparse", "rfdn", "safmn", "sci"}
LARGE |= {"snetvnet", "spantiny", "transmission", "zerodce", "zerodcepp"}
LARGE |= {"graspp", "heavyrain", "rlfn", "safmnpp", "span"}
LARGE |= {
    "abpn",
    "caddm",
    "cenhdr",
    "ddn",
    "dire",
    "ecbsr",
    "espcn",
    "fmen",
    "fsrcnn",
    "fst",
    "wmembed",
    "wmread",
    "xlsr",
}
LARGE |= {
    "altfreezing",
    "e2refine",
    "e2style",
    "hdrtransformer",
    "matcoarse",
    "matrefine",
    "multiattentional",
    "negcut",
    "sinstep",
    "stylegen",
}
"""What takes half a minute, or resembles another network, waits for ``make test-all``."""
COREAI_SIDE = 128
"""Core AI's runtime for Linux is not asked for more; a network that takes no less has no smaller twin for it."""


def small_size(spec: ModelSpec, side: int = SIDE) -> Size:
    """A square of ``side`` pixels, or the next larger one that the network takes."""
    side = -(-max(side, spec.least_side) // spec.size_multiple) * spec.size_multiple
    return Size(side, side)


def names(task: Task) -> list[Any]:
    """The networks of a task as parameters of a test; the large ones are marked slow."""
    found = [name for name in NETWORKS.names() if NETWORKS.get(name).task == task]
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in found]


def tests(task: Task) -> tuple[Test, Test, Test]:
    """What a test file of a task consists of; each task has one of its own, so that they run side by side."""
    each = pytest.mark.parametrize("name", names(task))

    @each
    def reaches(name: str, tmp_path: Path, few_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reaches_every_target(name, tmp_path, few_photos, monkeypatch)

    @pytest.mark.slow
    @each
    def passes(name: str, tmp_path: Path) -> None:
        passes_at_every_precision(name, tmp_path)

    @pytest.mark.slow
    @each
    def takes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        takes_any_size(name, tmp_path, monkeypatch)

    return reaches, passes, takes


def exported(name: str, folder: Path, **options: Any) -> Bundle:
    """A small bundle of a network; ``options`` are those of ``clearport.export``."""
    spec = NETWORKS.get(name)
    given = some_weights(spec, folder)
    asked = {"size": str(small_size(spec)), "weights": given, "measure": False, "force": True} | options
    bundle = clearport.export(name, folder / "bundle", **asked)
    assert bundle.manifest.model.whole_picture is spec.whole_picture
    return bundle


def reaches_every_target(name: str, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The formats that people take first. Ranges are searched where they must be: that all files compute the same is
    judged here, not what int8 costs."""
    if name not in SEARCHED:
        monkeypatch.setattr("clearport.pipeline.int8.QuantizeOptions", SIMPLE)
    monkeypatch.setattr("clearport.pipeline.plan._cells", lambda target, _: plan_cells(target, FIRST[target.name]))
    bundle = exported(name, folder, calibration=photos)
    check(bundle)
    assert {(a.target, a.precision) for a in bundle.artifacts} == {
        (target, precision) for target, those in FIRST.items() for precision in those if not _absent(target)
    }


def takes_any_size(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every target at every precision for pictures of any size: proven, or refused where the operator needs a size.

    Photos and ranges are those of a user's first export, and so are the limits: of a network that plain ranges make
    much worse, as RLFN, they would ask for little.
    """
    monkeypatch.setattr(
        "clearport.pipeline.export.golden_picture", lambda task, size: golden_picture(task, size or FREE)
    )
    bundle = exported(name, folder, size="dynamic")
    check_artifacts(bundle)
    assert {artifact.target for artifact in bundle.artifacts} >= {t for t in ANY_SIZE if not _absent(t)}
    for skipped in bundle.manifest.skipped:
        assert (
            _absent(skipped.what.partition("/")[0])
            or _NO_FREE_IMAGE.match(skipped.reason)
            or (name not in EVERYWHERE_AT_ANY_SIZE and _NEEDS_A_SIZE.search(skipped.reason))
        ), f"{name}: {skipped.what} is skipped: {skipped.reason}"


def passes_at_every_precision(name: str, folder: Path) -> None:
    """Everything that a user gets by default, and no check fails."""
    bundle = exported(name, folder)
    check(bundle)
    assert bundle.manifest.failures() == []


def check(bundle: Bundle) -> None:
    """Every file is what its reference says; nothing was skipped but what needs a package that is missing, and image
    variants for Apple of a network that neither takes nor gives such pictures."""
    check_artifacts(bundle)
    for skipped in bundle.manifest.skipped:
        assert _absent(skipped.what.partition("/")[0]) or _without_pictures(bundle, skipped.what), (
            f"{skipped.what} is skipped: {skipped.reason}"
        )


def check_artifacts(bundle: Bundle) -> None:
    """Every file is what its reference says."""
    for artifact in bundle.artifacts:
        if artifact.target == "coreai" and NETWORKS.get(bundle.manifest.model.name).least_side > COREAI_SIDE:
            assert isinstance(artifact.parity, Skipped)
            assert artifact.parity.reason.endswith(f"not run above {COREAI_SIDE}x{COREAI_SIDE} pixels")
            continue
        report = proof_of(artifact)
        if report is None:
            continue
        assert report.passed, (artifact.key, report.failures)


def _without_pictures(bundle: Bundle, what: str) -> bool:
    target = what.partition("/")[0]
    colors = {"coreml": ("RGB", "Y"), "coreai": ("RGB",)}.get(target, ())
    tensors = [a for a in bundle.artifacts if a.variant in {"", "tensor"} and what == f"{target}/{a.precision}/image"]
    ends = [end for artifact in tensors for end in (*artifact.inputs, *artifact.outputs)]
    return bool(ends) and not any(end.is_picture and end.color in colors for end in ends)


def _absent(target: str) -> bool:
    return bool(missing(TARGETS.get(target).requires))
