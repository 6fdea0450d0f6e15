"""A talk list, file or page, that the daemon looks at on every tick."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar

from notifier import files, webpages
from notifier.errors import Problem, SourceError

SETTLE = timedelta(seconds=2)  # a file unchanged for so long is taken to be written to its end
LONGEST_PAUSE = timedelta(hours=1)
PATIENCE = timedelta(seconds=10)  # with a disk; a network drive may not answer for hours

T = TypeVar("T")


class _Source(Protocol):
    """A place that is looked at again and again."""

    async def is_ready(self, now: datetime) -> bool:
        """Whether a look now would see something whole, and is not too soon after the last."""
        ...

    async def changed(self, now: datetime) -> bytes | None:
        """The content, or None where it surely is what it was. Raises SourceError where it cannot be read."""
        ...

    async def read(self) -> bytes:
        """The content at once. Raises SourceError where it cannot be read."""
        ...


class Watched:
    """A talk list, file or page, that the daemon looks at on every tick."""

    def __init__(self, source: str, *, every: timedelta) -> None:
        """Watches the source; a page is asked for at most once in `every`."""
        self._source: _Source = _Page(source, every) if webpages.is_page(source) else _File(Path(source))
        self._digest = b""
        self._trouble: tuple[Problem, ...] = ()

    async def read(self) -> bytes:
        """The content at once, even where it is what it was. Raises SourceError where it cannot be read."""
        data = await self._source.read()
        self._is_news(data)
        return data

    async def poll(self, now: datetime) -> bytes | None:
        """The content where it is not what was given last, or where a trouble that was told of is over.

        Raises:
            SourceError: it cannot be read; once for each new trouble, and None from then on.
        """
        if not await self._source.is_ready(now):
            return None
        try:
            data = await self._source.changed(now)
        except SourceError as error:
            self._digest = b""
            before, self._trouble = self._trouble, error.problems
            if before == error.problems:
                return None
            raise
        return data if data is not None and self._is_news(data) else None

    def _is_news(self, data: bytes) -> bool:
        self._trouble = ()
        before, self._digest = self._digest, hashlib.sha256(data).digest()
        return before != self._digest


class _File:
    """A file is read when it has been the same at two looks at least `SETTLE` apart, so never half written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Stamp | Problem | None = None
        self._read: _Stamp | None = None
        self._since = datetime.min.replace(tzinfo=UTC)
        self._turn = asyncio.Lock()
        self._hanging: Thread | None = None

    async def is_ready(self, now: datetime) -> bool:
        seen: _Stamp | Problem
        try:
            seen = await self._look(_stamp)
        except SourceError as error:
            (seen,) = error.problems
        if seen != self._seen:
            self._seen, self._since = seen, now
        return abs(now - self._since) >= SETTLE  # abs, because the clock may have been set back meanwhile

    async def changed(self, now: datetime) -> bytes | None:
        if isinstance(self._seen, Problem):
            self._read = None
            raise SourceError(self._seen)
        if self._seen == self._read:
            return None
        data = await self._look(files.read)
        if await self._look(_stamp) != self._seen:
            return None  # written to while it was read: the next look sees that, and waits
        self._read = self._seen
        return data

    async def read(self) -> bytes:
        seen = await self._look(_stamp)
        if isinstance(seen, Problem):
            raise SourceError(seen)
        return await self._look(files.read)

    async def _look(self, what: Callable[[Path], T]) -> T:
        """What there is at the path. Raises SourceError where that is not known within `PATIENCE`.

        In a thread that the end of the process does not wait for, and in no second one while the first one hangs: or
        they would take the threads in which pages are rendered, one at every tick.
        """
        async with self._turn:
            if self._hanging is None or not self._hanging.is_alive():
                self._hanging, answer = _begun(what, self._path)
                await asyncio.wait((answer,), timeout=PATIENCE.total_seconds())
                if answer.done():
                    self._hanging = None
                    return answer.result()
                answer.cancel()
            told = Problem("its disk does not answer", "see to it, if it is a network drive", str(self._path))
            raise SourceError(told)


def _begun(what: Callable[[Path], T], path: Path) -> tuple[Thread, asyncio.Future[T]]:
    """A thread that looks at the path, and what it will say; nobody need be there to hear it any more."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(say: Callable[[Any], None], words: object) -> None:
        if not answer.done():
            say(words)

    def look() -> None:
        say: Callable[[Any], None]
        words: object
        try:
            found = what(path)
        except Exception as error:
            say, words = answer.set_exception, error
        else:
            say, words = answer.set_result, found
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, say, words)

    thread = Thread(target=look, name="talk list", daemon=True)
    thread.start()
    return thread, answer


_Stamp = tuple[int, int, int, int]


def _stamp(path: Path) -> _Stamp | Problem:
    """What changes whenever the file does, or why it cannot be read. A pipe is not opened: it might never end."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        return files.unreadable(error, path)
    if stat.S_ISDIR(status.st_mode):
        return files.unreadable(IsADirectoryError(), path)
    if not stat.S_ISREG(status.st_mode):
        return Problem("this is no regular file", "name the file itself", str(path))
    # The change time too, because `cp -p` and rsync set the modification time back.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class _Page:
    """A page is asked for at its interval, and ever more rarely while it fails; unchanged, it costs an answer 304."""

    def __init__(self, url: str, every: timedelta) -> None:
        self._url = url
        self._every = every
        self._conditions: dict[str, str] = {}
        self._failures = 0
        self._asked: datetime | None = None
        self._pause = every

    async def is_ready(self, now: datetime) -> bool:
        return self._asked is None or abs(now - self._asked) >= self._pause

    async def changed(self, now: datetime) -> bytes | None:
        self._asked = now
        conditions, self._conditions = self._conditions, {}  # after a failure the whole page is wanted again
        self._failures += 1
        self._pause = max(self._every, min(self._every * 2 ** min(self._failures, 10), LONGEST_PAUSE))
        answer = await webpages.get(self._url, conditions)
        self._pause = max(self._pause, webpages.retry_after(answer, now))
        data = None if answer.status == 304 and conditions else webpages.body_of(answer, self._url)
        self._failures, self._pause = 0, self._every
        self._conditions = conditions if data is None else _conditions(answer.headers)
        return data

    async def read(self) -> bytes:
        answer = await webpages.get(self._url, {})
        data = webpages.body_of(answer, self._url)
        self._conditions = _conditions(answer.headers)
        return data


def _conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """What makes the server answer 304 to a page that is still the same (RFC 9110 section 13.1)."""
    pairs = (("If-None-Match", headers.get("etag")), ("If-Modified-Since", headers.get("last-modified")))
    return {name: value for name, value in pairs if value}
