"""Arm's Ethos-U accelerators, Vela's system configurations for them, and their addresses.

Vela's estimates depend on clock and memories as much as on the accelerator. The defaults are Vela 5.2.0's, from its
``Arm/vela.ini``:

========= ==== ============================ ==================== ========================================
family    MHz  system configuration         memory mode          arena
========= ==== ============================ ==================== ========================================
Ethos-U55  500 Ethos_U55_High_End_Embedded  Shared_Sram          SRAM, 4 GB/s; weights in flash, 0.5 GB/s
Ethos-U65 1000 Ethos_U65_Client_Server      Dedicated_Sram_384KB DRAM, 12 GB/s, behind 384 KiB of SRAM
Ethos-U85 1000 Ethos_U85_SYS_DRAM_Mid       Dedicated_Sram_384KB DRAM, 12 GB/s, behind 384 KiB of SRAM
========= ==== ============================ ==================== ========================================

Other boards are specified after the chip: ``ethos-u:u65-256,system=Ethos_U65_High_End``, or with a configuration file:
``ethos-u:u55-128,config=board.ini,system=Board,memory=Board_Sram,sram=2097152``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from clearport.errors import BadInput

FAMILY = "ethos-u"
ARM_CONFIG = "Arm/vela.ini"
"""The name by which Vela finds its default configuration file."""


@dataclass(frozen=True)
class Host:
    """The processor beside the accelerator, which runs unsupported operators.

    Attributes:
        name: name of the core.
        clock_hz: usual clock beside that accelerator.
        macs_per_cycle: int8 multiply-adds per cycle, half of its vector unit's peak.
        cycles_per_value: cycles of a loop that computes an address, loads, changes and stores one value, as in the
            reference kernels of TensorFlow Lite Micro.
    """

    name: str
    clock_hz: float
    macs_per_cycle: float
    cycles_per_value: float


_M55 = Host("Cortex-M55", 500e6, 4, 8)
_A55 = Host("Cortex-A55", 1.7e9, 8, 4)
_M85 = Host("Cortex-M85", 1e9, 4, 6)


@dataclass(frozen=True)
class Chip:
    """An accelerator in a system.

    Attributes:
        name: such as ``u55-256``: series and multiply-adds per cycle.
        system, memory: sections of the configuration file.
        config: the configuration file.
        host: the processor beside it.
        sram_bytes: SRAM available for the arena; None if the arena is in DRAM.
        sram_of: a chip with that amount of SRAM.
    """

    name: str
    system: str
    memory: str
    host: Host
    config: str = ARM_CONFIG
    sram_bytes: int | None = None
    sram_of: str = ""

    @property
    def accelerator(self) -> str:
        """Vela's name for it."""
        return f"ethos-{self.name}"

    @property
    def title(self) -> str:
        series, macs = self.name.split("-")
        return f"Arm Ethos-{series.upper()}, {macs} multiply-adds per cycle"


def _chips() -> tuple[Chip, ...]:
    u55 = [
        Chip(
            f"u55-{macs}",
            "Ethos_U55_High_End_Embedded",
            "Shared_Sram",
            _M55,
            sram_bytes=4 << 20,
            sram_of="Arm's Corstone-300 (two banks of 2 MiB)",
        )
        for macs in (32, 64, 128, 256)
    ]
    u65 = [Chip(f"u65-{n}", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB", _A55) for n in (256, 512)]
    u85 = [
        Chip(f"u85-{n}", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", _M85) for n in (128, 256, 512, 1024, 2048)
    ]
    return (*u55, *u65, *u85)


CHIPS = {chip.name: chip for chip in _chips()}


def parse(address: str) -> Chip:
    """The chip of ``ethos-u:NAME[,system=...][,memory=...][,config=FILE][,sram=BYTES]``.

    Raises:
        BadInput: unknown chip or setting.
    """
    family, _, rest = address.partition(":")
    name, *settings = rest.split(",")
    if family != FAMILY or name not in CHIPS:
        near = difflib.get_close_matches(name, CHIPS, n=1)
        hint = f"; did you mean {FAMILY}:{near[0]}?" if near else ""
        raise BadInput(f"{address}: no such Ethos-U{hint} (available: {FAMILY}: {', '.join(CHIPS)})")
    chip = CHIPS[name]
    for setting in settings:
        chip = _with(chip, setting, address)
    return chip


def _with(chip: Chip, setting: str, address: str) -> Chip:
    key, _, value = setting.partition("=")
    if key not in {"system", "memory", "config", "sram"} or not value:
        raise BadInput(f"{address}: {setting!r} is not a setting (expected system=, memory=, config= or sram=)")
    if key == "config":
        if not Path(value).is_file():
            raise BadInput(f"{address}: no configuration file {value}")
        return replace(chip, config=str(Path(value).absolute()))
    if key == "sram":
        if not value.isdecimal() or int(value) == 0:
            raise BadInput(f"{address}: sram={value}: expected a number of bytes, as in sram=2097152")
        return replace(chip, sram_bytes=int(value), sram_of="the address")
    return replace(chip, system=value) if key == "system" else replace(chip, memory=value)
