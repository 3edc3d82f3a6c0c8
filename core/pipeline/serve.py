"""Serving a bundle or a system to browsers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.bundle.folder import Bundle, verify_folder
from clearport.bundle.system import is_system
from clearport.disk.json_files import read_bytes
from clearport.disk.ours import PARTS
from clearport.disk.outputs import OutFolder, claimed
from clearport.errors import BadInput, NotInstalled, check_finite
from clearport.pipeline.exams import limits_of
from clearport.pipeline.run import model_of, tiling_of
from clearport.pipeline.select import plain_scale, select
from clearport.pipeline.systems.serve import sound_system, system_offer
from clearport.registry import missing
from clearport.runtime.devices.browser.offer import candidates_of, plan_of
from clearport.runtime.devices.browser.page import Content, content_of, ensure_built, page_files
from clearport.runtime.devices.browser.records import Records
from clearport.runtime.devices.browser.wire import Candidate, Judge, Offer, TilingRules
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.latency.stats import rounds_for
from clearport.signals import ending_signals
from clearport.words import task_title

if TYPE_CHECKING:
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.runtime.devices.browser.desk import Listener

MOST_WHOLE_PIXELS = 1 << 21
"""Maximum pixels of a picture that is not tiled for networks with a global receptive field: phones lack memory for
more."""

_MOST_PEM = 1 << 20

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ServeRequest:
    """What to serve, and where; see ``clearport serve --help``.

    Without ``records`` those of a bundle are kept beside it; a system sends none.
    """

    folder: Path
    records: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8417
    certificate: Path | None = None
    key: Path | None = None
    threads: int = 1
    runs: int = 50
    seconds: float = 1.0
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_finite("--seconds", self.seconds)


@dataclass(frozen=True)
class Served:
    """Facts of a started server: its address, what is served, and the number of browser configurations.

    ``records``: folder of the records; None for a system, whose page sends none.
    """

    address: str
    title: str
    candidates: int
    records: Path | None
    secure: bool
    local: bool
    port: int


def serve_bundle(request: ServeRequest, started: Callable[[Served], None], listener: Listener) -> None:
    """Serve a bundle, or a system, until SIGINT, SIGTERM, SIGHUP or SIGQUIT.

    ``started`` is called once the page can be opened.

    Raises:
        BadInput: no such bundle, changed files, none of them runs in browsers, the page is not built, a record is
            malformed, the certificate is invalid, the port is in use, or the page cannot show a system.
    """
    if missing(("aiohttp",)):
        raise NotInstalled("aiohttp", "serve")
    if is_system(request.folder):
        _serve_system(request, started, listener)
        return
    records = request.records or _beside(request.folder)
    with claimed(OutFolder(records, "--records", shared=True), reads=(request.folder,)):
        bundle = _sound(request.folder)
        plain_scale(bundle, "serve")
        offer, contents = offer_of(bundle, request)
        ensure_built()
        kept = Records(records, bundle.manifest.model.weights_sha256, {c.key: c.sha256 for c in offer.candidates})
        _serve(request, _Ready(offer, contents, kept, records), started, listener)


@dataclass(frozen=True)
class _Ready:
    """The served content, and the location of its records."""

    offer: Offer
    contents: Mapping[str, Content]
    kept: Records
    records: Path | None

    @property
    def ways(self) -> int:
        """The number of browser configurations."""
        return len(self.offer.candidates) if self.offer.system is None else len(self.offer.system.ways)


def _beside(folder: Path) -> Path:
    whole = folder.absolute()
    return whole.with_name(f"{whole.name}-browsers")


def _serve_system(request: ServeRequest, started: Callable[[Served], None], listener: Listener) -> None:
    if request.records is not None:
        raise BadInput(
            f"--records {request.records}: {request.folder} is a system, whose page sends no records; those of a part: "
            f"clearport serve {request.folder / PARTS}/PART"
        )
    offer, contents = system_offer(
        sound_system(request.folder), plan_of(_plan(request)), request.targets, request.precisions
    )
    ensure_built()
    _serve(request, _Ready(offer, contents, Records(None, "", {}), None), started, listener)


def _serve(request: ServeRequest, ready: _Ready, started: Callable[[Served], None], listener: Listener) -> None:
    from clearport.runtime.devices.browser.desk import Desk
    from clearport.runtime.devices.browser.server import BrowserServer, Place, address, reachable

    place = Place(request.host, request.port, _tls(request))
    desk = Desk(ready.offer, ready.kept, listener)
    server = BrowserServer(desk, {**page_files(), **ready.contents}, {}, place)

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, stop.set)
        async with server.running() as where:
            port = int(where.split("/")[2].rpartition(":")[2])
            local = request.host in LOOPBACK
            shown = address(place, reachable(request.host), port)
            secure = place.tls is not None
            started(Served(shown, ready.offer.title, ready.ways, ready.records, secure, local, port))
            await stop.wait()

    asyncio.run(serve())


def offer_of(bundle: Bundle, request: ServeRequest) -> tuple[Offer, dict[str, Content]]:
    """The offer of a bundle to pages, and its files: artifacts for browsers, and golden pictures.

    Raises:
        BadInput: none of the requested artifacts runs in browsers.
    """
    found: list[Candidate] = []
    left_out: list[Skipped] = []
    contents: dict[str, Content] = {}
    for record in select(bundle, request.targets, request.precisions):
        url = f"files/{record.path}"
        for way in candidates_of(bundle.artifact(record), url, record.bytes):
            if isinstance(way, Skipped):
                left_out.append(way)
            else:
                found.append(_with_golden(bundle, record, way))
                contents[url] = content_of(bundle.path(record), record.path)
    if not found:
        reasons = "; ".join(sorted({f"{s.what}: {s.reason}" for s in left_out}))
        raise BadInput(f"{bundle.folder}: no browser runtime can run its files ({reasons})")
    goldens = {f"files/{g.path}": content_of(bundle.path(g), g.path) for g in bundle.manifest.goldens}
    sources = [f"files/{g.path}" for g in bundle.manifest.goldens if g.role == "input"]
    model = model_of(bundle)
    offer = Offer(
        title=f"{model.name} ×{model.scale}" if model.scale > 1 else model.name,
        about=f"{task_title(model.task)}, {model.params:,} parameters. Its files run here, in this browser.",
        whole_picture=bool(model.whole_picture),
        tiling=_rules(bundle, select(bundle, request.targets, request.precisions)[0]),
        plan=plan_of(_plan(request)),
        candidates=tuple(with_baselines(found)),
        left_out=tuple(left_out),
        golden_input=sources[0] if sources else None,
    )
    return offer, {**contents, **goldens}


def with_baselines(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with latency baselines: the fp32 file of the target in the same runtime and backend."""
    plain = {(c.artifact, c.runner, c.backend): c.key for c in candidates if c.artifact.endswith("/fp32")}
    found = []
    for way in candidates:
        key = plain.get((f"{way.artifact.split('/')[0]}/fp32", way.runner, way.backend))
        found.append(way.model_copy(update={"baseline": None if key == way.key else key}))
    return found


def _with_golden(bundle: Bundle, record: ArtifactRecord, way: Candidate) -> Candidate:
    """The candidate with every golden picture for the photo, most important one first."""
    judges = [
        Judge(golden=f"files/{golden.path}", tolerance=limits)
        for golden in sorted(bundle.manifest.goldens, key=lambda golden: golden.role != record.precision)
        if golden.input == "input" and (limits := limits_of(bundle, record, golden)) is not None
    ]
    if not judges:
        return way
    first, *others = judges
    return way.model_copy(update={"golden": first.golden, "tolerance": first.tolerance, "others": tuple(others)})


def _rules(bundle: Bundle, record: ArtifactRecord) -> TilingRules:
    model = bundle.manifest.model
    cutting = tiling_of(bundle, bundle.artifact(record))
    return TilingRules(
        scale=plain_scale(bundle, "serve"),
        halo=model.halo,
        multiple=model.size_multiple,
        whole_pixels=min(cutting.whole_pixels, MOST_WHOLE_PIXELS),
    )


def _plan(request: ServeRequest) -> LatencyPlan:
    rounds, runs = rounds_for(request.runs)
    return LatencyPlan(
        rounds=rounds,
        runs=runs,
        min_seconds=request.seconds,
        max_seconds=60.0,
        threads=request.threads,
        timeout_s=300.0,
    )


def _sound(folder: Path) -> Bundle:
    bundle = Bundle.load(folder)
    wrong = verify_folder(folder)
    if wrong:
        raise BadInput(f"{folder}: {wrong[0]}; a modified bundle is not served")
    return bundle


def _tls(request: ServeRequest) -> ssl.SSLContext | None:
    if request.certificate is None and request.key is None:
        return None
    if request.certificate is None:
        raise BadInput("--key without --certificate: https needs both, or a certificate file that includes its key")
    given = [path for path in (request.certificate, request.key) if path is not None]
    for path in given:
        read_bytes(path, _MOST_PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[bool] = []

    def passphrase() -> str:
        asked.append(True)
        return ""  # an answer: OpenSSL would ask on the terminal

    try:
        context.load_cert_chain(request.certificate, request.key, passphrase)
    except (OSError, ssl.SSLError) as error:
        if asked:
            raise BadInput(
                f"{given[-1]}: the private key has a passphrase; write a copy without one: openssl pkey -in "
                f"{given[-1]} -out plain.pem"
            ) from error
        files = ", ".join(map(str, given))
        raise BadInput(f"{files}: not a certificate (PEM) and its private key: {error}") from error
    return context
