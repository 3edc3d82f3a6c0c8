"""Phones over adb, any number of them: ``adb:SERIAL``.

``--benchmark-model FILE`` measures TFLite files with LiteRT's tool, on CPU, GPU and NNAPI. If the phone has a Python
with runtimes, the other files run there in the usual workers. Everything pushed is removed at the end.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from clearport.errors import BadInput, ClearportError
from clearport.runtime.devices.adb.session import PhoneSession
from clearport.runtime.devices.adb.shell import AdbShell, attached, program, server
from clearport.runtime.devices.device import UNITS, DeviceLost, DeviceSession, Found, Settings
from clearport.runtime.devices.remote.stage import Stage

FAMILY = "adb"
_ANY = f"{FAMILY}:SERIAL"
FOLDER = "/data/local/tmp/clearport"
"""A folder in which adb's shell user may write and execute files on every Android version."""


class AdbDevice:
    """See ``clearport.runtime.devices.device.Device``."""

    name = FAMILY
    title = "Android phones over adb"

    def found(self) -> Sequence[Found]:
        try:
            adb = program()
            with server(adb) as called:
                phones = attached(called)
        except ClearportError as error:
            return [Found(_ANY, self.title, UNITS, obstacle=str(error))]
        if not phones:
            return [Found(_ANY, self.title, UNITS, {"adb": adb}, _NONE)]
        return [
            Found(f"{FAMILY}:{phone.serial}", phone.model or "phone", UNITS, {"adb": adb}, phone.obstacle)
            for phone in phones
        ]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        if not re.fullmatch(rf"{FAMILY}(:\S+)?", address):
            raise BadInput(f"--device {address}: expected {FAMILY} with one phone attached, or {_ANY}")

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        return _opened(address, settings)


_NONE = (
    "no phone is attached: switch on USB debugging in its developer options and plug it in, "
    "or: adb connect ADDRESS:PORT (wireless debugging)"
)


@contextlib.contextmanager
def _opened(address: str, settings: Settings) -> Iterator[DeviceSession]:
    serial = address.partition(":")[2]
    with server(program()) as adb:
        phones = {phone.serial: phone for phone in attached(adb)}
        if not serial and len(phones) == 1:
            serial = next(iter(phones))
        if serial not in phones:
            there = ", ".join(f"{FAMILY}:{name}" for name in phones)
            raise BadInput(f"--device {address}: " + (f"the phones are {there}" if there else _NONE))
        if obstacle := phones[serial].obstacle:
            raise DeviceLost(f"{FAMILY}:{serial}: {obstacle}")
        shell = AdbShell(adb, serial)
        shell.check()
        with Stage(shell, FOLDER) as stage:
            yield PhoneSession(shell, stage, settings)


DEVICE = AdbDevice()
