"""Parses the log of LiteRT's ``benchmark_model``, of either tool of that name (see ``adb.benchmark_flags``).

Written from their sources and tested on published logs from 2020 to 2026. No package contains a prebuilt binary, so the
user supplies it; this parser was not tested on a live run.

Both print statistics, not samples. Three inferences can be recovered: the first, the last, and the third from the
minimum, the maximum and the median (in older builds, the mean).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RUNS = 3
"""Inferences per call: the most whose samples can be recovered from the log."""

_NNAPI_REFERENCE = "nnapi-reference"
_NPU_WORDS = ("npu", "tpu", "dsp", "hta", "htp", "neuron", "apu", "ipu", "mdla", "vpu", "eden")
_COUNT = re.compile(r"Running benchmark for at least [\s\S]*?\bcount=(\d+)(.*)")  # profiles have counts of their own
_PAIR = re.compile(r"(\w+)=([-+.\deE]+)")
_TIMINGS = re.compile(r"Init: ([\d.e+]+), First inference: ([\d.e+]+), Warmup \(avg\): ([\d.e+]+), Inference \(avg\)")
_PEAK = re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: ([\d.e+]+)")
_DELTA = re.compile(r"Memory footprint delta from the start of the tool \(MB\): init=([\d.e+]+) overall=([\d.e+]+)")
_SESSION = re.compile(r"Initialized session in ([\d.e+]+)ms")
_BLOCK = re.compile(r"^.*=+ BENCHMARK RESULTS =+([\s\S]*)", re.MULTILINE)
_FIGURE = re.compile(  # the block that CompiledModel's tool writes; milliseconds and MiB
    r"(Model initialization|Warmup \((?:first|avg)\)|Inference \((?:avg|min|max)\)|Overall footprint|Peak memory): +"
    r"([\d.]+) M?(?:ms|B)(?: \((\d+) runs\))?"
)
_IGNORED = re.compile(r"Unconsumed cmdline flags: (.*)")
_VERSION = re.compile(r"Tensorflow Version ?: (\S+)")
_ACCELERATORS = re.compile(r"NNAPI accelerators available: \[([^\]]*)\]")
_REPLACED = re.compile(
    r"Replacing (\d+)(?: out of (\d+))? node\(s\) with delegate \((\w+)\) node, yielding (\d+) partitions"
)
_ALL = re.compile(r"Explicitly applied (\S+) delegate, and the model graph will be completely executed")
_PART = re.compile(r"Explicitly applied (\S+) delegate, and the model graph will be partially executed .* w/ (\d+) ")
_NONE = re.compile(r"Though (\S+) delegate is explicitly applied, the model graph will not be executed")
_NODE = re.compile(  # operator, start (in old tables) and first and average ms, shares, memory, calls, name
    r"^\s*(\S.*?)\s+((?:[\d.]+\s+){2,3})[\d.]+%\s+[\d.]+%\s+[\d.]+\s+\d+[^\S\n]+\[?(.*?)(?:\]|$)", re.MULTILINE
)
_ERROR = re.compile(r"(?:\bERROR: |^E )(.*)", re.MULTILINE)


@dataclass(frozen=True)
class Replaced:
    """Nodes that a delegate replaced; ``of`` is the total, None if an old log lacks it."""

    delegate: str
    nodes: int
    of: int | None
    partitions: int

    @property
    def of_cpu(self) -> bool:
        """Whether the delegate is XNNPACK, which runs on the CPU."""
        return "xnnpack" in self.delegate.lower()


@dataclass(frozen=True)
class Log:
    """The log of one call. Times are in milliseconds; missing figures are None or empty.

    Attributes:
        version: TensorFlow version of the build.
        init_ms, first_ms: load, and first warm-up inference.
        warmups: number of warm-up inferences.
        count: number of measured inferences.
        samples_ms: their times, if there were at most three.
        delegate, share: the requested delegate, and the share of the graph that it runs: ``all``, ``part`` or ``none``.
        replaced: replacements by delegates, in order.
        accelerators: names of NNAPI's accelerators.
        peak_mib, overall_mib: peak memory footprint, and its growth from start to end.
        errors: lines with errors.
        ignored: flags that it does not support.
    """

    version: str | None
    init_ms: float | None
    first_ms: float | None
    warmups: int
    count: int
    samples_ms: tuple[float, ...]
    delegate: str | None
    share: str | None
    replaced: tuple[Replaced, ...]
    accelerators: tuple[str, ...]
    peak_mib: float | None
    overall_mib: float | None
    errors: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the log is complete."""
        return self.init_ms is not None and self.count > 0


def read(text: str) -> Log:
    """Parse the log of one call, with or without logcat prefixes."""
    stats = [_statistics(match[1], match[2]) for match in _COUNT.finditer(text)]
    block = _block(text)
    warmup, counted = stats[:2] if len(stats) > 1 else (_of_block(block, "Warmup"), _of_block(block, "Inference"))
    timings, delta = _TIMINGS.search(text), _DELTA.search(text)
    replaced = tuple(
        Replaced(m[3], int(m[1]), int(m[2]) if m[2] else None, int(m[4])) for m in _REPLACED.finditer(text)
    )
    delegate, share = _share(text, replaced)
    accelerators = _ACCELERATORS.search(text)
    version = _VERSION.search(text)
    return Log(
        version=version[1] if version else None,
        init_ms=float(timings[1]) / 1e3 if timings else _init_ms(text, block),
        first_ms=float(timings[2]) / 1e3 if timings else _first_ms(warmup, block),
        warmups=int(warmup.get("count", 0)),
        count=int(counted.get("count", 0)),
        samples_ms=tuple(us / 1e3 for us in _samples(counted)),
        delegate=delegate,
        share=share,
        replaced=replaced,
        accelerators=tuple(name for name in accelerators[1].split(",") if name) if accelerators else (),
        peak_mib=_number(_PEAK.search(text)) or block.get("Peak memory", (None, 0))[0],
        overall_mib=float(delta[2]) if delta else block.get("Overall footprint", (None, 0))[0],
        errors=tuple(match[1].strip() for match in _ERROR.finditer(text)),
        ignored=tuple(flag for match in _IGNORED.finditer(text) for flag in match[1].split()),
    )


def _block(text: str) -> dict[str, tuple[float, int]]:
    """Figure -> value and number of runs, from the final block of CompiledModel's tool."""
    found = _BLOCK.search(text)
    return {m[1]: (float(m[2]), int(m[3] or 0)) for m in _FIGURE.finditer(found[1])} if found else {}


def _of_block(block: Mapping[str, tuple[float, int]], what: str) -> dict[str, float]:
    """Statistics of warm-up or inferences in microseconds, in the form of a ``count=`` line; without the order."""
    if f"{what} (avg)" not in block:
        return {}
    mean, count = block[f"{what} (avg)"]
    low, high = (block.get(f"{what} ({end})", (mean, 0))[0] * 1e3 for end in ("min", "max"))
    return {"count": count, "first": low, "curr": high, "min": low, "max": high, "avg": mean * 1e3}


def _init_ms(text: str, block: Mapping[str, tuple[float, int]]) -> float | None:
    return _number(_SESSION.search(text)) or block.get("Model initialization", (None, 0))[0]


def _first_ms(warmup: Mapping[str, float], block: Mapping[str, tuple[float, int]]) -> float | None:
    if "Warmup (first)" in block:
        return block["Warmup (first)"][0]
    told = warmup.get("first", warmup.get("curr"))  # of a single run, only the last is reported
    return None if told is None else told / 1e3


def _number(found: re.Match[str] | None) -> float | None:
    return float(found[1]) if found else None


def _statistics(count: str, rest: str) -> dict[str, float]:
    return {"count": float(count), **{name: float(value) for name, value in _PAIR.findall(rest)}}


def _samples(stats: Mapping[str, float]) -> list[float]:
    """The samples in microseconds, in order, of at most three runs; empty for more."""
    count = int(stats.get("count", 0))
    if not 0 < count <= RUNS:
        return []
    if "min" not in stats:  # all are equal
        return [stats["curr"]] * count
    if count < RUNS:
        return [stats["first"], stats["curr"]]
    values = [stats["min"], stats["median"] if "median" in stats else _middle(stats), stats["max"]]
    for end in (stats["first"], stats["curr"]):
        values.remove(min(values, key=lambda value: abs(value - end)))
    return [stats["first"], values[0], stats["curr"]]


def _middle(stats: Mapping[str, float]) -> float:
    """The median of three samples from their mean, which is printed with six digits."""
    return min(max(3 * stats["avg"] - stats["min"] - stats["max"], stats["min"]), stats["max"])


def _share(text: str, replaced: Sequence[Replaced]) -> tuple[str | None, str | None]:
    """The delegate and the share that it runs. CompiledModel's tool reports only replaced nodes; those of XNNPACK run
    on the CPU.
    """
    for pattern, share in ((_ALL, "all"), (_PART, "part"), (_NONE, "none")):
        if found := pattern.search(text):
            return found[1], share
    if not replaced:
        return None, None
    taken = next((part for part in replaced if not part.of_cpu and part.nodes), None)
    if taken is None:
        return None, "none"
    return taken.delegate, "all" if taken.nodes == taken.of else "part"


def unit_ran(unit: str, log: Log, accelerator: str | None) -> str:
    """The unit that ran according to the log: the CPU if the delegate replaced nothing."""
    if unit == "cpu":
        return "cpu"
    name = unit_of_delegate(unit, accelerator)
    return {"all": name, "part": f"{name}+cpu", "none": "cpu"}.get(log.share or "", "unknown")


def unit_of_delegate(unit: str, accelerator: str | None) -> str:
    """The units on which a unit's delegate may run: NNAPI distributes work freely unless an accelerator is named."""
    return "nnapi" if unit == "npu" and accelerator is None else unit


def npu_of(accelerators: Sequence[str]) -> str | None:
    """The first NNAPI accelerator named like an NPU, such as ``qti-dsp`` or ``google-edgetpu``, or None."""
    named = [name for name in accelerators if name != _NNAPI_REFERENCE]
    return next((name for name in named if any(word in name.lower() for word in _NPU_WORDS)), None)


def read_profile(text: str) -> list[tuple[str, str, float]]:
    """Operator, name and mean milliseconds of each node in execution order, from the table of
    ``--enable_op_profiling`` or ``--use_profiler``; empty without one."""
    _, found, runs = text.partition("Operator-wise Profiling Info")
    _, _, table = (runs if found else text.partition("BENCHMARK RESULTS")[2]).partition("Run Order")
    nodes, _, _ = table.partition("=====\n")[2].partition("=====")
    return [(m[1], m[3], float(m[2].split()[-1])) for m in _NODE.finditer(nodes)]


def operators_per_unit(unit: str, log: Log, profile: Sequence[tuple[str, str, float]]) -> dict[str, dict[str, int]]:
    """Unit -> operator -> count; the nodes of a delegate are a total, the others by operator."""
    if unit == "cpu":
        return {"cpu": dict(Counter(kind for kind, _, _ in profile))} if profile else {}
    taken = next((r for r in log.replaced if not r.of_cpu), None)
    if taken is None:
        return {}
    others = Counter(kind for kind, _, _ in profile if kind != taken.delegate)
    left = dict(others) or ({"other": taken.of - taken.nodes} if taken.of and taken.of > taken.nodes else {})
    return {unit: {f"taken by {taken.delegate}": taken.nodes}, **({"cpu": left} if left else {})}
