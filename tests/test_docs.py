"""The documentation site builds without warnings, its tutorial runs, and referenced names exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer.main

from clearport.cli.app import app
from clearport.export import quirks
from clearport.export.quirks.table import Quirk
from clearport.models import samples
from clearport.registry import DEVICES, NETWORKS, TARGETS
from docs import schema_files
from docs.generate import __main__ as generate
from docs.generate.text import docstring, table

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "pages" / "tutorials" / "own-network.md"


class Links(HTMLParser):
    """Every href and id of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.update(filter(None, (found.get("id"),)))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("furo", reason="the documentation needs furo (pip install 'clearport[docs]')")
    folder = tmp_path_factory.mktemp("docs")
    source, built = str(folder / "source"), str(folder / "site")
    generate.write(folder / "source")
    _run([sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", source, built], ROOT)
    return Path(built)


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {path: Links() for path in site.rglob("*.html")}
    for path, links in pages.items():
        links.feed(path.read_text(encoding="utf-8"))
    broken = []
    for path, links in pages.items():
        for link in links.links:
            target, _, fragment = link.partition("#")
            if "://" in link or link.startswith("mailto:"):
                continue
            aim = (path.parent / target).resolve() if target else path
            if aim not in pages or (fragment and fragment not in pages[aim].ids):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert len(pages) > 70
    assert not broken


def test_every_network_target_and_device_has_a_page(site: Path) -> None:
    registries = {"networks": NETWORKS, "targets": TARGETS, "devices": DEVICES}
    wanted = [site / folder / f"{name}.html" for folder, registry in registries.items() for name in registry.names()]
    assert [path for path in wanted if not path.is_file()] == []


def _typed(path: Path) -> list[tuple[str, str]]:
    """(command, the rest of its line) of every line of a page's blocks of code."""
    text = path.read_text(encoding="utf-8")
    code = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) + re.findall(r"^    (.*)$", text, re.MULTILINE)
    return [match for part in code for match in re.findall(r"^clearport ([a-z]+) ([^#\n]*)", part, re.MULTILINE)]


def test_pages_name_only_options_that_commands_have() -> None:
    commands: Any = typer.main.get_command(app)
    read, unknown = 0, []
    for path in (ROOT / "README.md", *(ROOT / "docs" / "pages").rglob("*.md")):
        for name, rest in _typed(path):
            options = {option for parameter in commands.commands[name].params for option in parameter.opts}
            named = re.findall(r"(?<!\S)--?[a-z][\w-]*", rest.partition("&&")[0])
            unknown += [f"{path.name}: {name} {option}" for option in named if option not in options]
            read += len(named)
    assert read > 40
    assert unknown == []


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    network = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert network
    (tmp_path / "denoiser.py").write_text(network[1], encoding="utf-8")
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(samples.calibration()[:3], 1):
        shutil.copyfile(path, tmp_path / "photos" / f"{number}.png")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    _run(["bash", "-c", f"set -e\nPATH={Path(sys.executable).parent}:$PATH\n{commands}"], tmp_path)
    assert (tmp_path / "restored.png").is_file()
    assert (tmp_path / "out" / "denoiser" / "report.html").is_file()


def test_every_answer_to_a_deviation_names_a_file_that_exists() -> None:
    named = [
        (record.name, path)
        for found in pkgutil.iter_modules(quirks.__path__)
        for record in vars(importlib.import_module(f"{quirks.__name__}.{found.name}")).values()
        if isinstance(record, Quirk)
        for path in re.findall(r"[\w/]+\.py", record.how)
    ]
    assert named
    assert [(name, path) for name, path in named if not (ROOT / path).is_file()] == []


def test_a_table_survives_bars_and_line_breaks() -> None:
    assert table(("a",), [("x | y\nz",)]).splitlines() == ["| a |", "|---|", "| x \\| y z |"]


def test_a_docstring_becomes_markdown() -> None:
    def function() -> None:
        """A ``value``.

        Args:
            first: one,
                continued.
        """

    assert docstring(function) == "A `value`.\n\n**Args:**\n\n- **first**: one, continued.\n"


def test_every_schema_in_the_tree_is_that_of_the_code() -> None:
    assert [str(path) for path, _ in schema_files.stale()] == [], "run: make schemas"


def test_no_schema_in_the_tree_is_forgotten() -> None:
    found = {
        str(path.relative_to(ROOT))
        for part in ("core", "reports", "runtime")
        for path in (ROOT / part).rglob("*.schema.json")
    }
    assert found - set(schema_files.SCHEMAS) == set()


def test_a_schema_that_is_not_that_of_the_code_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(schema_files.SCHEMAS, "core/bundle/system.schema.json", lambda: "{}\n")
    monkeypatch.setattr(sys, "argv", ["schema_files", "--check"])
    with pytest.raises(SystemExit, match="1"):
        schema_files.main()
    assert "core/bundle/system.schema.json: not that of the code; run: make schemas" in capsys.readouterr().out


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
