"""What is asked of builds of benchmark_model, by what each says that it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.errors import RuntimeFailure
from clearport.runtime.devices.adb.benchmark_flags import Dialect, read_help

INTERPRETER = """\
ERROR: usage: ./benchmark_model <flags>
Flags:
\t--num_runs=50                            \tint32\toptional\texpected number of runs, see also min_secs, max_secs
\t--graph=                                 \tstring\trequired\tgraph file name
\t--input_layer=                           \tstring\toptional\tinput layer names
\t--input_layer_shape=                     \tstring\toptional\tinput layer shape
\t--input_layer_value_files=               \tstring\toptional\tA map-like string. Note if --max-secs is exceeded ...
\t--output_filepath=                       \tstring\toptional\tFile path to export outputs layer as binary data.
\t--enable_op_profiling=false              \tbool\toptional\tenable op profiling
\t--report_peak_memory_footprint=false     \tbool\toptional\tReport the peak memory footprint
\t--use_xnnpack=true                       \tbool\toptional\texplicitly apply the XNNPACK delegate.
\t--use_gpu=false                          \tbool\toptional\tuse gpu
\t--gpu_precision_loss_allowed=true        \tbool\toptional\tAllow to process computation in lower precision
\t--use_nnapi=false                        \tbool\toptional\tuse nnapi delegate api
\t--nnapi_accelerator_name=                \tstring\toptional\tthe name of the nnapi accelerator to use
\t--nnapi_allow_fp16=false                 \tbool\toptional\tAllow fp32 computation to be run in fp16
\t--disable_nnapi_cpu=true                 \tbool\toptional\tDisable the NNAPI CPU device
"""
"""By ``tflite/tools/command_line_flags.cc``, ``tflite/tools/benchmark`` and ``tflite/tools/delegates``."""

COMPILED = """\

  NPU Vendor Flags from LiteRT:
    --qualcomm_log_level (Log level.); default: off;

INFO: STARTING!
ERROR: usage: ./benchmark_model <flags>
Flags:
\t--num_runs=50                            \tint32\toptional\texpected number of runs, see also min_secs, max_secs
\t--report_peak_memory_footprint=false     \tbool\toptional\tReport the peak memory footprint
\t--graph=                                 \tstring\toptional\tThe path to the model file.
\t--use_cpu=true                           \tbool\toptional\tWhether to use CPU accelerator.
\t--use_gpu=false                          \tbool\toptional\tWhether to use GPU accelerator.
\t--use_npu=false                          \tbool\toptional\tWhether to use NPU accelerator.
\t--use_profiler=false                     \tbool\toptional\tWhether to use profiler.
\t--gpu-precision=auto                     \tstring\toptional\tGPU precision option [auto|fp16|fp32].
"""
"""By ``litert/tools/benchmark_litert_model.h`` and ``benchmark_litert_model_main.cc``."""

INPUTS = {"image": ((1, 6, 8, 3), "/data/in.bin"), "a:b": ((2,), "/data/b.bin")}


def test_the_tool_of_the_interpreter_is_fed_and_asked_for_nnapi() -> None:
    tool = read_help(INTERPRETER)
    assert tool.io(INPUTS, "/data/out.bin") == [
        "--input_layer=image,a:b",
        "--input_layer_shape=1,6,8,3:2",
        "--input_layer_value_files=image:/data/in.bin,a::b:/data/b.bin",
        "--output_filepath=/data/out.bin",
    ]
    assert tool.io({}, None)[-1].startswith("--input_layer_value_files")
    assert tool.unit("cpu", lossy=True, accelerator=None) == ["--use_xnnpack=true"]
    assert tool.unit("gpu", lossy=False, accelerator=None) == ["--use_gpu=true", "--gpu_precision_loss_allowed=false"]
    nnapi = ["--use_nnapi=true", "--nnapi_allow_fp16=true"]
    assert tool.unit("npu", lossy=True, accelerator=None) == [*nnapi, "--disable_nnapi_cpu=true"]
    assert tool.unit("npu", lossy=True, accelerator="qti-dsp") == [*nnapi, "--nnapi_accelerator_name=qti-dsp"]
    assert tool.probe() == ["--report_peak_memory_footprint=true", "--enable_op_profiling=true"]


def test_the_tool_of_compiled_models_is_asked_in_its_own_words() -> None:
    tool = read_help(COMPILED)
    assert (tool.feeds, tool.writes, tool.io(INPUTS, "/data/out.bin")) == (False, False, [])
    assert tool.unit("cpu", lossy=True, accelerator=None) == ["--use_cpu=true"]
    assert tool.unit("gpu", lossy=False, accelerator=None) == ["--use_gpu=true", "--gpu-precision=fp32"]
    assert tool.unit("gpu", lossy=True, accelerator=None) == ["--use_gpu=true", "--gpu-precision=fp16"]
    assert tool.probe() == ["--report_peak_memory_footprint=true", "--use_profiler=true"]
    with pytest.raises(RuntimeFailure, match=r"has no NNAPI.*--unit cpu,gpu"):
        tool.unit("npu", lossy=True, accelerator=None)


def test_a_build_without_a_unit_says_so() -> None:
    with pytest.raises(RuntimeFailure, match="does not know --use_gpu; --benchmark-model names another build"):
        Dialect(frozenset({"graph"})).unit("gpu", lossy=True, accelerator=None)


@pytest.mark.parametrize("said", ["", "exec format error", "usage: other [--verbose]\n  --verbose  talk more\n"])
def test_anything_but_a_benchmark_model_is_refused(said: str) -> None:
    with pytest.raises(RuntimeFailure, match="does not answer --help as benchmark_model does"):
        read_help(said)


def test_whatever_is_chosen_is_known(tmp_path: Path) -> None:
    for text in (INTERPRETER, COMPILED):
        tool = read_help(text)
        units = ("cpu", "gpu", "npu") if "use_nnapi" in tool.known else ("cpu", "gpu")
        chosen = [flag for unit in units for flag in tool.unit(unit, lossy=True, accelerator=None)]
        for flag in (*chosen, *tool.probe(), *tool.io(INPUTS, str(tmp_path))):
            assert flag.removeprefix("--").partition("=")[0] in tool.known
