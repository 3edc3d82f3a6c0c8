"""A program with the flags and the log of LiteRT's ``benchmark_model`` (CPU), that runs files by LiteRT's Python.

No prebuilt ``benchmark_model`` can be had, and none was ever run by these tests. This one stands on the loopback phone:
its inferences, their times and their outputs are real; its words follow the source of the tool
(``tflite/tools/benchmark/benchmark_model.cc``, ``tensorflow/core/util/stats_calculator.h``).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(flags: dict[str, str]) -> None:
    print("INFO: STARTING!")
    began = time.perf_counter()
    interpreter = Interpreter(model_path=flags["graph"], num_threads=int(flags["num_threads"]))
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()
    init_us = (time.perf_counter() - began) * 1e6
    print(f"INFO: Initialized session in {init_us / 1e3:g}ms.")
    feeds = {}
    for item in flags["input_layer_value_files"].split(","):
        name, _, path = item.partition(":")
        data = Path(path).read_bytes()
        feeds[name] = np.frombuffer(data, details[name]["dtype"]).reshape(details[name]["shape"])
    warmup = measure(runner, feeds, int(flags["warmup_runs"]), float(flags["warmup_min_secs"]))
    timed = measure(runner, feeds, int(flags["num_runs"]), float(flags["min_secs"]))
    print(
        f"INFO: Inference timings in us: Init: {init_us:.0f}, First inference: {warmup[0]}, "
        f"Warmup (avg): {np.mean(warmup):g}, Inference (avg): {np.mean(timed):g}"
    )
    if flags.get("report_peak_memory_footprint") == "true":
        print(f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak_mib():g}")
    if "output_filepath" in flags:
        outputs = runner(**feeds)
        Path(flags["output_filepath"]).write_bytes(b"".join(value.tobytes() for value in outputs.values()))


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
    main(dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:]))
