"""Code that calls each artifact, with its pixel contract, from templates ``usage_<target>.<language>.j2``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearport.base import Skipped, TensorSpec
from clearport.bundle.manifest import ArtifactRecord, Manifest
from clearport.export.onnxruntime.target import LEAST_ONNXRUNTIME
from clearport.registry import TARGETS
from clearport.reports import templates
from clearport.reports.content import Usage
from clearport.reports.usage_tensors import PREFIX, End, is_plain

_LANGUAGES = {"kt": "kotlin", "py": "python", "swift": "swift"}


@dataclass(frozen=True)
class Codec:
    """Conversion of 8-bit pixels ``p`` to tensor values ``q`` and back, as expressions valid in every language.

    ``encode`` is an expression of ``p``, ``decode`` one of ``q`` (to be rounded and clipped to 0..255 after).
    """

    encode: str
    decode: str

    @property
    def shifts(self) -> bool:
        """Whether pixels become integers by an offset only, without rounding."""
        return not any(c in self.encode for c in "*/")

    @classmethod
    def of(cls, spec: TensorSpec) -> Codec:
        low, step = spec.span[0], spec.pixel_step
        if spec.dtype.startswith("float"):
            return cls(_plus(_times("p", step), low), _over(_plus("q", -low), step))
        scale, zero = spec.scale or step, spec.zero_point or 0
        if math.isclose(scale, step) and _whole(low / scale):
            offset = zero + round(low / scale)
            return cls(_plus("p", offset), _plus("q", -offset))
        encode = _plus(_over(_plus(_times("p", step), low), scale), zero)
        return cls(encode, _over(_plus(_times(_plus("q", -zero), scale), -low), step))


def usages(manifest: Manifest) -> tuple[Usage, ...]:
    """One piece of code for all artifacts with the same call; targets without a template have none."""
    by_code: dict[tuple[str, str, str], list[str]] = {}
    ends, model = manifest.pixel_contract, manifest.model
    prefix = "usage_" if is_plain(ends.inputs, ends.outputs, model.scale, model.crop) else PREFIX
    for artifact in manifest.artifacts:
        for name in templates.names():
            if not name.startswith(f"{prefix}{artifact.target}."):
                continue
            language = _LANGUAGES[name.split(".")[1]]
            code = (_tensors if prefix == PREFIX else _render)(name, manifest, artifact)
            by_code.setdefault((artifact.target, language, code), []).append(opened(manifest, artifact))
    return tuple(
        Usage(
            f"{language.title()} for {TARGETS.get(target).title}",
            language,
            _placed(code, files[0]),
            tuple(files),
        )
        for (target, language, code), files in by_code.items()
    )


def code_of(manifest: Manifest, artifact: ArtifactRecord, language: str, file: str) -> str:
    """The code for one artifact in a language, with ``file`` as its path."""
    suffix = next(suffix for suffix, name in _LANGUAGES.items() if name == language)
    return _placed(_render(f"usage_{artifact.target}.{suffix}.j2", manifest, artifact), file)


_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


def _placed(code: str, file: str) -> str:
    """The code with a file's path inserted and escaped in literals and comments."""
    return code.replace(templates.literal(_PLACE), templates.literal(file)).replace(_PLACE, templates.one_line(file))


def _render(name: str, manifest: Manifest, artifact: ArtifactRecord) -> str:
    source, restored = artifact.inputs[0], artifact.outputs[0]
    height, width = (source.shape[i] for i in ((2, 3) if source.layout == "NCHW" else (1, 2)))
    return (
        templates.environment()
        .get_template(name)
        .render(
            file=_PLACE,
            model=manifest.model,
            source=source,
            restored=restored,
            height=height,
            width=width,
            into=Codec.of(source),
            out_of=Codec.of(restored),
            variant=artifact.variant,
            precision=artifact.precision,
            least_onnxruntime=LEAST_ONNXRUNTIME,
            written_by=artifact.tool_versions.get("onnxruntime", "the one that wrote them"),
            threads=threads_of(artifact),
            threads_said=_threads_said(artifact),
        )
    )


def _tensors(name: str, manifest: Manifest, artifact: ArtifactRecord) -> str:
    """Code for networks with any inputs and outputs."""
    del manifest
    inputs, outputs = ([_end(spec) for spec in specs] for specs in (artifact.inputs, artifact.outputs))
    return (
        templates.environment()
        .get_template(name)
        .render(
            file=_PLACE,
            precision=artifact.precision,
            inputs=inputs,
            outputs=outputs,
            pictures=any(end.picture for end in (*inputs, *outputs)),
            dynamic=any(end.spec.dynamic for end in inputs),
            least_onnxruntime=LEAST_ONNXRUNTIME,
            written_by=artifact.tool_versions.get("onnxruntime", "the one that wrote them"),
            threads=threads_of(artifact),
            threads_said=_threads_said(artifact),
        )
    )


def _end(spec: TensorSpec) -> End:
    return End.of(spec, Codec.of(spec) if spec.is_picture else None)


def threads_of(artifact: ArtifactRecord) -> int:
    """The number of threads with which its time was measured."""
    return 1 if isinstance(artifact.latency, Skipped) else artifact.latency.threads


def _threads_said(artifact: ArtifactRecord) -> str:
    n = threads_of(artifact)
    threads = f"{n} thread{'' if n == 1 else 's'}"
    if isinstance(artifact.latency, Skipped):
        return f"{threads}; measure on your device whether more are faster"
    return f"{threads}, as its time in this report was measured; measure on your device whether more are faster"


def opened(manifest: Manifest, artifact: ArtifactRecord) -> str:
    """The path that a runtime opens: the artifact, or the .xml (OpenVINO) or .param (ncnn) in its folder."""
    inside = [name for name in manifest.files if artifact.holds(name) and name.endswith((".xml", ".param"))]
    return inside[0] if len(inside) == 1 else artifact.path


def _plus(text: str, value: float) -> str:
    if value == 0:
        return text
    return f"({text} {'+' if value > 0 else '-'} {abs(value):.17g})"


def _times(text: str, value: float) -> str:
    if value == 1:
        return text
    return f"({text} / {_real(1 / value)})" if _whole(1 / value) else f"({text} * {_real(value)})"


def _over(text: str, value: float) -> str:
    if value == 1:
        return text
    return f"({text} * {_real(1 / value)})" if _whole(1 / value) else f"({text} / {_real(value)})"


def _real(value: float) -> str:
    """A floating-point literal in every language: 255.0."""
    return repr(float(round(value)) if _whole(value) else value)


def _whole(value: float) -> bool:
    return math.isclose(value, round(value), rel_tol=1e-9)
