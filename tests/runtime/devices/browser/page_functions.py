"""The page's functions, called from Python: a Node.js process that answers one question after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clearport.runtime.devices.browser.page import WEB

SPEAKER = """
import * as page from %s;
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const { code, given } = JSON.parse(line);
  let said;
  try {
    said = { result: await new Function("page", "given", `return (async () => { ${code} })()`)(page, given) };
  } catch (error) {
    said = { error: error.message };
  }
  console.log(JSON.stringify(said));
}
"""

Ask = Callable[..., Any]


class PageError(Exception):
    pass


@contextmanager
def page_functions(folder: Path) -> Iterator[Ask]:
    """``ask(code, **given)``: run JavaScript with the page's functions as ``page``, and what it returns."""
    node = shutil.which("node")
    esbuild = WEB / "node_modules" / ".bin" / "esbuild"
    if node is None or not esbuild.exists():
        pytest.skip("no Node.js, or the page's packages are not installed: make web")
    bundle = folder / "arithmetic.mjs"
    words = [str(WEB / "src" / "arithmetic.ts"), "--bundle", "--format=esm", f"--outfile={bundle}", "--log-level=error"]
    subprocess.run([str(esbuild), *words], check=True, capture_output=True)
    (folder / "speaker.mjs").write_text(SPEAKER % json.dumps(bundle.as_uri()))
    process = subprocess.Popen([node, str(folder / "speaker.mjs")], stdin=-1, stdout=-1, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    to_page, from_page = process.stdin, process.stdout

    def ask(code: str, **values: Any) -> Any:
        to_page.write(json.dumps({"code": code, "given": values}) + "\n")
        to_page.flush()
        said = json.loads(from_page.readline())
        if "error" in said:
            raise PageError(said["error"])
        return said.get("result")

    yield ask
    to_page.close()
    process.wait(120)
    from_page.close()
