"""The choice of Vulkan devices, also on machines without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clearport.runtime import vulkan
from clearport.runtime.vulkan import Vulkan, VulkanDevice

SOFTWARE, CARD = VulkanDevice("llvmpipe", "cpu"), VulkanDevice("A card", "discrete")


@pytest.mark.parametrize(
    ("devices", "emulated"),
    [((), None), ((CARD,), None), ((SOFTWARE, CARD), None), ((SOFTWARE,), "llvmpipe (software Vulkan)")],
)
def test_only_software_alone_is_an_emulation(devices: tuple[VulkanDevice, ...], emulated: str | None) -> None:
    assert Vulkan(devices).emulated == emulated


@pytest.mark.skipif(not vulkan.on_linux(), reason="Vulkan is how GPUs are reached on Linux")
def test_a_driver_that_the_user_named_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it gives no device and SwiftShader lies beside."""
    monkeypatch.setenv(vulkan.VARIABLE, str(tmp_path / "none.json"))
    found = vulkan.for_webgpu()
    assert not found.devices
    assert found.obstacle
    vulkan.choose_for_webgpu()
    assert os.environ[vulkan.VARIABLE] == str(tmp_path / "none.json")


@pytest.mark.skipif(not vulkan.on_linux(), reason="Vulkan is how GPUs are reached on Linux")
def test_a_driver_file_without_a_driver_has_no_devices(tmp_path: Path) -> None:
    driver = tmp_path / "broken.json"
    driver.write_text('{"file_format_version": "1.0.0", "ICD": {"library_path": "/nonexistent.so"}}')
    found = vulkan.installed(driver)
    assert (found.devices, found.driver) == ((), driver)
    assert found.obstacle


@pytest.mark.skipif(not vulkan.on_linux(), reason="Vulkan is how GPUs are reached on Linux")
@pytest.mark.parametrize("driver", [path for path in vulkan.SWIFTSHADERS if path.is_file()])
def test_swiftshader_is_a_processor_by_its_own_word(driver: Path) -> None:
    found = vulkan.installed(driver)
    if found.obstacle and "libvulkan" in found.obstacle:
        pytest.skip(found.obstacle)
    assert [device.kind for device in found.devices] == ["cpu"]
    assert (found.emulated or "").startswith("SwiftShader")
