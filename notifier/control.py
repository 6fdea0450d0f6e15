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
from datetime import timedelta
from pathlib import Path
from typing import Any

from notifier.errors import NotifierError, Problem, StoreError

Request = dict[str, Any]
Handler = Callable[[Request], Awaitable[dict[str, Any]]]

PATIENCE = timedelta(minutes=2)  # an import of a hundred thousand subscribers takes seconds
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
                problems = [str(problem) for problem in error.problems]
                response = {"problems": problems, "is_store": isinstance(error, StoreError)}
            writer.write(json.dumps(response).encode() + b"\n")
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)  # the store's lock is ours, so a socket that is still there is a dead daemon's
    server = await asyncio.start_unix_server(answer, path, limit=_LIMIT)
    path.chmod(0o600)
    return server


async def call(path: Path, request: Request) -> dict[str, Any] | None:
    """The daemon's answer, or None where none runs.

    Raises:
        NotifierError: the daemon's problems; as StoreError where its store failed, or where it is of another user, or
            says nothing for `PATIENCE`, or ends before it has answered.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        told = Problem(
            "the daemon of another user listens here", "run this command as that user, or as root", str(path)
        )
        raise StoreError(told) from error
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(PATIENCE.total_seconds()):
            response: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
    except TimeoutError as error:
        told = Problem(
            "the daemon is there and does not answer", "see whether it was stopped, or restart it", str(path)
        )
        raise StoreError(told) from error
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        told = Problem("the daemon ended before it answered", "look at its log, and ask again", str(path))
        raise StoreError(told) from error
    finally:
        writer.close()
    if "problems" in response:
        problems = [Problem(told) for told in response["problems"]]
        raise StoreError(problems) if response["is_store"] else NotifierError(problems)
    return response
