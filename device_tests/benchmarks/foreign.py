"""Networks that clearport was not written for, on every target: right, refused, WRONG or crashed.

    python device_tests/benchmarks/foreign.py                         # all, by PyTorch's exporter of today, in fp32
    python device_tests/benchmarks/foreign.py --precision fp16 --exporter legacy swinir nafnet
    python device_tests/benchmarks/foreign.py --precision int8        # of one RGB picture; compared with the QDQ model

Each network has a process of its own, since runtimes may abort. Exits with 1 where a number is wrong or a target
crashed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.foreign.on_targets import RUNS


def outcomes(name: str, exporter: str, precision: Any, said: Any) -> None:
    """Put (target, word, why) into ``said``, one by one; before each (target, "began", "")."""
    from clearport.export.passes import order as passes
    from tests.foreign import exported
    from tests.foreign.on_targets import on_target, quantized_for, quantized_outputs
    from tests.foreign.zoo import networks

    network = networks()[name]
    given = exported.inputs_of(network)
    right = exported.wanted(network.module(), given)
    try:
        graph = exported.graph_of(exported.exported(network, exporter), name)
        ends = tuple(replace(spec, shape=array.shape) for spec, array in zip(graph.outputs, right, strict=True))
        graph = passes.run(replace(graph, outputs=ends))
        quantized = quantized_for(graph) if precision == "int8" else None
        right = right if quantized is None else quantized_outputs(quantized, given)
    except Exception as error:
        said.put(("", "not exported", f"{type(error).__name__}: {error}".splitlines()[0]))
        return
    for target in RUNS:
        said.put((target, "began", ""))
        with tempfile.TemporaryDirectory() as folder:
            outcome = on_target(graph, target, precision, given, right, Path(folder), quantized)
        said.put((target, outcome.word, outcome.about.splitlines()[0]))
    said.put(("", "end", ""))


def row(name: str, exporter: str, precision: str) -> dict[str, tuple[str, str]]:
    """Target -> word and why."""
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    process = context.Process(target=outcomes, args=(name, exporter, precision, said))
    process.start()
    found: dict[str, tuple[str, str]] = {}
    while process.is_alive() or not said.empty():
        try:
            target, word, why = said.get(timeout=1)
        except multiprocessing.queues.Empty:
            continue
        if word == "not exported":
            return dict.fromkeys(RUNS, (word, why))
        if word == "end":
            break
        found[target] = ("crashed", "the process ended") if word == "began" else (word, why)
    process.join()
    return found


def main() -> int:
    from tests.foreign.zoo import networks

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--exporter", default="dynamo", choices=["dynamo", "legacy"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "fp16", "int8"])
    chosen = parser.parse_args()
    totals: Counter[tuple[str, str]] = Counter()
    print(f"{'':28}" + "".join(f"{target:14}" for target in RUNS))
    for name in chosen.names or networks():
        found = row(name, chosen.exporter, chosen.precision)
        print(f"{name:28}" + "".join(f"{found.get(target, ('crashed', ''))[0]:14}" for target in RUNS), flush=True)
        for target in RUNS:
            word, why = found.get(target, ("crashed", "the process ended"))
            totals[target, word] += 1
            if word not in {"right", "not exported"} or (word == "not exported" and target == "onnxruntime"):
                print(f"    {target}: {why}")
    for target in RUNS:
        print(target, {word: count for (of, word), count in sorted(totals.items()) if of == target})
    return int(any(word in {"WRONG", "crashed"} for _, word in totals))


if __name__ == "__main__":
    sys.exit(main())
