"""The command line's line to the running daemon: one JSON object each way over a unix socket beside the store.

Only one process may write the ledger, so what a person asks of it goes through the daemon while one runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from notifier.errors import NotifierError

Request = dict[str, Any]
Handler = Callable[[Request], Awaitable[dict[str, Any]]]

_LIMIT = 64 * 1024 * 1024  # an import of a hundred thousand subscribers is one request
_LONGEST_PATH = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere


def socket_path(store: Path) -> Path:
    """Where the daemon of this store listens: beside it, or in the temporary folder where that path is too long."""
    path = store.absolute().with_suffix(".sock")
    if len(bytes(path)) <= _LONGEST_PATH:
        return path
    return Path(tempfile.gettempdir()) / f"notifier-{hashlib.sha256(bytes(path)).hexdigest()[:16]}.sock"


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Answers requests on this socket, readable by its owner only; an error of ours is answered with its problems."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = json.loads(await reader.readuntil(b"\n"))
            try:
                response = await handler(request)
            except NotifierError as error:
                response = {"problems": [str(problem) for problem in error.problems]}
            writer.write(json.dumps(response).encode() + b"\n")
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)  # the store's lock is ours, so a socket that is still there is a dead daemon's
    server = await asyncio.start_unix_server(answer, path, limit=_LIMIT)
    path.chmod(0o600)
    return server


async def call(path: Path, request: Request) -> dict[str, Any] | None:
    """The daemon's answer, or None where none runs. Raises NotifierError with the daemon's problems."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    writer.write(json.dumps(request).encode() + b"\n")
    response: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
    writer.close()
    if "problems" in response:
        raise NotifierError("\n".join(response["problems"]))
    return response
