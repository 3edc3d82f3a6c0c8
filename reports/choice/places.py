"""Kinds of devices with their preferred files: the table behind "Which file to take".

``docs/generate`` writes the same table into the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A kind of device and unit.

    Attributes:
        title: as in ``Android phone, GPU``.
        wanted: keys of artifacts, in order of preference; other files are never recommended there.
        families: families of devices whose rows of ``clearport bench --record`` decide...
        units: ...if they ran on one of these units.
        machines: processors (``platform.machine()``) on which the bundle's own CPU times, and rows of ``host`` and
            ``ssh``, decide; empty: they do not, and rows of any processor count.
        measured_by: options of ``clearport bench BUNDLE`` that measure there; empty: run it on such a machine.
        integers: whether it is an integer accelerator, where float layers fall back to a CPU.
    """

    title: str
    wanted: tuple[str, ...]
    families: tuple[str, ...]
    units: tuple[str, ...]
    measured_by: str
    machines: tuple[str, ...] = ()
    integers: bool = False


_APPLE = (
    *(f"coreml/{precision}/{variant}" for variant in ("image", "tensor") for precision in ("fp16", "int8-weights")),
    "coreai/fp16/image",
    "coreai/fp16",
    *(f"coreml/{precision}/{variant}" for variant in ("image", "tensor") for precision in ("int8", "fp32")),
    "coreai/int8/image",
    "coreai/int8",
    "coreai/fp32/image",
    "coreai/fp32",
)

PLACES = (
    Place("Android, CPU", ("tflite/int8", "tflite/fp16", "tflite/fp32"), ("adb",), ("cpu",), "--device adb:SERIAL"),
    Place(
        "Android, GPU",
        ("tflite/fp16", "tflite/fp32", "tflite/int8", "ncnn/fp16", "ncnn/fp32"),
        ("adb",),
        ("gpu",),
        "--device adb:SERIAL --unit gpu",
    ),
    Place(
        "Android, NPU",
        ("tflite/int8", "onnxruntime/int8", "onnxruntime/int8a16", "tflite/fp16"),
        ("adb", "htp"),
        ("npu",),
        "--device adb:SERIAL --unit npu",
        integers=True,
    ),
    Place("iPhone, iPad, Mac", _APPLE, ("host",), ("cpu", "gpu", "npu"), "", ("arm64",)),
    Place(
        "PC with Intel or AMD, CPU",
        ("openvino/int8", "onnxruntime/int8", "openvino/fp16", "openvino/fp32", "onnxruntime/fp32", "tflite/int8"),
        ("host", "ssh"),
        ("cpu",),
        "",
        ("x86_64", "AMD64"),
    ),
    Place(
        "Board with an Arm CPU",
        ("tflite/int8", "ncnn/fp16", "onnxruntime/int8", "ncnn/fp32", "tflite/fp16", "tflite/fp32", "onnxruntime/fp32"),
        ("ssh", "host"),
        ("cpu",),
        "--device ssh:USER@BOARD",
        ("aarch64", "armv7l"),
    ),
    Place("GPU with Vulkan", ("ncnn/fp16", "ncnn/fp32"), ("host",), ("gpu",), "--unit gpu"),
    Place(
        "Browser",
        ("tflite/int8", "onnxruntime/int8", "tflite/fp16", "tflite/fp32", "onnxruntime/fp32"),
        ("browser",),
        ("cpu", "gpu", "npu"),
        "--device browser:chromium",
    ),
    Place(
        "Microcontroller, Ethos-U NPU",
        ("tflite/int8",),
        ("ethos-u",),
        ("npu",),
        "--device ethos-u:u85-256",
        integers=True,
    ),
)

_INT8_ON_CPUS = "int8 is a quarter of the bytes of fp32, and usually faster on CPUs."
WHY = {
    "Android, CPU": _INT8_ON_CPUS,
    "Android, GPU": "LiteRT computes in float16 on GPUs unless told otherwise: fp16 is half the size of fp32.",
    "Android, NPU": "NPUs of phones support int8, but not all of them float16.",
    "iPhone, iPad, Mac": "The Neural Engine computes in float16.",
    "PC with Intel or AMD, CPU": _INT8_ON_CPUS,
    "Board with an Arm CPU": _INT8_ON_CPUS,
    "GPU with Vulkan": "ncnn runs it on any GPU with Vulkan, and on CPUs, without further libraries.",
    "Browser": "WebAssembly runs it in any browser.",
    "Microcontroller, Ethos-U NPU": "Its compiler, Vela, supports int8 TFLite files only.",
}
"""Argument for a place's preferred precision, for any runtime. Measurements are stated before it."""

OF_A_FILE = {
    "coreml/int8-weights": "small, and runs on the Neural Engine, since it computes in float16",
    "coreml/int8": "follows the scale table exactly, in float32, which Core ML runs on CPU and GPU only",
    "coreml/fp32": "most accurate; Core ML runs it on CPU and GPU, never on the Neural Engine",
    "coreai/fp16": "for iOS and macOS 27 and later",
    "coreai/int8": "for iOS and macOS 27 and later",
    "coreai/fp32": "for iOS and macOS 27 and later",
    "tflite/fp32": "most accurate, and the largest",
    "onnxruntime/int8": "where ONNX Runtime is there already",
    "onnxruntime/int8a16": "on Qualcomm's HTP if int8 costs too much quality; CPUs run it no faster than fp32",
    "onnxruntime/fp32": "where ONNX Runtime is there already",
    "openvino/int8": "with OpenVINO's library",
    "ncnn/fp16": "if the app has ncnn already; newer Arm CPUs and GPUs compute in float16",
    "ncnn/fp32": "where ncnn is there already",
    "tflite/fp16": "on a GPU, or if int8 costs too much quality",
    "tflite/int8": "on CPUs and NPUs",
    "coreml/fp16": "if quality matters more than size",
}
"""Use of a file of ``target/precision`` as a second choice."""
