"""Addresses of Ethos-U chips, what Vela prints, and the price of what it leaves to the CPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime.devices.device import Settings
from clearport.runtime.devices.ethosu import chips as vela_chips
from clearport.runtime.devices.ethosu import compile as vela_compile
from clearport.runtime.devices.ethosu import price as vela_price
from clearport.runtime.devices.ethosu.family import DEVICE
from clearport.runtime.devices.ethosu.price import Work

HOST = vela_chips.CHIPS["u55-256"].host


def test_an_address_names_a_chip_and_its_board(tmp_path: Path) -> None:
    plain = vela_chips.parse("ethos-u:u65-512")
    assert (plain.accelerator, plain.system, plain.memory) == (
        "ethos-u65-512",
        "Ethos_U65_Client_Server",
        "Dedicated_Sram_384KB",
    )
    config = tmp_path / "board.ini"
    config.touch()
    board = vela_chips.parse(f"ethos-u:u55-128,config={config},system=Board,memory=Own,sram=2097152")
    assert (board.config, board.system, board.memory, board.sram_bytes) == (str(config), "Board", "Own", 2 << 20)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ethos-u:u55-512", "did you mean ethos-u:u85-512?"),
        ("ethos-u:", "no such Ethos-U"),
        ("other:u55-256", "no such Ethos-U"),
        ("ethos-u:u55-256,clock=5", "is not a setting"),
        ("ethos-u:u55-256,system=", "is not a setting"),
        ("ethos-u:u55-256,sram=much", "expected a number of bytes"),
        ("ethos-u:u55-256,config=/no/where.ini", "no configuration file"),
    ],
)
def test_addresses_that_are_none(address: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)), DEVICE.open(address, Settings()):
        pass


def test_why_operators_stay_on_the_cpu() -> None:
    said = (
        "Warning (supported operators) operator: RESIZE_BILINEAR, ofm: 'up'\n"
        "Reason: Scaling matches and operation has unsupported scale-factor=4\n\n"
        "Warning (supported operators) operator: DEPTH_TO_SPACE, ofm: 'it's out'\nReason: Unsupported opType\n"
    )
    assert vela_compile.refusals(said) == {
        "up": "Scaling matches and operation has unsupported scale-factor=4",
        "it's out": "Unsupported opType",
    }
    assert vela_compile.refusals("Network summary\n") == {}


works = st.builds(
    Work,
    values=st.integers(0, 10**8),
    macs=st.integers(0, 10**11),
    traffic_bytes=st.integers(0, 10**9),
    floating=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no reason to fail
@given(works, st.integers(1, 10**9))
def test_more_work_never_costs_less(work: Work, more: int) -> None:
    price = vela_price.price_ms(work, HOST, 4e9)
    for dearer in (
        replace(work, values=work.values + more),
        replace(work, macs=work.macs + more),
        replace(work, traffic_bytes=work.traffic_bytes + more),
        replace(work, floating=True),
    ):
        assert vela_price.price_ms(dearer, HOST, 4e9) >= price


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(works, st.floats(1e8, 1e11))
def test_a_price_is_no_less_than_the_traffic_takes(work: Work, bandwidth: float) -> None:
    assert vela_price.price_ms(work, HOST, bandwidth) >= work.traffic_bytes / bandwidth * 1e3


def test_the_price_of_moving_a_full_hd_picture() -> None:
    """2.07 million pixels of three values, 8 cycles each at 500 MHz."""
    values = 1920 * 1080 * 3
    assert vela_price.price_ms(Work(values, 0, 2 * values, floating=False), HOST, 4e9) == pytest.approx(99.5, abs=0.1)


def test_vela_refuses_files_that_are_not_models(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"\0" * 64)
    with pytest.raises(RuntimeFailure, match=r"compiling x\.tflite for ethos-u55-256: ended with exit code"):
        vela_compile.compile_file(path, vela_chips.CHIPS["u55-256"], tmp_path / "out", 60.0)


def test_vela_is_ended_when_it_takes_too_long(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"no answer within 0\.01 s"):
        vela_compile.compile_file(tmp_path / "x.tflite", vela_chips.CHIPS["u55-256"], tmp_path / "out", 0.01)


def test_every_chip_is_listed_with_its_compiler() -> None:
    found = DEVICE.found()
    assert {device.address for device in found} == {f"ethos-u:{name}" for name in vela_chips.CHIPS}
    assert all(device.units == ("npu",) for device in found)
    assert all(device.obstacle is None and device.parts["ethos-u-vela"] for device in found)


def test_without_vela_the_list_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearport.runtime.devices.ethosu.family.PACKAGE", "no-such-package")
    assert all("pip install 'clearport[ethosu]'" in str(device.obstacle) for device in DEVICE.found())
