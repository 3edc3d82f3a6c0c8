"""The page of ``clearport serve`` for systems, in Chromium: every program that it shows, on tiny untrained parts.

The parts are ONNX files with the ends of the system's own networks. What the page makes of a seed, or of a photo and
clicks, is what Python's interpreter makes with the same files in ONNX Runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save

from clearport.base import Size, TensorSpec
from clearport.graph import shapes
from clearport.models.system import SystemSpec
from clearport.pictures.images import load_rgb
from clearport.pipeline.systems.proof import limits_of, spec_of
from clearport.pipeline.systems.serve import unshowable
from clearport.programs.interpreter import execute
from clearport.programs.program import Program
from clearport.registry import NETWORKS, SYSTEMS
from clearport.runtime import pixels
from clearport.runtime.devices.browser.desk import Desk
from clearport.runtime.devices.browser.offer import plan_of
from clearport.runtime.devices.browser.page import content_of, page_files
from clearport.runtime.devices.browser.records import Records
from clearport.runtime.devices.browser.server import BrowserServer, Place
from clearport.runtime.devices.browser.thread import serving
from clearport.runtime.devices.browser.wire import Offer, PartFile, SystemOffer, TilingRules, Way
from clearport.runtime.latency.record import LatencyPlan
from device_tests.browser.opened import ROW_MS, Opened, visit
from device_tests.test_report_browser import AXE, CONTRAST, SCHEMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZE = Size(24, 32)
KEY = "onnxruntime/fp32 onnxruntime-web wasm"
SEED = 7
CLICKS = ((90, 60, 1.0), (20, 15, -1.0), (130, 70, -1.0))
DONE = re.compile("^(Done|Checked|That did not work)")


class Tiny:
    """A part: for each output a convolution of all inputs, as ONNX, open in ONNX Runtime."""

    def __init__(self, network: str, size: Size, seed: int) -> None:
        inputs, outputs = shapes.contract(NETWORKS.get(network), 1)
        self.inputs, self.outputs = (
            tuple(replace(spec, shape=shapes.shape_at(spec, size), mean=(), std=()) for spec in specs)
            for specs in (inputs, outputs)
        )
        self.file = network_of(self.inputs, self.outputs, np.random.default_rng(seed)).SerializeToString()
        self._session = onnxruntime.InferenceSession(self.file, providers=["CPUExecutionProvider"])

    def __call__(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self.outputs]
        found = self._session.run(names, {spec.name: given[spec.name] for spec in self.inputs})
        return dict(zip(names, map(np.asarray, found), strict=True))


def network_of(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], rng: np.random.Generator
) -> onnx.ModelProto:
    """Convolutions of the maps, plus a linear layer of the vectors; within 0..1 where the output has that range.

    Codes (three axes) are taken as a picture, enlarged, and given as a linear layer of the maps' means.
    """
    nodes, constants = [], []

    def constant(name: str, *shape: int) -> str:
        summed = shape[0] if len(shape) == 2 else np.prod(shape[1:])
        spread = rng.normal(0.0, 1.0 / np.sqrt(summed), shape).astype(np.float32)
        constants.append(numpy_helper.from_array(spread, name))
        return name

    def integers(name: str, *values: int) -> str:
        constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(operator: str, given: list[str], made: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, given, [made], **attributes))
        return made

    maps = {spec.name: int(spec.shape[1]) for spec in inputs if len(spec.shape) == 4}
    for spec in (each for each in inputs if len(each.shape) == 3):
        drawn = node("Reshape", [spec.name, integers(f"{spec.name}_square", 1, 3, 64, -1)], f"{spec.name}_drawn")
        sides = integers(f"{spec.name}_sides", 1, 3, *map(int, outputs[0].shape[2:]))
        maps[node("Resize", [drawn, "", "", sides], f"{spec.name}_map", mode="nearest")] = 3
    node("Concat", list(maps), "maps", axis=1)
    depth = sum(maps.values())
    for spec in outputs:
        if len(spec.shape) == 3:
            means = node("ReduceMean", ["maps"], f"{spec.name}_means", axes=[2, 3], keepdims=0)
            numbers = constant(f"{spec.name}_weight", depth, int(np.prod(tuple(map(int, spec.shape)))))
            row = node("MatMul", [means, numbers], f"{spec.name}_row")
            node("Reshape", [row, integers(f"{spec.name}_shape", *map(int, spec.shape))], spec.name)
            continue
        weight = constant(f"{spec.name}_weight", int(spec.shape[1]), depth, 3, 3)
        last = node("Conv", ["maps", weight], f"{spec.name}_0", pads=[1, 1, 1, 1])
        for vector in (each for each in inputs if len(each.shape) == 2):
            given = constant(f"{spec.name}_{vector.name}", int(spec.shape[1]), int(vector.shape[1]), 1, 1)
            shape = integers(f"{spec.name}_{vector.name}_shape", 1, int(vector.shape[1]), 1, 1)
            row = node("Reshape", [vector.name, shape], f"{spec.name}_{vector.name}_row")
            bias = node("Conv", [row, given], f"{spec.name}_{vector.name}_bias")
            last = node("Add", [last, bias], f"{bias}_added")
        node("Sigmoid" if spec.value_range == (0.0, 1.0) else "Identity", [last], spec.name)
    told = [[helper.make_tensor_value_info(s.name, TensorProto.FLOAT, s.shape) for s in e] for e in (inputs, outputs)]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", *told, constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model)
    return model


class Whole:
    """A system of tiny parts, as Python runs it and as a page is offered it."""

    def __init__(self, name: str) -> None:
        spec: SystemSpec = SYSTEMS.get(name)
        self.program: Program = spec.program(SIZE)
        self.parts = {
            part: Tiny(each.network, each.size or SIZE, number)
            for number, (part, each) in enumerate(spec.parts.items())
        }
        self.golden = dict(spec.examples(SIZE)[0])
        self.name = name

    def __call__(self, inputs: Mapping[str, np.ndarray], **settings: int) -> dict[str, np.ndarray]:
        return execute(self.program, lambda part, given: self.parts[part](given), inputs, settings)

    def saved(self, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs as the page saves them: pictures of 8 bits, and arrays."""
        return {
            o.name: pixels.to_image(found[o.name], spec_of(o, found[o.name])) if o.kind == "picture" else found[o.name]
            for o in self.program.outputs
        }

    @contextmanager
    def served(self) -> Iterator[str]:
        wanted = self(self.golden)
        tensors = {f"input.{name}": value for name, value in self.golden.items()}
        tensors |= {f"output.{name}": value for name, value in wanted.items()}
        contents = {f"{name}.onnx": content_of(part.file, ".onnx") for name, part in self.parts.items()}
        contents["golden.safetensors"] = content_of(
            save({name: np.ascontiguousarray(value) for name, value in tensors.items()}), ".safetensors"
        )
        files = {n: PartFile(url=f"{n}.onnx", inputs=p.inputs, outputs=p.outputs) for n, p in self.parts.items()}
        limits = {o.name: limits_of("fp32", o, wanted[o.name], 1) for o in self.program.outputs}
        common: dict[str, Any] = {"runner": "onnxruntime-web", "unit": "cpu", "backend": "wasm"}
        way = Way(key=KEY, artifact="onnxruntime/fp32", parts=files, limits=limits, **common)
        offer = Offer(
            title=self.name,
            about="of tiny parts",
            tiling=TilingRules(scale=1, halo=0, multiple=1, whole_pixels=1),
            plan=plan_of(LatencyPlan(timeout_s=60.0)),
            candidates=(),
            system=SystemOffer(
                program=self.program, golden="golden.safetensors", notice="", most_pixels=1 << 22, ways=(way,)
            ),
        )
        desk = Desk(offer, Records(None, "", {}), lambda _: None)
        with serving(BrowserServer(desk, {**page_files(), **contents}, {}, Place())) as address:
            yield address


def photo_of(path: Path, seed: int) -> Path:
    noise = Image.fromarray(np.random.default_rng(3 + seed).integers(0, 256, (9, 14, 3), np.uint8))
    noise.resize((150 - 22 * seed, 97), Image.Resampling.BICUBIC).save(path)
    return path


def after(opened: Opened, words: re.Pattern[str] = DONE) -> str:
    """What the page says once it is done."""
    stage = opened.page.locator("#system-stage", has_text=words)
    stage.wait_for(timeout=ROW_MS)
    return stage.inner_text()


def given(opened: Opened, program: Program, folder: Path) -> dict[str, np.ndarray]:
    """Give the page what the program takes, and run it; the same as tensors."""
    page = opened.page
    found: dict[str, np.ndarray] = {}
    for each in program.inputs:
        if each.kind == "noise":
            page.get_by_label("Seed").fill(str(SEED))
            found[each.name] = np.random.default_rng(SEED).standard_normal(each.shape, dtype=np.float32)
        elif each.kind == "values":
            found[each.name] = np.random.default_rng(5).normal(0.0, 0.5, each.shape).astype(np.float32)
            np.save(folder / f"{each.name}.npy", found[each.name])
            page.locator(f"#system-file-{each.name}").set_input_files(folder / f"{each.name}.npy")
            page.get_by_text(f"{each.name}: {each.name}.npy").wait_for()
    pictures = [each for each in program.inputs if each.kind == "picture"]
    for number, each in enumerate(pictures):
        assert page.locator("#system-run").is_disabled()
        path = photo_of(folder / f"{each.name}.png", number)
        page.locator(f"#system-file-{each.name}" if number else "#system-file").set_input_files(path)
        page.locator(".pane:not([hidden]) canvas").nth(number).wait_for(state="attached")
        spec = TensorSpec("p", (1, 3, "H", "W"), value_range=(each.low, each.high))
        found[each.name] = pixels.to_tensor(load_rgb(path), spec)
    if "clicks" in {each.name for each in program.inputs}:
        after(opened, re.compile("^Now click"))
        mark(opened, load_rgb(folder / f"{pictures[0].name}.png"))
        found["clicks"] = np.array(CLICKS, np.float32)
    page.locator("#system-run:enabled").wait_for()
    if not pictures:
        page.get_by_role("button", name="Run", exact=True).click()
    return found


def mark(opened: Opened, picture: np.ndarray) -> None:
    """Click on ``CLICKS``, and take back one more."""
    canvas = opened.page.locator("#given")
    box = canvas.bounding_box()
    height, width = picture.shape[:2]
    assert box is not None
    for number, (x, y, sign) in enumerate(CLICKS):
        at = {"x": (x + 0.5) * box["width"] / width, "y": (y + 0.5) * box["height"] / height}
        wanted: dict[str, Any] = [{}, {"button": "right"}, {"modifiers": ["Shift"]}][number]
        assert sign == (1.0 if not wanted else -1.0)
        canvas.click(position=at, **wanted)
    canvas.click(position={"x": 5.0, "y": 5.0})
    opened.page.get_by_role("button", name="Undo").click()


SHOWN = [name for name in SYSTEMS.names() if not list(unshowable(SYSTEMS.get(name).program(SIZE)))]


@pytest.mark.parametrize("name", SHOWN)
def test_a_system_gives_on_the_page_what_it_gives_in_python(browser: Browser, name: str, tmp_path: Path) -> None:
    whole = Whole(name)
    with whole.served() as address, visit(browser, address) as opened:
        page = opened.page
        page.get_by_role("button", name="Check", exact=True).click()
        assert after(opened).startswith("Checked"), after(opened)
        checks = page.locator("#checks li")
        passed = [item.get_attribute("data-passed") for item in checks.all()]
        assert passed == ["true"] * len(whole.program.outputs), checks.all_inner_texts()
        wanted = whole.saved(whole(given(opened, whole.program, tmp_path)))
        assert after(opened).startswith("Done"), after(opened)
        for output in whole.program.outputs:
            picture = output.kind == "picture"
            with page.expect_download() as saved:
                page.get_by_role("button", name=f"Save {output.name} as {'PNG' if picture else 'NPY'}").click()
            path = tmp_path / f"saved.{output.name}"
            saved.value.save_as(path)
            if not picture:
                np.testing.assert_allclose(np.load(path), wanted[output.name], rtol=1e-4, atol=1e-4)
                continue
            found = np.asarray(Image.open(path)).reshape(wanted[output.name].shape)
            assert np.abs(found.astype(int) - wanted[output.name]).max() <= 1
            assert wanted[output.name].std() > 1.0
        assert {url.removeprefix(address) for method, url in opened.sent if method == "POST"} == {"device"}
        fits(opened)


def fits(opened: Opened) -> None:
    """Every width, light and dark, and what axe finds."""
    page = opened.page
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []
    if not AXE.exists():
        pytest.skip("all but axe-core passed, which is not there: 'make web' installs it (needs npm)")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(found => found.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
    assert found == []
