"""What phones say of themselves, on texts that users published, and adb's listing of them."""

from __future__ import annotations

import pytest

from clearport.runtime.devices.adb import android
from clearport.runtime.devices.adb import shell as adb_shell

THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
\tTemperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=26.6, mType=0, mName=AP, mStatus=0}
\tTemperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
\tTemperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
\tTemperature{mValue=-99.9, mType=6, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=TYPE_CPU}
Temperature static thresholds from HAL:
\tTemperature{mValue=99.0, mType=0, mName=AP, mStatus=0}
"""
"""android.stackexchange.com/questions/246774, with the cooling devices and an absent sensor of other phones; the last
entry is no reading, and says 99 here to be found out."""

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  level: 87
  scale: 100
  status: 2
"""

PROPERTIES = """\
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
[ro.board.platform]: []
"""

LISTING = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
0A041FDD4003RC         device usb:1-1 product:shiba model:Pixel_8 device:shiba transport_id:1
emulator-5554          offline transport_id:2
R58M12ABCDE            unauthorized usb:1-2 transport_id:3
0123456789ABCDEF       no permissions (missing udev rules? user is in the plugdev group); see [...] usb:1-3 transport_id:4
192.168.1.20:37123     device product:shiba model:Pixel_8 device:shiba transport_id:5

"""  # noqa: E501  adb prints it on one line


def test_the_thermal_service_tells_status_and_present_temperatures() -> None:
    assert android.read_thermal(THERMAL) == ("none", {"AP": 26.6, "BAT": 23.8})
    assert android.read_thermal(THERMAL.replace("Status: 0\n", "Status: 3\n"))[0] == "severe"
    assert android.read_thermal("Can't find service: thermalservice") == ("", {})


def test_the_battery_tells_level_and_charger() -> None:
    assert android.read_battery(BATTERY) == "87 %, charging (USB)"
    assert android.read_battery(BATTERY.replace("USB powered: true", "USB powered: false")) == "87 %, not charging"
    assert android.read_battery("") is None


def test_properties_become_facts_and_empty_ones_are_missing() -> None:
    assert android.read_properties(PROPERTIES) == {
        "manufacturer": "Google",
        "model": "Pixel 8",
        "soc_manufacturer": "Google",
        "soc": "Tensor G3",
        "android": "14",
        "api_level": 34,
        "abis": ["arm64-v8a", "armeabi-v7a", "armeabi"],
    }


def test_every_attached_phone_is_listed_with_its_state() -> None:
    found = {phone.serial: phone for phone in adb_shell.read_listing(LISTING)}
    assert [(phone.state, phone.model) for phone in found.values()] == [
        ("device", "Pixel 8"),
        ("offline", ""),
        ("unauthorized", ""),
        ("no permissions", ""),
        ("device", "Pixel 8"),
    ]
    assert found["0A041FDD4003RC"].obstacle is None
    assert found["192.168.1.20:37123"].obstacle is None


@pytest.mark.parametrize(
    ("serial", "advice"),
    [
        ("R58M12ABCDE", "Allow USB debugging"),
        ("emulator-5554", "plug it in again"),
        ("0123456789ABCDEF", "udev rules"),
    ],
)
def test_a_phone_that_cannot_be_used_says_what_to_do(serial: str, advice: str) -> None:
    phone = next(phone for phone in adb_shell.read_listing(LISTING) if phone.serial == serial)
    assert phone.obstacle is not None
    assert advice in phone.obstacle


def test_an_unknown_state_is_quoted() -> None:
    assert adb_shell.explain("rescue") == "adb says 'rescue'"
