from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from notifier import control
from notifier.errors import NotifierError, Problem


async def test_the_daemon_answers_what_it_is_asked(tmp_path: Path) -> None:
    async def handler(request: dict[str, Any]) -> dict[str, Any]:
        return {"echo": request["say"]}

    path = control.socket_path(tmp_path / "notifier.db")
    server = await control.serve(path, handler)
    assert await control.call(path, {"say": "你好\n" * 20000}) == {"echo": "你好\n" * 20000}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.close()


async def test_an_error_of_ours_is_told_to_the_one_who_asked(tmp_path: Path) -> None:
    async def handler(_: dict[str, Any]) -> dict[str, Any]:
        raise NotifierError(Problem("it is not so", "do otherwise"))

    path = control.socket_path(tmp_path / "notifier.db")
    server = await control.serve(path, handler)
    with pytest.raises(NotifierError, match="it is not so; do otherwise"):
        await control.call(path, {})
    server.close()


async def test_where_no_daemon_runs_there_is_no_answer(tmp_path: Path) -> None:
    path = control.socket_path(tmp_path / "notifier.db")
    assert await control.call(path, {}) is None
    path.touch()
    assert await control.call(path, {}) is None


async def test_a_dead_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    async def handler(_: dict[str, Any]) -> dict[str, Any]:
        return {}

    path = control.socket_path(tmp_path / "notifier.db")
    path.touch()
    server = await control.serve(path, handler)
    assert await control.call(path, {}) == {}
    server.close()


def test_a_path_too_long_for_a_socket_is_shortened(tmp_path: Path) -> None:
    long = control.socket_path(tmp_path / ("x" * 120) / "notifier.db")
    assert len(bytes(long)) <= 100
    assert long != control.socket_path(tmp_path / ("y" * 120) / "notifier.db")
