"""The report in a real browser: nothing goes wrong, nothing is fetched, the slider moves, a phone can read it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clearport.reports.html import write_reports

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from clearport.bundle.folder import Bundle

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
SCHEMES = ("light", "dark")
AXE = Path(__file__).parents[1] / "runtime/web/node_modules/axe-core/axe.min.js"
CONTRAST = """
() => {
  const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const paper = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = numbers(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0.5) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("h1,h2,p,li,a,dt,dd,th,td,summary,label,legend,figcaption,code")) {
    if (!e.innerText || e.closest("details:not([open])")) continue;
    const [a, b] = [luminance(numbers(getComputedStyle(e).color)), luminance(paper(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.innerText);
  }
  return found;
}
"""

CUT_OFF = """
() => [...document.querySelectorAll(".scroll, th, td, dd, .pick, summary")]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.closest("thead") && getComputedStyle(e).display !== "inline")
  .map(e => `${e.tagName} ${e.innerText.slice(0, 60)}: ${e.scrollWidth} in ${e.clientWidth}`)
"""


@dataclass
class Opened:
    """A page, and whatever went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(NAMES)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_bundle(tmp_path_factory.mktemp("browser") / "bundle", 160, 220)
    return write_reports(made)[1]


@pytest.fixture
def opened(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The report in a fresh context; a complaint of the browser fails the test when it is over."""
    options = {"viewport": {"width": 1280, "height": 900}, **getattr(request, "param", {})}
    context = browser.new_context(**options)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(f"page error: {error}"))
    page.on("request", lambda sent: found.complaints.extend(foreign(sent.url, report)))
    page.on("requestfailed", lambda sent: found.complaints.append(f"failed request: {sent.url[:80]}"))
    page.goto(report.as_uri())
    page.wait_for_load_state("load")
    yield found
    context.close()
    assert found.complaints == []


def foreign(url: str, report: Path) -> list[str]:
    return [] if url.startswith("data:") or url.partition("#")[0] == report.as_uri() else [f"request: {url}"]


def shown_share(page: Page) -> float:
    """How much of the stage the input covers, in percent, as computed: ``inset(0px 25% 0px 0px)`` is 75."""
    clip = str(page.locator(".before").evaluate("e => getComputedStyle(e).clipPath"))
    covered = re.fullmatch(r"inset\(0px ([\d.]+)(?:%|px) 0px 0px\)", clip)
    assert covered is not None, clip
    return 100 - float(covered[1])


def test_every_picture_is_decoded(opened: Opened) -> None:
    opened.page.locator(".difference summary").click()
    sizes = opened.page.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert sizes == [512] * 4 + [330, 96] + [64] * 9  # pictures, the error map with its scale, tiles


def test_the_slider_moves_by_keyboard(opened: Opened) -> None:
    slider = opened.page.get_by_role("slider")
    slider.focus()
    start = float(slider.input_value())
    assert 20 <= start <= 80
    assert shown_share(opened.page) == pytest.approx(start)
    for _ in range(10):
        opened.page.keyboard.press("ArrowRight")
    assert shown_share(opened.page) == pytest.approx(start + 10)
    opened.page.keyboard.press("Home")
    assert shown_share(opened.page) == pytest.approx(0)
    opened.page.keyboard.press("End")
    assert shown_share(opened.page) == pytest.approx(100)
    assert "100 % input, bicubic ×3" in (slider.get_attribute("aria-valuetext") or "")


def test_the_slider_follows_the_pointer(opened: Opened) -> None:
    opened.page.locator("#stage").scroll_into_view_if_needed()
    box = opened.page.locator("#stage").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    opened.page.mouse.move(box["x"] + box["width"] * 0.5, y)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] * 0.25, y, steps=5)
    opened.page.mouse.up()
    assert shown_share(opened.page) == pytest.approx(25, abs=1)


def test_the_right_side_can_be_chosen(opened: Opened) -> None:
    page = opened.page
    assert page.locator(".after.shown").get_attribute("data-name") == "int8"
    page.get_by_label("fp32 network").check()
    assert page.locator(".after.shown").get_attribute("data-name") == "float"
    assert page.locator('.after[data-name="int8"]').is_hidden()


@pytest.mark.parametrize(
    "opened",
    [{"viewport": {"width": width, "height": 844}} for width in (320, 390, 600, 768, 900, 1024, 1280, 1920)],
    indirect=True,
)
def test_nothing_is_cut_off_and_nothing_scrolls_sideways(opened: Opened) -> None:
    """Neither the page, nor a table, nor a cell within it."""
    for details in opened.page.locator("details").all():
        details.evaluate("e => e.open = true")
    wide = opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1]
    assert opened.page.evaluate(CUT_OFF) == []


def test_a_folded_chapter_opens_when_it_is_gone_to(opened: Opened) -> None:
    parity = opened.page.locator("#parity details.chapter")
    assert parity.evaluate("e => e.open") is False
    opened.page.get_by_role("link", name="Parity").click()
    assert parity.evaluate("e => e.open") is True
    assert opened.page.locator("#parity tbody").first.is_visible()


def test_the_first_thing_is_which_file_to_take(opened: Opened) -> None:
    titles = opened.page.locator("main h2").all_inner_texts()
    assert titles[:3] == ["Which file to take", "What quality costs", "Before and after"]
    cards = opened.page.locator(".pick")
    assert cards.locator("h3").all_inner_texts()[:3] == ["Android, CPU", "Android, GPU", "Android, NPU"]
    assert cards.locator(".file").all_inner_texts()[0] == "tflite/ncnet_x3_int8.tflite"
    answer = opened.page.locator(".answer li").first
    assert answer.inner_text().startswith("tflite/ncnet_x3_int8.tflite ")
    box = answer.bounding_box()
    assert box is not None
    assert box["y"] < 600


def test_keys_go_from_point_to_point_and_its_figures_are_shown(opened: Opened) -> None:
    page = opened.page
    plot = page.locator(".scatter").first
    assert plot.locator(".point[tabindex='0']").count() == 1
    plot.locator(".point[tabindex='0']").focus()
    page.keyboard.press("Home")
    labels = []
    for _ in range(plot.locator(".point").count()):
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        tips = [tip for tip in plot.locator(".tip").all() if tip.is_visible()]
        label, _, figures = focused.replace(", none is better in both", "").partition(": ")
        assert [tip.locator("tspan").all_text_contents() for tip in tips] == [[label, figures]]
        labels.append(label)
        page.keyboard.press("ArrowRight")
    assert labels == ["onnxruntime/fp32", "tflite/fp32"]


def test_a_point_under_the_pointer_shows_its_figures(opened: Opened) -> None:
    plot = opened.page.locator(".scatter").first
    plot.locator(".point[aria-label^='tflite/fp32:']").hover()
    shown = [tip.locator("tspan").all_text_contents() for tip in plot.locator(".tip").all() if tip.is_visible()]
    assert shown == [["tflite/fp32", "238 ms, 118.4 dB"]]


@pytest.mark.parametrize(
    "opened",
    [{"color_scheme": scheme, "viewport": {"width": w, "height": 844}} for scheme in SCHEMES for w in (390, 1280)],
    indirect=True,
)
def test_axe_finds_nothing(opened: Opened) -> None:
    """axe-core's rules of WCAG 2.2 A and AA and its best practices, with chapters folded and open."""
    if not AXE.exists():
        pytest.skip("axe-core is not there: 'make web' installs it (needs npm)")
    opened.page.evaluate(AXE.read_text())
    for unfold in (False, True):
        if unfold:
            opened.page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        found = opened.page.evaluate("axe.run({resultTypes: ['violations']})")
        assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found["violations"]] == []


@pytest.mark.parametrize("opened", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_on_a_phone_each_figure_has_its_label(opened: Opened) -> None:
    cell = opened.page.locator("#glance td[data-label='Size, kB']").first
    assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"Size, kB"'
    assert opened.page.locator("#glance thead").bounding_box()["width"] <= 1  # type: ignore[index]  # for readers only


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_the_pictures_are_side_by_side(opened: Opened) -> None:
    assert opened.page.locator(".side img:visible").count() == 3
    assert opened.page.locator("#slider").is_hidden()


@pytest.mark.parametrize("opened", [{"color_scheme": scheme} for scheme in SCHEMES], indirect=True)
def test_text_is_readable_in_light_and_dark(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert opened.page.evaluate(CONTRAST) == []


def test_printing_shows_everything(opened: Opened, tmp_path: Path) -> None:
    opened.page.emulate_media(media="print")
    assert opened.page.locator(".side img:visible").count() == 3
    assert opened.page.locator("nav").is_hidden()
    opened.page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / "report.pdf").read_bytes()
    assert len(text) < 5e6


def test_paper_shows_what_is_folded_but_for_code_and_points(opened: Opened) -> None:
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("details:not(.usage, .scatter details, [open])").count() == 0
    assert opened.page.locator("details.usage[open], .scatter details[open]").count() == 0
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator("details[open]").count() == 0


def test_names_from_a_manifest_do_no_harm(browser: Browser, make_bundle: Any, tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='harm'\"><script>document.title='harm'</script>"
    path = write_reports(make_bundle(tmp_path / "bundle", name=name))[1]
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.title() == f"{name} ×3: clearport report"
    assert page.locator("h1").inner_text().startswith("<img src=x")
    page.close()


def test_the_report_of_a_real_bundle_is_in_order(browser: Browser, bundle: Bundle) -> None:
    path = bundle.folder / "report.html"
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: complaints.extend(foreign(sent.url, path)))
    page.goto(path.as_uri())
    assert page.locator("#parity tbody tr").count() >= len(bundle.artifacts)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    page.close()
