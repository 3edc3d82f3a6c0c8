"""Reports: both forms say the same facts, are escaped, and need nothing from outside."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.pictures.images import save_png
from clearport.reports import html, markdown, plots, text
from clearport.reports.content import Bar, Plot
from clearport.reports.errors import errors
from clearport.reports.html import write_reports
from clearport.reports.page import page
from clearport.reports.pictures import Comparison, comparison
from clearport.reports.tables import general
from clearport.reports.templates import breakable

NASTY = '<script>alert("x")</script> | `b` [c](http://d) &amp; \u202e'


class Reader(HTMLParser):
    """What a page holds: its text, its tags, and every address that a browser might fetch."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def made(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("reports") / "bundle")


@pytest.fixture(scope="module")
def as_html(made: Bundle) -> str:
    return html.html(page(made.manifest), comparison(made), errors(made))


@pytest.fixture(scope="module")
def as_markdown(made: Bundle) -> str:
    return markdown.markdown(page(made.manifest), made.manifest)


def test_both_reports_are_written_into_the_bundle_and_the_bundle_stays_sound(made: Bundle) -> None:
    paths = write_reports(made)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    assert made.verify_files() == []


def test_the_same_bundle_gives_the_same_bytes(made: Bundle) -> None:
    first, second = ([path.read_bytes() for path in write_reports(made)] for _ in range(2))
    assert first == second
    assert sum(map(len, first)) < 5e6


def test_every_fact_of_the_page_is_in_both_forms(made: Bundle, as_html: str, as_markdown: str) -> None:
    words = " ".join("".join(Reader(as_html).words).split())
    plain = re.sub(r"\\(.)", r"\1", as_markdown)
    for section in page(made.manifest).sections:
        for table in section.tables:
            for cell in (cell for row in table.rows for cell in row):
                assert " ".join(cell.text.split()) in words
                assert cell.text in plain


def test_names_break_after_slashes_and_stay_escaped() -> None:
    assert breakable("tflite/int8/<b>") == "tflite/<wbr>int8/<wbr>&lt;b&gt;"


def test_missing_measurements_have_a_reason(as_html: str, as_markdown: str) -> None:
    for form in (as_html, as_markdown):
        assert "not measured: Core ML runs on macOS only" in form
        assert "not measured: this runtime was built without the format" in form
        assert "reference-evaluated" in form


def test_the_verdict_counts_and_names_what_failed(make_bundle: Any, made: Bundle, tmp_path: Path) -> None:
    good = page(made.manifest)
    assert (good.verdict, good.tone) == ("All 8 checks passed. 1 artifact was not checked: see Parity.", "good")
    wrong = page(make_bundle(tmp_path / "wrong", wrong=True).manifest)
    assert wrong.verdict.startswith("1 of 8 checks failed.")
    assert wrong.tone == "bad"
    assert any("tflite/int8" in failure for failure in wrong.failures)


def test_nothing_checked_is_no_pass(made: Bundle) -> None:
    blind = [a.model_copy(update={"parity": Skipped(a.key, "no runtime"), "cross_checks": ()}) for a in made.artifacts]
    unproven = page(made.manifest.model_copy(update={"artifacts": tuple(blind), "quality": ()}))
    assert (unproven.verdict, unproven.tone) == ("Nothing was checked.", "muted")
    assert "compared" not in unproven.summary


def test_a_bundle_of_nothing_has_a_report(made: Bundle, tmp_path: Path) -> None:
    bare = made.manifest.model_copy(
        update={"artifacts": (), "goldens": (), "skipped": (), "quality": (), "quantization": None}
    )
    empty = Bundle(tmp_path, bare)
    write_reports(empty)
    assert "No pictures: " in (tmp_path / "report.html").read_text()
    assert "all requested files were written" in (tmp_path / "report.md").read_text()


def test_the_page_loads_nothing_from_outside(as_html: str) -> None:
    reader = Reader(as_html)
    assert [a for a in reader.addresses if not a.startswith(("#", "data:"))] == []
    assert "link" in reader.tags  # the empty icon, so that no browser asks for /favicon.ico
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", as_html)
    assert "default-src 'none'" in as_html
    assert len(as_html) < 4e6


def test_the_largest_pictures_stay_under_the_limit(make_bundle: Any, tmp_path: Path) -> None:
    noisy = make_bundle(tmp_path / "noisy", 160, 200)
    rng = np.random.default_rng(0)
    for role in ("float", "int8"):
        save_png(noisy.folder / f"goldens/{role}.png", rng.integers(0, 256, (480, 600, 3), dtype=np.uint8))
    assert write_reports(noisy)[1].stat().st_size < 4e6


def test_the_policy_lets_only_the_own_style_and_script_run(as_html: str) -> None:
    import hashlib

    for tag in ("style", "script"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", as_html, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in as_html
    assert not re.search(r"<[a-z]+[^>]* (?:on\w+|style)=", as_html)


def test_names_cannot_become_markup(make_bundle: Any, tmp_path: Path) -> None:
    nasty = make_bundle(tmp_path / "nasty", name=NASTY)
    manifest = nasty.manifest.model_copy(update={"skipped": (Skipped(NASTY, NASTY),), "tool_versions": {NASTY: NASTY}})
    content = html.html(page(manifest), comparison(nasty), errors(nasty))
    reader = Reader(content)
    assert reader.tags.count("script") == 1
    assert 'alert("x")' not in content
    assert NASTY in "".join(reader.words)
    lines = markdown.markdown(page(manifest), manifest).splitlines()
    prose = "\n".join(re.sub(r"`[^`]*`", "", line) for line in lines)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(http", prose)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines if "alert" in line and line.startswith("|"))


def test_the_crop_is_the_part_with_the_most_detail(make_bundle: Any, tmp_path: Path) -> None:
    large = make_bundle(tmp_path / "large", 300, 400)
    picture = np.full((900, 1200, 3), 90, np.uint8)
    picture[500:880, 700:1180] = np.random.default_rng(0).integers(0, 256, (380, 480, 3), dtype=np.uint8)
    save_png(large.folder / "goldens/float.png", picture)
    found = comparison(large)
    assert isinstance(found, Comparison)
    assert (found.before.width, found.before.height) == (512, 384)
    assert "from x = 6" in found.caption
    assert [p.name for p in found.after] == ["int8", "float"]


def test_the_pictures_open_on_what_has_detail_and_not_on_a_lamp_in_the_sky(make_bundle: Any, tmp_path: Path) -> None:
    large = make_bundle(tmp_path / "large", 300, 400)
    rng = np.random.default_rng(0)
    picture = np.full((900, 1200, 3), 60, np.uint8)
    picture[100:130, 100:130] = 255 * rng.integers(0, 2, (30, 30, 3), dtype=np.uint8)  # strong, and small
    picture[540:880, 900:1180] = rng.integers(50, 70, (340, 280, 3), dtype=np.uint8)
    save_png(large.folder / "goldens/float.png", picture)
    found = comparison(large)
    assert isinstance(found, Comparison)
    left, top = map(int, re.findall(r"from x = (\d+), y = (\d+)", found.caption)[0])
    assert left + 512 >= 1150
    assert top + 384 >= 850
    assert abs(left + found.start / 100 * 512 - 1040) < 40


def test_flat_pictures_are_shown_too(make_bundle: Any, tmp_path: Path) -> None:
    flat = make_bundle(tmp_path / "flat")
    for role in ("float", "int8"):
        save_png(flat.folder / f"goldens/{role}.png", np.full((144, 192, 3), 9, np.uint8))
    found = comparison(flat)
    assert isinstance(found, Comparison)
    assert found.start == 50


@pytest.mark.parametrize("gone", ["goldens/input.png", "goldens/float.png"])
def test_missing_images_are_reported(make_bundle: Any, tmp_path: Path, gone: str) -> None:
    made = make_bundle(tmp_path / "bundle")
    (made.folder / gone).unlink()
    found = comparison(made)
    assert isinstance(found, str)
    assert "missing from the bundle" in found


@given(st.lists(st.floats(0.001, 1e7), min_size=1, max_size=9))
def test_plots_are_within_their_width(values: list[float]) -> None:
    bars = tuple(Bar(str(v), "g", v, "", v * 0.5, v * 1.5) for v in values)
    drawing = plots.draw(Plot("t", "ms", bars, ("g",)))
    assert all(0 <= b.low <= b.end <= b.high <= 100 for b in drawing.bars if b.low is not None and b.high is not None)
    assert max(b.high or 0 for b in drawing.bars) > 55
    places = [tick.at for tick in drawing.ticks]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 100)
    assert 3 <= len(places) <= 6


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (75.14, "75.1"), (0.00421, "0.00421"), (441.2, "441"), (12345.6, "12 346"), (1e-9, "< 0.000001")],
)
def test_numbers_read_well(value: float, shown: str) -> None:
    assert text.number(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == shown


@given(st.floats(0, 1))
def test_only_all_is_a_hundred_percent(share: float) -> None:
    shown = text.percent(share)
    assert (shown == "100.00") == (share == 1)
    assert (shown == "0.00") == (share == 0)


def test_a_card_reads_as_words_and_not_as_json() -> None:
    data = {"name": "T91", "photos": 91, "terms": "none stated"}
    assert text.in_words(data) == "T91 (photos: 91, terms: none stated)"
    stages = {"steps": 3, "stages": [{"lr": 0.003}, {"lr": 2.0}], "seed": None, "ema": True}
    assert text.in_words(stages) == "steps: 3, stages (lr: 0.003; lr: 2), seed: none, ema: yes"
    assert text.in_words(["a_b", 2]) == "a_b; 2"


def test_the_weights_begin_with_what_is_asked_first(made: Bundle) -> None:
    card = {"license": "MIT", "training": {"steps": 3}, "data": [{"name": "T91"}, {"name": "BSDS"}], "summary": "it"}
    model = made.manifest.model.model_copy(update={"card": card})
    table = general.weights(made.manifest.model_copy(update={"model": model}))
    assert table is not None
    shown = [tuple(cell.text for cell in row) for row in table.rows]
    assert shown == [("summary", "it"), ("data", "T91"), ("", "BSDS"), ("training", "steps: 3")]
