"""A program with the flags and the log of LiteRT's ``benchmark_model`` (CPU), that runs files by LiteRT's Python.

No prebuilt ``benchmark_model`` can be had, and none was ever run by these tests. This one stands on the loopback phone:
its inferences, their times and their outputs are real; its words follow the sources of the two tools of that name
(``tflite/tools/benchmark/benchmark_model.cc``, ``litert/tools/benchmark_litert_model.h``,
``tensorflow/core/util/stats_calculator.h``). ``COMPILED`` makes it the one that measures CompiledModel.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

COMPILED = False
COMMON = "num_runs min_secs max_secs num_threads warmup_runs warmup_min_secs report_peak_memory_footprint graph"
OWN = (
    "use_cpu use_gpu use_npu gpu-precision use_profiler dispatch_library_path"
    if COMPILED
    else "input_layer input_layer_shape input_layer_value_files output_filepath use_xnnpack enable_op_profiling help"
)
KNOWN = [*COMMON.split(), *OWN.split()]


def main(words: list[str]) -> int:
    print("INFO: STARTING!")
    if "--help" in words:
        lines = "".join(f"\t--{name}=\tstring\toptional\twhat it does, see also min_secs\n" for name in KNOWN)
        print(f"ERROR: usage: {sys.argv[0]} <flags>\nFlags:\n{lines}", file=sys.stderr)
        return 0 if COMPILED else 1
    flags = dict(word.removeprefix("--").split("=", 1) for word in words)
    if unknown := [word for word in words if word.removeprefix("--").partition("=")[0] not in KNOWN]:
        print(f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}")
    benchmark(flags)
    return 0


def benchmark(flags: dict[str, str]) -> None:
    began = time.perf_counter()
    interpreter = Interpreter(model_path=flags["graph"], num_threads=int(flags["num_threads"]))
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()
    init_us = (time.perf_counter() - began) * 1e6
    print(f"INFO: Initialized session in {init_us / 1e3:g}ms.")
    feeds = random(details) if COMPILED else given(details, flags["input_layer_value_files"])
    warmup = measure(runner, feeds, int(flags["warmup_runs"]), float(flags["warmup_min_secs"]))
    timed = measure(runner, feeds, int(flags["num_runs"]), float(flags["min_secs"]))
    (tell_compiled if COMPILED else tell)(init_us, warmup, timed)
    if "output_filepath" in flags:
        outputs = runner(**feeds)
        Path(flags["output_filepath"]).write_bytes(b"".join(value.tobytes() for value in outputs.values()))


def given(details, files: str):  # type: ignore[no-untyped-def]
    feeds = {}
    for item in files.split(","):
        name, _, path = item.partition(":")
        data = Path(path).read_bytes()
        feeds[name] = np.frombuffer(data, details[name]["dtype"]).reshape(details[name]["shape"])
    return feeds


def random(details):  # type: ignore[no-untyped-def]
    draw = np.random.default_rng(0)
    return {name: draw.integers(0, 100, d["shape"]).astype(d["dtype"]) for name, d in details.items()}


def tell(init_us: float, warmup: list[int], timed: list[int]) -> None:
    print(
        f"INFO: Inference timings in us: Init: {init_us:.0f}, First inference: {warmup[0]}, "
        f"Warmup (avg): {np.mean(warmup):g}, Inference (avg): {np.mean(timed):g}"
    )
    print(f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak_mib():g}")


def tell_compiled(init_us: float, warmup: list[int], timed: list[int]) -> None:
    figures = [
        "\n========== BENCHMARK RESULTS ==========",
        "Signature name:       serving_default",
        f"Model initialization: {init_us / 1e3:.2f} ms",
        f"Warmup (first):       {warmup[0] / 1e3:.2f} ms",
        f"Warmup (avg):         {np.mean(warmup) / 1e3:.2f} ms ({len(warmup)} runs)",
        f"Inference (avg):      {np.mean(timed) / 1e3:.2f} ms ({len(timed)} runs)",
        f"Inference (min):      {min(timed) / 1e3:.2f} ms",
        f"Inference (max):      {max(timed) / 1e3:.2f} ms",
        "\nMemory Usage:",
        f"Peak memory:          {peak_mib():.2f} MB",
        "======================================\n",
    ]
    for number, line in enumerate(figures):
        print(f"INFO: [benchmark_litert_model.h:{90 + number}] {line}", file=sys.stderr)


def measure(runner, feeds, runs: int, seconds: float) -> list[int]:  # type: ignore[no-untyped-def]
    print(f"INFO: Running benchmark for at least {runs} iterations and at least {seconds:g} seconds but terminate ...")
    samples: list[int] = []
    began = time.perf_counter()
    while len(samples) < runs or time.perf_counter() - began < seconds:
        start = time.perf_counter_ns()
        runner(**feeds)
        samples.append((time.perf_counter_ns() - start) // 1000)
    low, high, count = min(samples), max(samples), len(samples)
    if low == high:
        text = f"count={count} curr={samples[-1]}" + ("(all same)" if count > 1 else "")
    else:
        text = f"count={count} first={samples[0]} curr={samples[-1]} min={low} max={high} avg={np.mean(samples):g}"
        text += f" std={int(np.std(samples))}"
    ordered = sorted(samples)
    print(
        f"INFO: {text} p5={ordered[count * 5 // 100]} median={ordered[count // 2]} p95={ordered[count * 95 // 100]}\n"
    )
    return samples


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
