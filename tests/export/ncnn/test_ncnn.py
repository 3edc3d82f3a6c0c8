"""Every ncnn rule: a tiny graph, run by ncnn, against ONNX Runtime on the same graph; and the file format."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Artifact, Graph, Options, Size, Skipped
from clearport.disk.files import digest
from clearport.errors import BadInput, UnsupportedOperator
from clearport.export.ncnn.file import NcnnFile, plain, tagged
from clearport.export.ncnn.index import centers
from clearport.export.ncnn.target import TARGET, emit
from clearport.export.passes.signs import never_negative
from clearport.quantized import TargetGraph
from clearport.registry import missing

if missing(("ncnn",)):
    pytest.skip("ncnn is not installed", allow_module_level=True)

from clearport.runtime.sessions.ncnn import NcnnSession

from ..any_case import CONVOLUTIONS, STRIDES, TRANSPOSED
from ..tflite.harness import (
    SIZE,
    Case,
    after_conv,
    build,
    f32,
    i64,
    one,
    onnxruntime,
    pictures,
    real,
    weight,
)


def run(graph: Graph, image: np.ndarray, folder: Path, *, half: bool = False) -> np.ndarray:
    text, weights = emit(graph, half=half)
    (folder / "case.param").write_text(text)
    (folder / "case.bin").write_bytes(weights)
    return NcnnSession(folder, 1).run({"image": image})["restored"]


def check(case: Case, folder: Path, image: np.ndarray | None = None) -> None:
    """The case's file gives what ONNX Runtime gives, on a picture or on an image of another size."""
    graph = build(case) if image is None else build(case, "H", "W")
    source = real(pictures()[0]) if image is None else image
    given, wanted = run(graph, source, folder), onnxruntime(graph.model, source)
    np.testing.assert_allclose(given.reshape(wanted.shape), wanted, atol=1e-4, rtol=1e-4)


def test_arithmetic_on_sizes_that_the_picture_decides_is_refused(tmp_path: Path) -> None:
    nodes = (("Shape", "x", "s", {}), ("Reshape", "s a", "t", {}), one("Reshape", "x t"))
    case = after_conv(*nodes, constants={"a": i64(4)})
    with pytest.raises(UnsupportedOperator, match="computed from the input size: give --size HEIGHTxWIDTH"):
        check(case, tmp_path, np.zeros((1, 3, 16, 22), np.float32))


@settings(max_examples=40, deadline=None)
@given(CONVOLUTIONS)
def test_any_window_of_a_convolution(tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    check(case, tmp_path_factory.mktemp("window"))


@settings(max_examples=30, deadline=None)
@given(TRANSPOSED)
def test_any_transposed_convolution(tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    check(case, tmp_path_factory.mktemp("transposed"))


@settings(max_examples=30, deadline=None)
@given(
    largest=st.booleans(),
    counted=st.booleans(),
    kernel=st.integers(2, 4),
    strides=STRIDES,
    pads=st.tuples(*[st.integers(0, 1)] * 4),
)
def test_any_window_of_a_pool(
    tmp_path_factory: pytest.TempPathFactory,
    largest: bool,
    counted: bool,
    kernel: int,
    strides: tuple[int, int],
    pads: tuple[int, ...],
) -> None:
    more = {} if largest else {"count_include_pad": int(counted)}
    node = one("MaxPool" if largest else "AveragePool", kernel_shape=[kernel] * 2, strides=strides, pads=pads, **more)
    check(after_conv(node), tmp_path_factory.mktemp("pool"))


@pytest.mark.parametrize("perm", list(permutations(range(4))))
def test_any_order_of_four_axes(perm: tuple[int, ...], tmp_path: Path) -> None:
    """Of windows, whose first axis is not the picture's batch."""
    nodes = (
        ("Reshape", "image s", "r", {}),
        ("Transpose", "r", "t", {"perm": list(perm)}),
        one("Reshape", "t b"),
    )
    check(Case(nodes, {"s": i64(2, 3, 5, 12), "b": i64(1, 3, 10, 12)}), tmp_path)


@settings(deadline=None)
@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_any_number_of_a_param_file_is_read_as_it_was(number: float) -> None:
    import ncnn

    file = NcnnFile()
    file.layer("Input", "image", (), "image")
    file.layer("BinaryOp", "sum", ["image"], "restored", {0: 0, 1: 1, 2: number})
    net = ncnn.Net()
    text = file.param(["restored"])
    assert max(len(word.partition("=")[2]) for word in text.split()) <= 15
    assert net.load_param_mem(text) == 0
    net.load_model_mem("")
    extractor = net.create_extractor()
    extractor.input("image", ncnn.Mat(np.zeros((1, 1, 4), np.float32)).clone())
    _, result = extractor.extract("restored")
    assert np.array(result).ravel().tolist() == [np.float32(number)] * 4


REFUSED = {
    "wrap": (
        after_conv(one("Pad", "x p", mode="wrap"), constants={"p": i64(0, 0, 1, 1, 0, 0, 1, 1)}),
        "no conversion rule for mode 'wrap'",
    ),
    "ceil": (after_conv(one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)), "ceil_mode"),
    "nothing left": (
        after_conv(one("Slice", "x a b c"), constants={"a": i64(3), "b": i64(3), "c": i64(1)}),
        "is empty",
    ),
    "no operator of ncnn": (after_conv(one("Tan")), "no conversion rule"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_operators_that_ncnn_lacks_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    case, reason = REFUSED[name]
    with pytest.raises(UnsupportedOperator, match=reason) as caught:
        check(case, tmp_path)
    assert caught.value.op in {node[0] for node in case.nodes}
    assert caught.value.layer.startswith(f"{caught.value.op}_")


def lowered(graph: Graph, precision: str, folder: Path, size: Size | None = SIZE) -> Artifact | Skipped:
    folder.mkdir()
    (made,) = TARGET.lower(TargetGraph(graph, None, precision), Options(size), folder)  # type: ignore[arg-type]
    return made


def test_files_of_a_model(tmp_path: Path) -> None:
    """fp16 halves the weights, but for a few and the biases; the same graph gives the same bytes."""
    graph = build(after_conv(one("Conv", "x w b"), constants={"w": weight(16, 8, 5, 5), "b": weight(16)}))
    full, half = (lowered(graph, p, tmp_path / p) for p in ("fp32", "fp16"))
    assert isinstance(full, Artifact)
    assert isinstance(half, Artifact)
    assert full.sha256 == digest(full.path) == lowered(graph, "fp32", tmp_path / "again").sha256
    names = sorted(path.name for path in full.path.iterdir())
    assert names == [f"case_x1_fp32.{ending}" for ending in ("bin", "json", "param")]
    large, small = ((a.path / f"case_x1_{a.precision}.bin").stat().st_size for a in (full, half))
    assert large - small == 16 * 8 * 25 * 2
    assert ((full.inputs[0].dtype, full.outputs[0].layout)) == ("float32", "NCHW")


def test_int8_is_refused_with_the_reason(tmp_path: Path) -> None:
    made = lowered(build(after_conv(one("Relu"))), "int8", tmp_path / "int8")
    assert made == Skipped("ncnn/int8", made.reason)
    assert "127 levels" in made.reason


def test_another_size_than_the_graph_was_made_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="made for 10x12 and cannot be written for 20x24"):
        lowered(build(after_conv(one("Relu"))), "fp32", tmp_path / "other", Size(20, 24))


@pytest.mark.parametrize("factor", [1e7, 1e-6], ids=["too large", "below the normal numbers"])
def test_weights_that_float16_cannot_hold_stay_float32(factor: float, tmp_path: Path) -> None:
    kernel = (weight(16, 8, 5, 5) * factor).astype(np.float32)
    graph = build(after_conv(one("Conv", "x w"), constants={"w": kernel}))
    made = lowered(graph, "fp16", tmp_path / "made")
    assert isinstance(made, Artifact)
    assert plain(kernel) in (made.path / "case_x1_fp16.bin").read_bytes()


def test_weights_are_aligned_to_four_bytes() -> None:
    assert [len(tagged(np.zeros(n, np.float32), True)) for n in (1, 2, 3)] == [8, 8, 12]


def test_names_that_ncnn_cannot_read_are_refused() -> None:
    file = NcnnFile()
    file.layer("Input", "image", (), "my image")
    with pytest.raises(ValueError, match="without spaces"):
        file.param(["my image"])


LOGS = {"k": f32(0.01), "low": f32(-10)}


@pytest.mark.parametrize(
    ("nodes", "held"),
    [
        ((("Relu", "x", "r", {}), ("Log", "r", "l", {}), one("Clip", "l low")), LOGS),
        (
            (("Relu", "x", "r", {}), ("Log", "r", "l", {}), ("Greater", "x k", "c", {}), one("Where", "c l k")),
            LOGS,
        ),
        ((("Abs", "x", "a", {}), ("Add", "a k", "b", {}), one("Pow", "b x")), LOGS),
    ],
    ids=["clamp behind a logarithm of zero", "logarithm of zero, not chosen", "power of what is never negative"],
)
def test_what_else_has_infinities_is_as_elsewhere(
    nodes: tuple[object, ...], held: dict[str, np.ndarray], tmp_path: Path
) -> None:
    check(after_conv(*nodes, constants=held), tmp_path)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ((("Equal", "x x", "c", {}), one("Cast", "c", to=1)), "a value compared with itself, as IsNaN is"),
        ((("Greater", "x large", "c", {}), one("Cast", "c", to=1)), "a comparison with infinity"),
        ((one("Pow", "x y"),), "a base that may be negative"),
        ((one("Pow", "x each"),), "a base that may be negative"),
        ((one("Pow", "below x"),), "a constant base of at most 0"),
        ((("Relu", "x", "r", {}), one("Pow", "r nothing")), "the exponent 0"),
    ],
)
def test_operators_that_ncnn_computes_differently_are_refused(
    nodes: tuple[object, ...], why: str, tmp_path: Path
) -> None:
    held = {"large": f32(3.3e38), "each": f32(*range(1, 13)), "below": f32(-2), "nothing": f32(0)}
    with pytest.raises(UnsupportedOperator, match=why):
        run(build(after_conv(*nodes, constants=held)), real(pictures()[0]), tmp_path)


@pytest.mark.parametrize(
    ("nodes", "never"),
    [
        ((("Relu", "x", "p", {}), one("Concat", "p y", axis=1)), False),
        ((("Relu", "x", "p", {}), ("Abs", "y", "q", {}), one("Concat", "p q", axis=1)), True),
        ((("Relu", "x", "p", {}), one("Sub", "p p")), False),
        ((("Relu", "x", "p", {}), one("Pad", "p room below")), False),
        ((("Relu", "x", "p", {}), one("Pad", "p room")), True),
        ((one("Mul", "x x"),), True),
        ((one("Max", "x above"),), True),
        ((("Relu", "x", "p", {}), one("Min", "p above")), True),
        ((("Relu", "x", "p", {}), one("Min", "p y")), False),
        ((("Greater", "x above", "c", {}), ("Relu", "y", "p", {}), one("Where", "c p above")), True),
        ((("Greater", "x above", "c", {}), ("Relu", "y", "p", {}), one("Where", "c p x")), False),
    ],
)
def test_what_is_never_negative(nodes: tuple[object, ...], never: bool) -> None:
    held = {"room": i64(0, 0, 1, 1, 0, 0, 1, 1), "below": f32(-1), "above": f32(0.5)}
    used = {word for each in nodes for word in each[1].split()}
    graph = build(after_conv(*nodes, constants={name: array for name, array in held.items() if name in used}))
    assert never_negative(graph.model.graph.outputs[0]) is never


@pytest.mark.parametrize("corners", [0, 1])
def test_halves_between_pixels_round_to_even(corners: int) -> None:
    lengths = (5, 9) if corners else (4, 8)
    at = np.float32([[0.5, 1.5], [1.5, 2.5], [2.5, 0.25]])[None, None]  # x, y
    given = at * 2 / np.float32([8, 4]) - 1 if corners else (2 * at + 1) / np.float32([8, 4]) - 1
    wanted = np.float32([[0, 2], [2, 2], [2, 0]])[None, None]
    there = wanted * 2 / np.float32([8, 4]) - 1 if corners else (2 * wanted + 1) / np.float32([8, 4]) - 1
    np.testing.assert_array_equal(centers(given, lengths, corners), there)
