"""The page's files: their location, whether they are up to date, and their URLs and content types."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from clearport.errors import BadInput, RuntimeFailure

WEB = Path(__file__).parents[2] / "web"
DIST = WEB / "dist"
STAMP = "sources.sha256"
INDEX = "index.html"

_BUILD_S = 900.0
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".png": "image/png",
}


@dataclass(frozen=True)
class Content:
    """A file or bytes that may be fetched; ``encoding`` is its compression on disk."""

    source: Path | bytes
    type: str
    encoding: str | None = None
    state: tuple[int, ...] | None = None
    """The file's state when it was offered: a file that was changed since is not what the records say."""

    @property
    def changed(self) -> bool:
        """Whether the file is no longer the one that was offered."""
        return isinstance(self.source, Path) and self.state != _state(self.source)


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def content_of(source: Path | bytes, name: str) -> Content:
    """A file's content type from its suffix; ``.gz`` files are sent compressed, with a content encoding."""
    plain = name.removesuffix(".gz")
    kind = _TYPES.get(Path(plain).suffix, "application/octet-stream")
    state = _state(source) if isinstance(source, Path) else None
    return Content(source, kind, "gzip" if plain != name else None, state)


def page_files() -> dict[str, Content]:
    """Name -> content, of the built page.

    Raises:
        BadInput: the page is not built; the message says how to build it.
    """
    if (why := unbuilt()) is not None:
        raise BadInput(why)
    found = sorted(path for path in DIST.iterdir() if path.is_file() and path.name != STAMP)
    return {path.name.removesuffix(".gz"): content_of(path, path.name) for path in found}


def unbuilt() -> str | None:
    """The reason that the page is missing or outdated, with a remedy, or None."""
    there = (DIST / STAMP).is_file() and (DIST / INDEX).is_file()
    if there and (not _has_sources() or (DIST / STAMP).read_text().strip() == sources_digest()):
        return None
    state = "older than its sources" if there else "not built"
    if not _has_sources():
        return (
            f"the page of 'clearport serve' is {state}, and its sources are not in this installation: install a wheel"
        )
    return f"the page of 'clearport serve' is {state}; to build it (needs Node.js 20 or newer with npm): make web"


def ensure_built() -> None:
    """Build the page with npm if it is missing or outdated.

    Raises:
        BadInput: npm is missing; the message names a remedy.
        RuntimeFailure: the build failed.
    """
    if (why := unbuilt()) is None:
        return
    npm = shutil.which("npm")
    if npm is None or not _has_sources():
        raise BadInput(why)
    with FileLock(WEB / ".building.lock"):  # concurrent builds would remove each other's packages
        if unbuilt() is not None:
            _build(npm)


def _build(npm: str) -> None:
    """Install the page's build dependencies, and build it."""
    for words in (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "--silent", "build")):
        done = subprocess.run(
            [npm, *words], cwd=WEB, capture_output=True, text=True, errors="replace", timeout=_BUILD_S, check=False
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-2000:]
            raise RuntimeFailure(f"{WEB}: 'npm {' '.join(words)}' failed:\n{said}")


def sources_digest() -> str:
    """SHA-256 over the page's sources; ``build.mjs`` writes the same digest into the build."""
    names = ["index.html", "style.css", "package-lock.json", "build.mjs"]
    names += [f"src/{path.name}" for path in (WEB / "src").iterdir()]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\n".encode())
        digest.update((WEB / name).read_bytes())
    return digest.hexdigest()


def _has_sources() -> bool:
    return (WEB / "package-lock.json").is_file()
