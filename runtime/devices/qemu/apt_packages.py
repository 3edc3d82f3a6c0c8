"""Unpacks Debian packages of any architecture into a folder, without installation or root privileges.

apt runs with a private state that has the machine's sources and keys, and the backports of its release.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clearport.errors import BadInput, ClearportError

_SYSTEM = Path("/etc/apt")
_INSTALLED = Path("/var/lib/dpkg/status")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT_S = 900


class Apt:
    """A private apt state in ``folder``, which also knows the packages of another architecture.

    Raises:
        BadInput: apt is not available.
        ClearportError: the package sources cannot be read.
    """

    def __init__(self, folder: Path, architecture: str) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise BadInput("apt-get and dpkg-deb are required (Debian and its derivatives)")
        self._folder, self._other = folder, architecture
        for name in ("lists/partial", "archives/partial", "sources.d"):
            (folder / name).mkdir(parents=True)
        (folder / "nothing-installed").touch()
        for source in (*_SYSTEM.glob("sources.list.d/*.list"), *_SYSTEM.glob("sources.list.d/*.sources")):
            shutil.copy(source, folder / "sources.d")
        self._backports = self._add_backports()
        self._update()

    def unpack(
        self, packages: Sequence[str], into: Path, *, architecture: str | None = None, newest: bool = False
    ) -> None:
        """Download packages with their dependencies and unpack them.

        Args:
            packages: names, with ``:architecture`` if it is not this machine's.
            into: a folder, created if missing.
            architecture: unpack all dependencies of this architecture only, as on an empty machine. None: only
                those that are not installed here.
            newest: prefer the backports.
        """
        archives = self._folder / f"for-{into.name}"
        (archives / "partial").mkdir(parents=True)
        installed = self._folder / "nothing-installed" if architecture else _INSTALLED
        release = ["-t", self._backports] if newest and self._backports else []
        options = [f"Dir::Cache::archives={archives}", f"Dir::State::status={installed}"]
        self._get(["install", "--yes", "--download-only", *release, *packages], options)
        into.mkdir(parents=True, exist_ok=True)
        for archive in sorted(archives.glob("*.deb")):
            if architecture is None or archive.stem.endswith((f"_{architecture}", "_all")):
                call(["dpkg-deb", "-x", str(archive), str(into)])

    def _add_backports(self) -> str | None:
        """Add the backports of this machine's release; returns their name, or None if the sources name no release."""
        wanted = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
        told = call(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"]).splitlines()
        plain = [line.split() for line in told if "-" not in line.split()[1]]
        if not plain:
            return None
        place, codename, _ = plain[0]
        name = f"{codename}-backports"
        trust = f"[signed-by={_KEYRING}] " if _KEYRING.is_file() else ""
        (self._folder / "sources.d/backports.list").write_text(f"deb {trust}{place} {name} main\n")
        return name

    def _update(self) -> None:
        try:
            self._get(["update"], [])
        except ClearportError:  # the release has no backports
            if self._backports is None:
                raise
            self._backports = None
            (self._folder / "sources.d/backports.list").unlink()
            self._get(["update"], [])

    def _get(self, words: Sequence[str], options: Sequence[str]) -> None:
        native = call(["dpkg", "--print-architecture"]).strip()
        fixed = (
            f"Dir::State={self._folder}",
            f"Dir::State::lists={self._folder}/lists",
            f"Dir::Cache={self._folder}",
            f"Dir::Etc::SourceParts={self._folder}/sources.d",
            f"APT::Architectures::={self._other}",
            f"APT::Architectures::={native}",
            "APT::Install-Recommends=0",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Debug::NoLocking=1",
        )
        flags = [word for option in (*fixed, *options) for word in ("-o", option)]
        call(["apt-get", "-qq", *flags, *words])


def call(command: Sequence[str]) -> str:
    """The output of a command.

    Raises:
        ClearportError: it is missing, times out, or fails; quotes its last line.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClearportError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise ClearportError(f"{' '.join(command[:4])} failed:\n{done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout
