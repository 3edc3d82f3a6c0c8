"""What is read from logs of LiteRT's benchmark_model, on logs that users published (places beside them)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.runtime.devices.adb import benchmark_model

GPU_2020 = """\
STARTING!
Log parameter values verbosely: [0]
Min num runs: [50]
Use gpu: [1]
Loaded model /data/local/tmp/tflite/denoising_32bit.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite delegate for GPU.
INFO: Initialized OpenCL-based API.
INFO: Created 1 GPU delegate kernels.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
The input model file size (MB): 7.07479
Initialized session in 870.557ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=4 first=130565 curr=120829 min=117370 max=130565 avg=122373 std=4930

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=119212 curr=118055 min=113737 max=124776 avg=119375 std=1948

Inference timings in us: Init: 870557, First inference: 130565, Warmup (avg): 122373, Inference (avg): 119375
"""
"""github.com/tensorflow/tensorflow/issues/43541"""

NPU_2024 = """\
INFO: STARTING!
INFO: Tensorflow Version : 2.15.0
INFO: Use NNAPI: [1]
INFO: NNAPI accelerator name: [synap-npu]
INFO: NNAPI accelerators available: [synap-npu,nnapi-reference]
INFO: NNAPI delegate created.
WARNING: NNAPI SL driver did not implement SL_ANeuralNetworksDiagnostic_registerCallbacks!
VERBOSE: Replacing 31 out of 31 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 1 partitions for the whole graph.
INFO: Explicitly applied NNAPI delegate, and the model graph will be completely executed by the delegate.
INFO: The input model file size (MB): 0.497264
INFO: Initialized session in 66.002ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr=637079

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=520 first=2531 curr=2793 min=1171 max=9925 avg=1885.74 std=870

INFO: Inference timings in us: Init: 66002, First inference: 637079, Warmup (avg): 637079, Inference (avg): 1885.74
INFO: Memory footprint delta from the start of the tool (MB): init=7.40234 overall=7.83203
"""  # noqa: E501  as it was published
"""Synaptics' documentation of SyNAP, page "JIT Compilation"."""

PART_LOGCAT = """\
05-30 15:16:44.857  3380  3380 I tflite  : Explicitly applied NNAPI delegate, and the model graph will be partially executed by the delegate w/ 44 delegate kernels.
05-30 15:16:44.858  3380  3380 I tflite  : Initialized session in 126.059ms.
05-30 15:16:44.858  3380  3380 I tflite  : Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
05-30 15:16:45.362  3380  3380 I tflite  : count=40 first=32942 curr=12594 min=11340 max=32942 avg=12581.9 std=3331
05-30 15:16:45.362  3380  3380 I tflite  : Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
05-30 15:16:46.365  3380  3380 I tflite  : count=75 first=12840 curr=11853 min=11787 max=13649 avg=12167.6 std=325
05-30 15:16:46.366  3380  3380 I tflite  : Inference timings in us: Init: 126059, First inference: 32942, Warmup (avg): 12581.9, Inference (avg): 12167.6
"""  # noqa: E501  as it was published
"""github.com/tensorflow/tensorflow/issues/56301"""

FALLBACK = """\
VERBOSE: Replacing 5 out of 64 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 5 partitions for the whole graph.
VERBOSE: Replacing 59 out of 62 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 5 partitions for the whole graph.
"""  # noqa: E501  as it was published
"""github.com/m96-chan/DroidRunner, log of an MT6899"""

PROFILE = """\
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
            [node type]  [first]  [avg ms]      [%]    [cdf%]  [mem KB] [times called] [Name]
    TfLiteNnapiDelegate    3.826     4.011  62.037%   62.037%     0.000         1      []:64
RESIZE_NEAREST_NEIGHBOR    0.052     0.058   0.899%   62.936%     0.000         1      []:38
    TfLiteNnapiDelegate    2.244     2.396  37.064%  100.000%     0.000         1      []:65

============================== Top by Computation Time ==============================
"""
"""Synaptics' documentation of SyNAP, page "JIT Compilation"; the next table's title is that of the tool's source."""


COMPILED_2026 = """\
INFO: [benchmark_litert_model.h:90]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:92] Signature name:       prefill_1024
INFO: [benchmark_litert_model.h:94] Model initialization: 23744.73 ms
INFO: [benchmark_litert_model.h:96] Warmup (first):       7441.04 ms
INFO: [benchmark_litert_model.h:98] Warmup (avg):         7441.04 ms (1 runs)
INFO: [benchmark_litert_model.h:100] Inference (avg):      7430.20 ms (10 runs)
INFO: [benchmark_litert_model.h:104] Inference (min):      7416.40 ms
INFO: [benchmark_litert_model.h:106] Inference (max):      7448.86 ms
INFO: [benchmark_litert_model.h:108] Inference (std):      9.92
INFO: [benchmark_litert_model.h:115] Throughput:           27.46 MB/s
INFO: [benchmark_litert_model.h:124]
Memory Usage:
INFO: [benchmark_litert_model.h:126] Init footprint:       6391.74 MB
INFO: [benchmark_litert_model.h:128] Overall footprint:    6391.74 MB
INFO: [benchmark_litert_model.h:135] Peak memory usage not available. (peak_mem_mb <= 0)
"""
"""github.com/mlcommons/mobile_app_open/issues/1134: CompiledModel's tool on a phone's GPU"""

COMPILED_GPU = "VERBOSE: Replacing 253 out of 253 node(s) with delegate (LITERT_CL) node, yielding 1 partitions for subgraph 0 (main).\n"  # noqa: E501  as it was published
COMPILED_SHARED = """\
VERBOSE: Replacing 48 out of 90 node(s) with delegate (LITERT_CL) node, yielding 2 partitions for subgraph 0 (main).
VERBOSE: Replacing 32 out of 43 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 4 partitions for subgraph 0 (main).
"""  # noqa: E501  as it was published
COMPILED_FELL_BACK = "06-16 10:11:12.001  901  901 I tflite  : Replacing 470 out of 476 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions for subgraph 0.\n"  # noqa: E501  as in github.com/google-ai-edge/LiteRT/issues/7858
"""Lines of LiteRT's log, as users published them, of what delegates took."""

THREE_RUNS = """\
INFO: STARTING!
INFO: [benchmark_litert_model.cc:331] Loading model from: /data/local/tmp/clearport/a.tflite
INFO: The input model file size (MB): 0.065
INFO: Initialized session in 21.5ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=11 first=52011 curr=45500 min=45100 max=52011 avg=46000 std=1900 p5=45100 median=45480 p95=52011

INFO: Running benchmark for at least 3 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=3 first=45300 curr=45900 min=45300 max=46500 avg=45900 std=489 p5=45300 median=45900 p95=46500

"""
"""What both tools print, by ``tflite/tools/benchmark/benchmark_model.cc`` of 2026."""

COMPILED_PROFILE = """\
INFO: [benchmark_litert_model.h:90]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:94] Model initialization: 21.50 ms
INFO: [benchmark_litert_model.h:190]
======================================= Run Order =======================================
                 [node type]    [start]    [first]   [avg ms]        [%]     [cdf%]   [mem KB] [times called]   [Name]
       TfLiteXNNPackDelegate      0.000     44.900     44.900    99.000%    99.000%      0.000              1   a:7
     RESIZE_NEAREST_NEIGHBOR     44.901      0.450      0.450     1.000%   100.000%      0.000              1   [b, c]:8

================================ Top by Computation Time ================================
"""
"""By ``litert/runtime/profiler_summarizer.cc``."""


def test_a_log_of_the_tool_of_compiled_models_is_read() -> None:
    log = benchmark_model.read(COMPILED_2026)
    assert (log.init_ms, log.first_ms, log.warmups, log.count) == (23744.73, 7441.04, 1, 10)
    assert (log.peak_mib, log.overall_mib, log.share) == (None, 6391.74, None)
    assert log.whole
    assert benchmark_model.unit_ran("gpu", log, None) == "unknown"


def test_samples_come_of_the_lines_that_both_tools_print_or_of_the_block() -> None:
    log = benchmark_model.read(THREE_RUNS)
    assert (log.init_ms, log.first_ms, log.warmups, log.samples_ms) == (21.5, 52.011, 11, (45.3, 46.5, 45.9))
    assert benchmark_model.read(THREE_RUNS + COMPILED_2026).samples_ms == log.samples_ms
    block = COMPILED_2026.replace("(10 runs)", "(3 runs)")
    assert np.allclose(benchmark_model.read(block).samples_ms, (7416.40, 7425.34, 7448.86))


@pytest.mark.parametrize(
    ("lines", "unit", "ran"),
    [
        (COMPILED_GPU, "gpu", "gpu"),
        (COMPILED_SHARED, "gpu", "gpu+cpu"),
        (COMPILED_FELL_BACK, "gpu", "cpu"),
        (COMPILED_GPU.replace("LITERT_CL", "DispatchDelegate"), "npu", "nnapi"),
        ("", "gpu", "unknown"),
    ],
)
def test_the_unit_is_read_from_the_log_of_the_delegates(lines: str, unit: str, ran: str) -> None:
    log = benchmark_model.read(lines + THREE_RUNS + COMPILED_2026)
    assert benchmark_model.unit_ran(unit, log, None) == ran
    assert log.whole


def test_the_profile_of_compiled_models_is_read() -> None:
    assert benchmark_model.read_profile(THREE_RUNS + COMPILED_PROFILE) == [
        ("TfLiteXNNPackDelegate", "a:7", 44.9),
        ("RESIZE_NEAREST_NEIGHBOR", "b, c", 0.45),
    ]


def test_ignored_flags_are_reported() -> None:
    log = benchmark_model.read(f"WARN: Unconsumed cmdline flags: --use_nnapi=true --x=1\n{THREE_RUNS}")
    assert log.ignored == ("--use_nnapi=true", "--x=1")


def test_a_gpu_log_of_2020_is_read() -> None:
    log = benchmark_model.read(GPU_2020)
    assert (log.init_ms, log.first_ms, log.warmups, log.count) == (870.557, 130.565, 4, 50)
    assert (log.delegate, log.share, log.version) == ("GPU", "all", None)
    assert log.samples_ms == ()  # 50 of which the statistics do not tell each
    assert benchmark_model.unit_ran("gpu", log, None) == "gpu"
    assert log.whole


def test_an_npu_log_of_2024_is_read() -> None:
    log = benchmark_model.read(NPU_2024)
    assert (log.version, log.accelerators) == ("2.15.0", ("synap-npu", "nnapi-reference"))
    assert log.replaced == (benchmark_model.Replaced("TfLiteNnapiDelegate", 31, 31, 1),)
    assert (log.init_ms, log.first_ms, log.warmups, log.overall_mib) == (66.002, 637.079, 1, 7.83203)
    assert benchmark_model.npu_of(log.accelerators) == "synap-npu"
    assert benchmark_model.unit_ran("npu", log, "synap-npu") == "npu"
    assert benchmark_model.unit_ran("npu", log, None) == "nnapi"
    assert benchmark_model.operators_per_unit("npu", log, []) == {"npu": {"taken by TfLiteNnapiDelegate": 31}}


def test_a_shared_graph_is_told_as_such_through_the_prefixes_of_logcat() -> None:
    log = benchmark_model.read(PART_LOGCAT)
    assert (log.share, log.init_ms, log.warmups, log.count) == ("part", 126.059, 40, 75)
    assert benchmark_model.unit_ran("npu", log, "qti-dsp") == "npu+cpu"


def test_a_delegate_that_takes_nothing_is_the_cpu() -> None:
    log = benchmark_model.read(
        "Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate."
    )
    assert benchmark_model.unit_ran("npu", log, "ipuadaptor") == "cpu"
    assert benchmark_model.unit_ran("gpu", benchmark_model.read(""), None) == "unknown"
    assert not log.whole


def test_the_nodes_of_two_delegates_are_counted_separately() -> None:
    log = benchmark_model.read(FALLBACK)
    assert [(r.delegate, r.nodes, r.of, r.partitions) for r in log.replaced] == [
        ("TfLiteNnapiDelegate", 5, 64, 5),
        ("TfLiteXNNPackDelegate", 59, 62, 5),
    ]
    assert benchmark_model.operators_per_unit("npu", log, []) == {
        "npu": {"taken by TfLiteNnapiDelegate": 5},
        "cpu": {"other": 59},
    }


def test_the_profile_lists_the_operators_left_to_the_cpu() -> None:
    profile = benchmark_model.read_profile(f"{NPU_2024}{PROFILE}")
    assert [(kind, ms) for kind, _, ms in profile] == [
        ("TfLiteNnapiDelegate", 4.011),
        ("RESIZE_NEAREST_NEIGHBOR", 0.058),
        ("TfLiteNnapiDelegate", 2.396),
    ]
    log = benchmark_model.read(FALLBACK)
    assert benchmark_model.operators_per_unit("npu", log, profile)["cpu"] == {"RESIZE_NEAREST_NEIGHBOR": 1}
    assert benchmark_model.read_profile(NPU_2024) == []


def test_a_profile_does_not_pass_for_the_samples() -> None:
    log = benchmark_model.read(f"{GPU_2020}Timings (microseconds): count=2 first=1 curr=2 min=1 max=2 avg=1.5 std=0\n")
    assert log.count == 50


@pytest.mark.parametrize("words", [("qti-default", "qti-dsp", "qti-gpu"), ("google-edgetpu",), ("mtk-neuron_shim",)])
def test_npus_are_known_by_their_names(words: tuple[str, ...]) -> None:
    assert benchmark_model.npu_of((*words, "nnapi-reference")) in {"qti-dsp", "google-edgetpu", "mtk-neuron_shim"}


def test_no_gpu_or_reference_passes_for_an_npu() -> None:
    assert benchmark_model.npu_of(("qti-gpu", "armnn", "nnapi-reference")) is None


@given(st.lists(st.integers(1, 900_000), min_size=1, max_size=3), st.booleans())
def test_up_to_three_samples_are_distinguished(samples: list[int], new: bool) -> None:
    """The tool's own words for some samples (tensorflow/core/util/stats_calculator.h) give them back."""
    said = _said(samples, new)
    text = f"Running benchmark for at least 1\ncount=1 curr=9\n\nRunning benchmark for at least 3\n{said}"
    told = benchmark_model.read(text).samples_ms
    assert np.allclose(np.asarray(told) * 1e3, samples, atol=0 if new else 1.6)


def _said(samples: list[int], new: bool) -> str:
    """What ``StatWithPercentiles::OutputToStream`` prints; ``new``: with percentiles."""
    ordered = sorted(samples)
    count = len(samples)
    if ordered[0] == ordered[-1]:
        text = f"count={count} curr={samples[-1]}" + ("(all same)" if count > 1 else "")
    else:
        mean, deviation = np.mean(samples), int(np.std(samples))
        text = f"count={count} first={samples[0]} curr={samples[-1]} min={ordered[0]} max={ordered[-1]}"
        text += f" avg={mean:.6g} std={deviation}"
    if new:
        text += f" p5={ordered[count * 5 // 100]} median={ordered[count // 2]} p95={ordered[count * 95 // 100]}"
    return text
