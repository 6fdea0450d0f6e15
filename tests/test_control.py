from __future__ import annotations

import asyncio
import os
import socket
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier import control
from notifier.errors import NotifierError, Problem, StoreError


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


async def test_a_store_that_failed_is_told_apart_from_what_is_not_so(tmp_path: Path) -> None:
    async def handler(_: dict[str, Any]) -> dict[str, Any]:
        raise StoreError([Problem("the store failed", "make room"), Problem("and more")])

    path = control.socket_path(tmp_path / "notifier.db")
    server = await control.serve(path, handler)
    with pytest.raises(StoreError) as told:
        await control.call(path, {})
    assert list(map(str, told.value.problems)) == ["the store failed; make room", "and more"]
    server.close()


async def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE", timedelta(seconds=0.2))
    path = control.socket_path(tmp_path / "notifier.db")
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(path))
        stopped.listen()
        with pytest.raises(StoreError, match="does not answer; see whether it was stopped"):
            await control.call(path, {"do": "status"})


async def test_a_daemon_that_ends_meanwhile_is_told_of(tmp_path: Path) -> None:
    path = control.socket_path(tmp_path / "notifier.db")

    async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(end, path)
    with pytest.raises(StoreError, match="ended before it answered"):
        await control.call(path, {"do": "status"})
    server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_daemon_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: dict[str, Any]) -> dict[str, Any]:
        return {}

    monkeypatch.chdir(tmp_path)  # whose parents are closed to others
    tmp_path.chmod(0o755)
    server = await control.serve(Path("notifier.sock"), handler)
    os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match="of another user listens here; run this command as that user"):
            await control.call(Path("notifier.sock"), {"do": "status"})
    finally:
        os.seteuid(0)
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
