"""A file that stands for what only one process may hold at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from notifier.errors import Problem, StoreError, StoreLocked
from notifier.files import reason, unwritable


class Lock:
    """Held from `lock` until it is released or the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        """Owns the descriptor, whose file is locked."""
        self._descriptor: int | None = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets the next one have it; the file stays, because removing it would let two hold locks of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock(path: str | Path) -> Lock:
    """The lock that this file stands for, with our process id written in it.

    Raises:
        StoreLocked: another holds it; the error has its `pid`.
        StoreError: the file cannot be made or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(unwritable(error, path)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _pid_in(descriptor)
        os.close(descriptor)
        raise StoreLocked(str(path), pid) from None
    except OSError as error:
        os.close(descriptor)
        problem = Problem(f"it cannot be locked: {reason(error)}", "keep the store on a local disk", str(path))
        raise StoreError(problem) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return Lock(descriptor)


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).strip()
    return int(text) if text.isdigit() else None
