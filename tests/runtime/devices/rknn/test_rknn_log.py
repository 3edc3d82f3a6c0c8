"""Parsing of Rockchip's toolkit log: table of layers, memory, and errors."""

from __future__ import annotations

from clearport.runtime.devices.rknn import family as on_rknn
from clearport.runtime.devices.rknn import log as rknn_log


def row(text: str) -> str:
    return f"D RKNN: [16:23:35.297] {text}\n"


def table(*rows: str) -> str:
    rule = row("-" * 120)
    heads = row(
        "ID   OpType             DataType Target InputShape   OutputShape  Cycles(DDR/NPU/Total)  RW(KB)  FullName"
    )
    return row("        Network Layer Information Table  ") + rule + heads + rule + "".join(map(row, rows)) + rule


IN = r"0    InputOperator      INT8     CPU    \            (1,3,64,64)   0/0/0    0    InputOperator:image"
CONV = "1    Conv     INT8     NPU    (1,3,64,64),(32,3,3,3),(32)   (1,32,64,64)  6267/36864/36864  16  Conv:conv1   "
NAMELESS = "2    Conv     FLOAT16  NPU    (1,3,64,64),(3,3,1,1),(3)     (1,3,64,64)   3299/16384/16384  12"
SPACE = "9    DepthToSpace       INT8     CPU    (1,27,64,64)   (1,3,192,192)  0/0/0   128   DepthToSpace:to_space1"
OUT = r"10   OutputOperator     INT8     CPU    (1,3,192,192)   \   0/0/0    108          OutputOperator:restored"
AFTER = row("1    Conv  image  INT8  NPU  NC1HWC2  (1,3,64,64)") + row("Total Internal Memory Size: 972KB")


def test_the_table_of_layers_says_what_is_left_to_the_cpu() -> None:
    found = rknn_log.layers("I rknn building ...\n" + table(IN, CONV, SPACE, OUT) + AFTER)
    assert found == (
        rknn_log.Layer("Conv", "INT8", "npu", "conv1"),
        rknn_log.Layer("DepthToSpace", "INT8", "cpu", "to_space1"),
    )
    assert rknn_log.per_unit(found) == {"npu": {"Conv": 1}, "cpu": {"DepthToSpace": 1}}
    assert rknn_log.precision(found) == "int8"
    assert rknn_log.memory_kib(AFTER + row("Total Weight Memory Size: 60.6875KB")) == {
        "internal": 972.0,
        "weight": 60.6875,
    }


def test_a_layer_may_have_no_name_and_another_precision() -> None:
    found = rknn_log.layers(table(IN, CONV, NAMELESS, OUT))
    assert [(layer.dtype, layer.name) for layer in found] == [("INT8", "conv1"), ("FLOAT16", "")]
    assert rknn_log.precision(found) == "int8+float16"


def test_of_two_tables_the_last_counts() -> None:
    assert [layer.operator for layer in rknn_log.layers(table(SPACE) + table(CONV))] == ["Conv"]


def test_where_nothing_was_said_nothing_is_known() -> None:
    assert rknn_log.layers("I rknn building done.\n" + row(CONV)) == ()
    assert (rknn_log.per_unit(()), rknn_log.precision(()), rknn_log.memory_kib("")) == ({}, "unknown", {})


def test_what_was_refused_without_its_tracebacks() -> None:
    said = (
        "\x1b[1;31mE\x1b[0m \x1b[1;31mload_onnx: Unsupport onnx opset 20, need <= 19!\x1b[0m\n"
        "I ===================== WARN(0) =====================\n"
        "\x1b[1;31mE\x1b[0m \x1b[1;31mrknn-toolkit2 version: 2.5.0\x1b[0m\n"
        "\x1b[1;31mE\x1b[0m \x1b[1;31mload_onnx: Traceback (most recent call last):\n"
        '  File "rknn/api/rknn_log.py", line 344\n'
        "E RKNN: [16:39:34.854] Meet unsupported conv, input tensor name: image\nError lines of others\n"
    )
    assert rknn_log.errors(said) == (
        "load_onnx: Unsupport onnx opset 20, need <= 19!",
        "Meet unsupported conv, input tensor name: image",
    )


def test_a_reason_has_no_progress_bars() -> None:
    message = (
        "rknn, opening /n.onnx: the runtime crashed (SIGABRT)\n  | I Loading : 100%|####| 18/18\n"
        "  | D RKNN: [16:39:34.854] start: OpEmit\n  | E RKNN: [16:39:34.854] Meet unsupported conv"
    )
    assert on_rknn.refusal(message) == (
        "rknn, opening /n.onnx: the runtime crashed (SIGABRT) | E RKNN: [16:39:34.854] Meet unsupported conv"
    )
    assert on_rknn.refusal("one line") == "one line"
