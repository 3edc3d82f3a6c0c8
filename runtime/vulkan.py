"""The Vulkan devices of this machine, and which driver WebGPU runtimes are to use.

Devices are asked for in a process of their own, because a driver may crash. WebGPU runtimes do not say whether their
GPU is one: where every device is a processor (llvmpipe, SwiftShader), what they run is emulated.

This file is also that process: it is run by its path, and so imports nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "VK_DRIVER_FILES"
SWIFTSHADERS = (
    Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
    Path("/usr/lib64/chromium-browser/vk_swiftshader_icd.json"),
    Path("/opt/google/chrome/vk_swiftshader_icd.json"),
)
"""Where packages of Chromium keep the one software driver that has all that WebGPU asks for."""

_KINDS = ("other", "integrated", "discrete", "virtual", "cpu")
"""``VkPhysicalDeviceType``."""
_LIBRARY = "libvulkan.so.1"
_NO_LOADER = 3
"""Exit code of the probe where the Vulkan loader itself is missing."""
NO_DRIVER = "there is no Vulkan driver for a device of this machine"
_PROBE_S = 60.0
_KIND_OFFSET, _NAME_OFFSET, _NAME_LENGTH, _PROPERTIES = 16, 20, 256, 4096
"""Of ``VkPhysicalDeviceProperties``; its 824 bytes are given room to grow."""


@dataclass(frozen=True)
class VulkanDevice:
    """A device by the driver's own word; ``kind`` is ``cpu`` where software does its work."""

    name: str
    kind: str


@dataclass(frozen=True)
class Vulkan:
    """What a machine has: its devices, and the driver file to name for them; or ``obstacle``, why there are none."""

    devices: tuple[VulkanDevice, ...] = ()
    driver: Path | None = None
    obstacle: str | None = None

    @property
    def emulated(self) -> str | None:
        """What stands in for a GPU; None: there is one."""
        if not self.devices or any(device.kind != "cpu" for device in self.devices):
            return None
        return f"{self.devices[0].name} (software Vulkan)"


def on_linux() -> bool:
    """Whether Vulkan is what GPUs are reached by here; macOS has Metal and Windows Direct3D."""
    return sys.platform == "linux"


def installed(driver: Path | None = None) -> Vulkan:
    """The devices of the drivers that are installed, or that ``VK_DRIVER_FILES`` names, or of one driver."""
    return _ask(None if driver is None else str(driver), os.environ.get(VARIABLE), os.environ.get("VK_ICD_FILENAMES"))


def for_webgpu() -> Vulkan:
    """The drivers that are installed where one of them has a GPU or the user chose them, else SwiftShader if there.

    Mesa's llvmpipe comes last: up to Mesa 22.3 it lacks what WebGPU asks for.
    """
    found = installed()
    if VARIABLE in os.environ or "VK_ICD_FILENAMES" in os.environ or any(d.kind != "cpu" for d in found.devices):
        return found
    for path in SWIFTSHADERS:
        if path.is_file() and (software := installed(path)).devices:
            return software
    if found.devices:
        return found
    hint = f"Debian's package chromium brings SwiftShader, and {VARIABLE} may name a driver"
    return Vulkan(obstacle=f"{found.obstacle}; {hint}")


def choose_for_webgpu() -> None:
    """Let this process's Vulkan use the drivers of ``for_webgpu``; to be called before a runtime starts Vulkan."""
    driver = for_webgpu().driver if on_linux() else None
    if driver is not None:
        os.environ[VARIABLE] = str(driver)


@functools.cache
def _ask(driver: str | None, *_chosen: str | None) -> Vulkan:
    """The answer for one state of the environment."""
    environment = os.environ | ({VARIABLE: driver} if driver else {})
    command = [sys.executable, "-I", __file__]
    path = Path(driver) if driver else None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_S, check=False, env=environment, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return Vulkan(driver=path, obstacle=f"the Vulkan driver gave no answer within {_PROBE_S:g} s")
    if done.returncode == _NO_LOADER:
        return Vulkan(driver=path, obstacle=f"{NO_DRIVER}: {done.stderr.strip()}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        how = f"code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        return Vulkan(driver=path, obstacle=f"asking the Vulkan drivers for devices failed ({how}): {last}")
    devices = tuple(VulkanDevice(**device) for device in json.loads(done.stdout))
    return Vulkan(devices, path, None if devices else NO_DRIVER)


def _enumerate() -> list[dict[str, str]]:
    """Every physical device of every driver.

    Raises:
        OSError: there is no Vulkan loader.
    """
    vulkan = ctypes.CDLL(_LIBRARY)
    instance = ctypes.c_void_p()
    create_info = (ctypes.c_uint64 * 8)(1)  # VkInstanceCreateInfo: its type, and nothing asked for
    if vulkan.vkCreateInstance(create_info, None, ctypes.byref(instance)) != 0:
        return []
    count = ctypes.c_uint32()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    found = []
    for handle in handles[: count.value]:
        properties = ctypes.create_string_buffer(_PROPERTIES)
        vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
        kind = int.from_bytes(properties.raw[_KIND_OFFSET:_NAME_OFFSET], sys.byteorder)
        name = properties.raw[_NAME_OFFSET : _NAME_OFFSET + _NAME_LENGTH].partition(b"\0")[0]
        found.append({"name": name.decode(errors="replace"), "kind": _KINDS[kind] if kind < len(_KINDS) else "other"})
    return found


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_enumerate()))
    except OSError as error:
        sys.stderr.write(f"the loader {_LIBRARY} cannot be used (Debian: apt install libvulkan1): {error}")
        sys.exit(_NO_LOADER)
