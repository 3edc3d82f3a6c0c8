"""The server of adb that clearport starts where none runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clearport.errors import ClearportError
from clearport.runtime.devices.adb import shell as adb_shell


def test_where_no_server_runs_ours_serves_and_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        adb = adb_shell.program()
    except ClearportError as error:
        pytest.skip(str(error))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    monkeypatch.setenv("HOME", str(tmp_path))
    with adb_shell.server(adb) as called:
        assert adb_shell.attached(called) == []
        place = Path(called[2].partition(":")[2])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
        assert not adb_shell._server_runs(), "the user's own port stays free"
    assert not place.exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1.0)
