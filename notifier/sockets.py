"""Addresses → sockets to listen at: those that systemd hands over, host and port, or a path."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from notifier.errors import ListenError, Problem

_ADVICE = {
    errno.EADDRINUSE: "stop the program that listens there, or choose another address",
    errno.EACCES: "choose a port above 1023, or let systemd open this one",
    errno.EADDRNOTAVAIL: "choose an address of this machine",
}
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


def inherited() -> list[socket.socket]:
    """The sockets that systemd has opened for this process (sd_listen_fds(3)), once."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_FDNAMES", "")
    sockets = [socket.socket(fileno=_FIRST_INHERITED + n) for n in range(count)]
    for sock in sockets:
        sock.set_inheritable(False)
    return sockets


async def bind(addresses: Sequence[str]) -> list[socket.socket]:
    """One or more sockets for each address, or none at all.

    An address is `host:port`, `[::1]:port` or `unix:/path`. Raises ListenError with every one that cannot be bound.
    """
    bound: list[socket.socket] = []
    problems = []
    for address in addresses:
        try:
            path = address.removeprefix("unix:")
            bound += [_bind_path(Path(path))] if path != address else await _bind_host(address)
        except (OSError, ValueError) as error:
            problems.append(_refusal(address, error))
    if problems:
        _close(bound)
        raise ListenError(problems)
    return bound


def _refusal(address: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, socket.gaierror):
        return Problem(f"{address} cannot be bound: no such host name", "write a name or number of this machine")
    if not isinstance(error, OSError) or error.errno is None:
        return Problem(f"'{address}' is no address to listen at: {error}", "write host:port, [::1]:port or unix:/path")
    advice = _ADVICE.get(error.errno, "choose another address")
    return Problem(f"{address} cannot be bound: {os.strerror(error.errno).lower()}", advice)


async def _bind_host(address: str) -> list[socket.socket]:
    """A socket for each address that the host name stands for: for localhost the one of IPv4 and the one of IPv6."""
    parts = urlsplit(f"//{address}")
    if not parts.hostname or parts.port is None:
        raise ValueError("it names no host" if parts.port is not None else "it names no port")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    failures: list[OSError] = []
    for family, _, _, _, at in dict.fromkeys(found):
        try:
            bound.append(socket.create_server(at, family=family))
        except OSError as error:
            failures.append(error)
    # A machine without IPv6 may still have it in its list of names.
    if grave := [f for f in failures if not bound or f.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)]:
        _close(bound)
        raise grave[0]
    return bound


def _bind_path(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with ExitStack() as undo:
        undo.callback(sock.close)
        sock.bind(str(path))
        path.chmod(0o660)  # nobody can have connected yet: the socket does not listen
        undo.pop_all()
    return sock


def _remove_stale(path: Path) -> None:
    """Removes the socket file of a program that has ended; that of one which answers is in use."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "somebody answers there")


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        if sock.family == socket.AF_UNIX:
            Path(sock.getsockname()).unlink(missing_ok=True)
        sock.close()


def written(sock: socket.socket) -> str:
    """Where it listens, as it is written in the settings."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
