"""App kits: each is built and run as a newcomer would, and gives the goldens; Kotlin and Swift are parsed."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.kit import KitMade, KitRequest, write_kit
from device_tests.conftest import called
from device_tests.files import kit_compiler

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "runtime" / "web" / "node_modules"
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "esbuild").is_dir(),
    reason="no Node.js, or the packages of the page are not installed (make web)",
)
PASSED = re.compile(r"(\w+): passed, largest difference (\d+)")


def kit(bundle: Bundle, language: str, out: Path, **chosen: str) -> KitMade:
    return write_kit(KitRequest(bundle.folder, language, out, **chosen))


def run(line: list[str | Path], folder: Path) -> dict[str, int]:
    """The largest difference by golden; the command must succeed."""
    done = subprocess.run(list(map(str, line)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: int(most) for name, most in PASSED.findall(done.stdout)}


def cpp(bundle: Bundle, target: str, precision: str, out: Path) -> tuple[KitMade, dict[str, int]]:
    if reason := kit_compiler.missing(target):
        pytest.skip(reason)
    made = kit(bundle, "cpp", out, target=target, precision=precision)
    return made, run([kit_compiler.compiled(made.folder, target)], made.folder)


@needs_compiler
@pytest.mark.parametrize("target", ["tflite", "onnxruntime"])
@pytest.mark.parametrize("precision", ["int8", pytest.param("fp32", marks=pytest.mark.slow)])
def test_cpp_gives_what_python_gives(two_targets: Bundle, tmp_path: Path, target: str, precision: str) -> None:
    made, found = cpp(two_targets, target, precision, tmp_path / "kit")
    assert made.artifact == f"{target}/{precision}"
    assert set(found) == {"photo", "tiles"}
    assert found["tiles"] == 0 if precision == "int8" else found["tiles"] <= 1


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "precision"), [("openvino", "int8"), ("openvino", "fp16"), ("ncnn", "fp16"), ("ncnn", "fp32")]
)
def test_cpp_of_the_runtimes_with_headers(exported: Bundle, tmp_path: Path, target: str, precision: str) -> None:
    _, found = cpp(exported, target, precision, tmp_path / "kit")
    assert set(found) == {"photo", "tiles"}
    assert found["tiles"] == 0 if precision == "int8" else found["tiles"] <= 1


LOADS = {"tflite": "LiteRT: loading model/", "onnxruntime": "ONNX Runtime: loading model/"}


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("target", LOADS)
def test_the_self_test_notices_another_file(two_targets: Bundle, tmp_path: Path, target: str) -> None:
    made, _ = cpp(two_targets, target, "int8", tmp_path / "kit")
    picture = made.folder / "goldens" / "tiles_expected.ppm"
    picture.write_bytes(picture.read_bytes()[:-30_000] + bytes(30_000))
    done = subprocess.run([made.folder / "program"], cwd=made.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tiles: FAILED" in done.stdout
    next((made.folder / "model").iterdir()).write_bytes(b"no model")
    done = subprocess.run([made.folder / "program"], cwd=made.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert LOADS[target] in done.stderr


@needs_compiler
@pytest.mark.slow
def test_cpp_says_which_provider_is_not_there(two_targets: Bundle, tmp_path: Path) -> None:
    made = kit(two_targets, "cpp", tmp_path / "kit", target="onnxruntime")
    source = made.folder / "selftest.cpp"
    source.write_text(source.read_text().replace('.onnx")', '.onnx", 1, "Nobody")'))
    done = subprocess.run(
        [kit_compiler.compiled(made.folder, "onnxruntime")],
        cwd=made.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ONNX Runtime: choosing Nobody failed" in done.stderr


TARGETS = ["tflite", *(pytest.param(name, marks=pytest.mark.slow) for name in ("onnxruntime", "openvino", "ncnn"))]


@pytest.mark.parametrize("target", TARGETS)
def test_python_gives_the_goldens(request: pytest.FixtureRequest, tmp_path: Path, target: str) -> None:
    bundle = request.getfixturevalue("two_targets" if target == "tflite" else "exported")
    made = kit(bundle, "python", tmp_path / "kit", target=target)
    found = run([sys.executable, "-m", "unittest"], made.folder)
    assert set(found) == {"photo", "tiles"}
    assert found["tiles"] <= (0 if "int8" in made.artifact else 1)


@needs_node
@pytest.mark.parametrize("precision", ["int8", pytest.param("fp32", marks=pytest.mark.slow)])
def test_typescript_gives_the_goldens(two_targets: Bundle, tmp_path: Path, precision: str) -> None:
    made = kit(two_targets, "typescript", tmp_path / "kit", precision=precision)
    (made.folder / "node_modules").symlink_to(MODULES)
    types = [
        "--ignoreConfig",
        "--noEmit",
        "--strict",
        "--noUncheckedIndexedAccess",
        "--skipLibCheck",
        "--allowImportingTsExtensions",
    ]
    modules = ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    run(["node", MODULES / "typescript" / "bin" / "tsc", *types, *modules, "restorer.ts", "tiles.ts"], made.folder)
    bundled = ["--bundle", "--platform=node", "--format=esm", "--packages=external", "--outfile=build/selftest.mjs"]
    run(["node", MODULES / "esbuild" / "bin" / "esbuild", "selftest.ts", *bundled], made.folder)
    found = run(["node", "build/selftest.mjs"], made.folder)
    assert set(found) == {"photo", "tiles"}
    assert found["tiles"] <= 1


@pytest.mark.parametrize(("language", "grammar"), [("kotlin", "tree_sitter_kotlin"), ("swift", "tree_sitter_swift")])
@pytest.mark.parametrize("precision", ["", pytest.param("fp32", marks=pytest.mark.slow)])
def test_kotlin_and_swift_are_sound(
    request: pytest.FixtureRequest, tmp_path: Path, language: str, grammar: str, precision: str
) -> None:
    tree_sitter = pytest.importorskip("tree_sitter")
    parser = tree_sitter.Parser(tree_sitter.Language(importlib.import_module(grammar).language()))
    bundle = request.getfixturevalue("two_targets" if language == "kotlin" else "exported")
    variants = [None] if language == "kotlin" else ["image", "tensor"]
    for variant in variants:
        out = tmp_path / f"kit-{variant}"
        made = write_kit(KitRequest(bundle.folder, language, out, precision=precision, variant=variant))
        sources = [made.folder / name for name in made.files if name.endswith((".kt", ".swift"))]
        assert len(sources) == 2
        for source in sources:
            assert not parser.parse(source.read_bytes()).root_node.has_error, source
    broken = "class {" if language == "kotlin" else "func ("
    assert parser.parse(broken.encode()).root_node.has_error


def test_what_has_no_kit_is_refused(two_targets: Bundle, tmp_path: Path) -> None:
    for chosen, message in (
        ({"language": "rust"}, "expected one of python, cpp, typescript, kotlin, swift"),
        ({"language": "typescript", "target": "tflite"}, "kits in typescript are for onnxruntime"),
        ({"language": "python", "precision": "fp16"}, r"no artifact tflite/fp16"),
    ):
        with pytest.raises(BadInput, match=message):
            write_kit(KitRequest(two_targets.folder, out=tmp_path / "kit", **chosen))  # type: ignore[arg-type]
    assert not (tmp_path / "kit").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused = called("kit", two_targets.folder, "--language", "python", "--out", tmp_path / "mine")
    assert refused.code == 2
    assert "the folder holds other files" in refused.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_no_kit_is_made_from_a_golden_or_a_limit_that_was_changed(two_targets: Bundle, tmp_path: Path) -> None:
    bundle = Bundle.load(Path(shutil.copytree(two_targets.folder, tmp_path / "bundle")))
    golden, given = (bundle.folder / bundle.golden(role).path for role in ("int8", "float"))
    whole = golden.read_bytes()
    golden.write_bytes(given.read_bytes())
    with pytest.raises(BadInput, match=r"goldens/int8\.png .*golden picture"):
        kit(bundle, "python", tmp_path / "kit")
    golden.write_bytes(whole)
    manifest = bundle.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"max_abs": ', '"max_abs":  '))
    with pytest.raises(BadInput, match=r"manifest\.json"):
        kit(bundle, "python", tmp_path / "kit")
    assert not (tmp_path / "kit").exists()
