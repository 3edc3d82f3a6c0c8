"""Usage code: its arithmetic is the pixel contract, and Python's code really runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clearport.base import TensorSpec
from clearport.bundle.folder import Bundle
from clearport.reports.content import Usage
from clearport.reports.usage import Codec, usages
from tests.white_pixels import convolution

P = np.arange(256, dtype=np.float64)
ON_GRID = [(0.0, 255.0), (0.0, 1.0), (-1.0, 254.0)]
OFF_GRID = [(-1.0, 1.0), (-0.5, 0.5)]
RANGES = ON_GRID + OFF_GRID
DTYPES = ["float32", "uint8", "int8"]


def evaluate(expression: str, **names: Any) -> Any:
    assert re.fullmatch(r"[pq0-9e+\-*/(). ]+", expression)
    return eval(expression, {}, names)


def contract(dtype: str, value_range: tuple[float, float]) -> TensorSpec:
    spec = TensorSpec("image", (1, 3, 2, 2), dtype, value_range=value_range)
    if dtype == "float32":
        return spec
    zero = {"uint8": 0, "int8": -128}[dtype] - round(value_range[0] / spec.pixel_step)
    return replace(spec, scale=spec.pixel_step, zero_point=zero)


@pytest.mark.parametrize("value_range", RANGES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_go_in_and_come_out(dtype: str, value_range: tuple[float, float]) -> None:
    spec = contract(dtype, value_range)
    codec = Codec.of(spec)
    q = evaluate(codec.encode, p=P)
    real = q if dtype == "float32" else (q - (spec.zero_point or 0)) * spec.pixel_step
    np.testing.assert_allclose(real, value_range[0] + P * spec.pixel_step, atol=1e-9)
    np.testing.assert_allclose(evaluate(codec.decode, q=q), P, atol=1e-9)


@pytest.mark.parametrize("value_range", ON_GRID)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_pixel_that_fits_the_grid_is_only_shifted(dtype: str, value_range: tuple[float, float]) -> None:
    codec = Codec.of(contract(dtype, value_range))
    assert codec.shifts
    q = evaluate(codec.encode, p=np.arange(256))
    assert (q.min(), q.max()) == ((0, 255) if dtype == "uint8" else (-128, 127))


@given(st.sampled_from(RANGES), st.floats(1e-3, 3.0), st.integers(-128, 127))
def test_any_output_scale_is_read_as_the_contract_says(
    value_range: tuple[float, float], scale: float, zero: int
) -> None:
    spec = TensorSpec("o", (1, 3, 2, 2), "int8", value_range=value_range, scale=scale, zero_point=zero)
    q = np.arange(-128.0, 128.0)
    expected = ((q - zero) * scale - value_range[0]) / spec.pixel_step
    np.testing.assert_allclose(evaluate(Codec.of(spec).decode, q=q), expected, rtol=1e-9, atol=1e-9 + abs(scale) * 0.51)


def test_no_division_of_integers_is_written() -> None:
    spec = TensorSpec("image", (1, 3, 2, 2), value_range=(0.0, 1.0))
    assert Codec.of(spec) == Codec("(p / 255.0)", "(q * 255.0)")


@pytest.fixture(scope="module")
def made(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("usage") / "bundle")


def test_every_artifact_of_the_four_targets_has_its_code(made: Bundle) -> None:
    files = [name for usage in usages(made.manifest) for name in usage.files]
    assert len(files) == len(made.artifacts)
    assert "openvino/ncnet_x3_int8.openvino/model.xml" in files
    assert {usage.language for usage in usages(made.manifest)} == {"python", "kotlin", "swift"}


def test_braces_of_every_language_are_balanced(made: Bundle) -> None:
    for usage in usages(made.manifest):
        for pair in ("()", "[]", "{}"):
            assert usage.code.count(pair[0]) == usage.code.count(pair[1]), usage.code


def test_free_sizes_are_asked_of_the_picture_and_checked_against_the_multiple(made: Bundle) -> None:
    def free(spec: TensorSpec) -> TensorSpec:
        axes = (1, 3, "H", "W") if spec.layout == "NCHW" else (1, "H", "W", 3)
        return replace(spec, shape=axes)

    artifacts = [
        a.model_copy(update={"inputs": tuple(map(free, a.inputs)), "outputs": tuple(map(free, a.outputs))})
        for a in made.artifacts
    ]
    model = made.manifest.model.model_copy(update={"size": "dynamic", "size_multiple": 8})
    for usage in usages(made.manifest.model_copy(update={"artifacts": tuple(artifacts), "model": model})):
        assert str(made.artifacts[0].inputs[0].shape[2]) not in usage.code
        if usage.language == "python":
            compile(usage.code, "usage", "exec")
            assert "% 8 == 0" in usage.code
        if usage.language == "kotlin":
            assert "resizeInput(0, intArrayOf(1, height, width, 3))" in usage.code
            assert "newWidth % 8 == 0" in usage.code
        assert_parsed(usage)


def test_a_network_that_leaves_a_border_out_has_no_code_that_cuts_tiles_by_its_scale(made: Bundle) -> None:
    model = made.manifest.model.model_copy(update={"crop": 12})
    with_border = usages(made.manifest.model_copy(update={"model": model}))
    assert with_border
    for usage in with_border:
        assert "scale" not in usage.code.lower().replace("scale_", ""), usage.code
        assert_parsed(usage)


RUN_WHITE = """
overflows = lambda: True
white = np.ones((1, 16, 8, 10), np.float32)
np.testing.assert_allclose(compiled("white.onnx", {"INFERENCE_PRECISION_HINT": "f32"})(white)[0], 1, atol=1e-6)
"""


@pytest.mark.parametrize("crop", [0, 12], ids=["one picture", "tensors"])
def test_code_for_openvino_adds_in_full_where_int8_kernels_overflow(made: Bundle, crop: int, tmp_path: Path) -> None:
    """As on a CPU without VNNI: no int8 kernels, and no error from the convolution that they would have hidden."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    manifest = made.manifest.model_copy(update={"model": made.manifest.model.model_copy(update={"crop": crop})})
    (usage,) = [u for u in usages(manifest) if "openvino/ncnet_x3_int8.openvino/model.xml" in u.files]
    assert f'model = compiled("{usage.files[0]}", settings)' in usage.code
    definitions = usage.code[: usage.code.index("# Without the hint")]
    onnx.save(convolution(transposed=True), tmp_path / "white.onnx")
    command = [sys.executable, "-c", definitions + RUN_WHITE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PARSERS = {"kotlin": "tree_sitter_kotlin", "swift": "tree_sitter_swift", "python": "ast"}


def assert_parsed(usage: Usage) -> None:
    """A real parser of the language finds no error in the code."""
    if usage.language == "python":
        ast.parse(usage.code)
        return
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip(PARSERS[usage.language])
    tree = tree_sitter.Parser(tree_sitter.Language(grammar.language())).parse(usage.code.encode())
    assert not tree.root_node.has_error, usage.code


def test_code_is_that_of_its_language(made: Bundle) -> None:
    for usage in usages(made.manifest):
        assert_parsed(usage)


def test_broken_code_is_noticed(made: Bundle) -> None:
    (usage, *_) = [u for u in usages(made.manifest) if u.language == "kotlin"]
    broken = replace(usage, code=usage.code.replace("fun restore(", "fun restore((", 1))
    with pytest.raises(AssertionError):
        assert_parsed(broken)


def test_kotlin_opens_the_model_once_and_cuts_pictures_into_tiles(made: Bundle) -> None:
    artifacts = tuple(
        a.model_copy(update={"latency": replace(a.latency, threads=3)}) if a.target == "tflite" else a
        for a in made.artifacts
    )
    found = [u for u in usages(made.manifest.model_copy(update={"artifacts": artifacts})) if u.language == "kotlin"]
    assert found
    for usage in found:
        body = usage.code[usage.code.index("fun restore(") : usage.code.index("override fun close")]
        assert "CompiledModel" not in body, "it is opened once, not with each picture"
        assert "Array(" not in body, "what it works with is kept"
        assert "for (row in spans(" in body
        assert "const val HALO = 14" in usage.code
        assert "numThreads = 3" in usage.code
        assert "catch (refused: LiteRtException)" in usage.code, (
            "a unit that does not take the file leaves it to the CPU"
        )
        assert ("writeInt8" in usage.code) == ("int8" in usage.files[0])


def test_swift_cuts_pictures_into_tiles_too(made: Bundle) -> None:
    found = [u for u in usages(made.manifest) if u.language == "swift"]
    assert {"CGImage" in usage.code for usage in found} == {True, False}, "of pictures and of tensors"
    for usage in found:
        body = usage.code[usage.code.index("func restore(") :]
        assert "for row in spans(height, tile: tileHeight)" in body
        assert "let halo = 14" in usage.code
        assert "compileModel" not in body, "it is opened once, not with each picture"


def test_swift_cuts_the_spans_that_clearport_cuts(made: Bundle) -> None:
    """Its arithmetic, carried over to Python word by word, against that of the tiles of ``clearport run``."""
    code = next(u.code for u in usages(made.manifest) if u.language == "swift")
    body = code[code.index("func spans(") : code.index("/// The source pixel of")]
    for old, new in SWIFT_AS_PYTHON:
        body = re.sub(old, new, body)
    names: dict[str, Any] = {"halo": 14, "multiple": 1, "Span": lambda start, from_, to: (start, from_, to)}
    exec(body, names)
    for picture in (5, 48, 49, 76, 200, 333):
        taken = [(keep_from, keep_to) for _, keep_from, keep_to in names["spans"](picture, 48)]
        assert [n for pair in taken for n in range(*pair)] == list(range(picture)), "each pixel once"
        for start, keep_from, keep_to in names["spans"](picture, 48):
            assert keep_from == 0 or keep_from - start >= 14
            assert keep_to >= picture or start + 48 - keep_to >= 14


SWIFT_AS_PYTHON = (
    (r"func spans\(_ picture: Int, tile: Int\) -> \[Span\] \{", "def spans(picture, tile):"),
    (r"precondition\((.*), (\".*\")\)", r"assert \1, \2"),
    (r"\|\|", "or"),
    (r"(?:let|var) (\w+)(?:: \[Span\])? = ", r"\1 = "),
    (r"= (.*) \? (.*) : (.*)", r"= \2 if \1 else \3"),
    (r"while (.*) \{", r"while \1:"),
    (r"Span\(start: (.*), from: (.*), to: (.*)\)\)", r"Span(\1, \2, \3))"),
    (r" / ", " // "),
    (r"(?m)^ *\}\n", ""),
)


def test_python_uses_the_threads_that_were_measured(made: Bundle) -> None:
    codes = [u.code for u in usages(made.manifest) if u.language == "python"]
    assert codes
    assert all(re.search(r"(num_threads|NUM_THREADS\")[ :=]+1\b", code) for code in codes)


def test_a_name_cannot_end_a_literal_or_a_comment(made: Bundle) -> None:
    nasty = '"; evil() // ${x}\n*/ evil()'
    artifacts = [
        a.model_copy(update={"inputs": (replace(a.inputs[0], name=nasty, color=nasty),)}) for a in made.artifacts
    ]
    for usage in usages(made.manifest.model_copy(update={"artifacts": tuple(artifacts)})):
        for line in usage.code.splitlines():
            before = line.partition("evil")[0]
            assert before == line or '\\"; ' in before or "//" in before or "#" in before, line
        if usage.language == "python":
            called = [n.id for n in ast.walk(ast.parse(usage.code)) if isinstance(n, ast.Name)]
            assert "evil" not in called


@pytest.mark.parametrize(("layout", "dtype"), [("NCHW", "float32"), ("NHWC", "uint8"), ("NCHW", "uint8")])
def test_python_code_for_onnxruntime_runs(made: Bundle, tmp_path: Path, layout: Any, dtype: str) -> None:
    """On a model that passes its input on, what comes out is the picture that went in."""
    from onnx import TensorProto, helper

    kind = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
    shape = [1, 3, 8, 6] if layout == "NCHW" else [1, 8, 6, 3]
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", "restored")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["restored"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    photo = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "input.png")

    record = made.find("onnxruntime", "fp32")
    spec = TensorSpec("image", tuple(shape), dtype, layout, scale=1.0 if dtype == "uint8" else None, zero_point=0)
    record = record.model_copy(
        update={"path": "m.onnx", "inputs": (spec,), "outputs": (replace(spec, name="restored"),)}
    )
    (usage,) = usages(made.manifest.model_copy(update={"artifacts": (record,)}))
    run_in(tmp_path, usage.code)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "restored.png")), photo)


def run_in(folder: Path, code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
