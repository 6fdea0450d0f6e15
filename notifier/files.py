"""The world's texts → bytes: files, pages of the web, the shipped templates; a watched talk list; the store's lock."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import ipaddress
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit, urlunsplit

from notifier import __version__
from notifier.errors import OutputError, Problem, SourceError, StoreError, StoreLocked, TemplateError

if TYPE_CHECKING:
    import httpx

LARGEST_FILE = 50_000_000
LARGEST_PAGE = 20_000_000
SETTLE = timedelta(seconds=2)  # a file unchanged for so long is taken to be written to its end
LONGEST_PAUSE = timedelta(hours=1)
LONGEST_RETRY_AFTER = timedelta(days=1)
MOST_REDIRECTS = 5
PATIENCE = timedelta(seconds=30)  # for a whole page: a timeout on each read alone never ends a trickle


# --- what is shipped -------------------------------------------------------------------------------------------------


def shipped(folder: str = "") -> dict[str, str]:
    """The shipped templates by path, such as `mail/reminder.txt`; only those in this folder where one is named."""
    return _texts(_home() / "templates", folder)


def overrides(path: str | Path) -> dict[str, str]:
    """The operator's templates by their path inside the operator's folder.

    Raises:
        SourceError: there is no such folder.
        TemplateError: a file in it is no text; every one that is not.
    """
    root = Path(path)
    if not root.is_dir():
        raise SourceError(Problem("there is no such folder", "make it, or mend the path", str(path)))
    return _texts(root)


def example_config() -> str:
    """The commented example of a config, with every option at its default."""
    return (_home() / "config.example.toml").read_text(encoding="utf-8")


def _home() -> Path:
    # A wheel carries the templates inside the package; a checkout, and an editable install of it, beside the package.
    package = Path(__file__).parent
    return package if (package / "templates").is_dir() else package.parent


def _texts(root: Path, folder: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for path in sorted((root / folder).rglob("*")):
        name = path.relative_to(root)
        if _is_left_by_an_editor(name) or path.is_dir():
            continue
        try:
            texts[name.as_posix()] = read(path).decode("utf-8-sig").replace("\r\n", "\n")
        except SourceError as error:
            problems += error.problems
        except UnicodeDecodeError:
            problems.append(Problem("this is no UTF-8 text", "save it as UTF-8, or take it away", str(path)))
    if problems:
        raise TemplateError(problems)
    return texts


def _is_left_by_an_editor(name: Path) -> bool:
    return name.name.endswith("~") or any(part.startswith(".") for part in name.parts)


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: str | Path) -> bytes:
    """The file's content; `-` is standard input. Raises SourceError where it cannot be read or is over 50 MB."""
    try:
        data = _read_stdin() if path == "-" else _read_file(path)
    except (OSError, ValueError) as error:
        raise SourceError(_unreadable(error, path)) from error
    if len(data) > LARGEST_FILE:
        raise SourceError(_too_large(LARGEST_FILE, str(path)))
    return data


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read(LARGEST_FILE + 1)


def _read_file(path: str | Path) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def write_atomically(path: str | Path, content: str | bytes, *, overwrite: bool) -> None:
    """Puts the content, on the disk and whole, where the file was or nothing was; readers never see a part of it.

    An existing file keeps its mode and, where we may, its owner; a symbolic link stays and its target is replaced.
    A device or pipe is written to. Raises OutputError where it cannot be, or where the file is there and
    `overwrite` is not set.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        status = _status(path)
        if status and not stat.S_ISREG(status.st_mode):
            Path(path).write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data, status, overwrite=overwrite)
    except (OSError, ValueError) as error:
        raise OutputError(_unwritable(error, path)) from error


def make_folder(path: str | Path) -> None:
    """Has the folder there, with those above it. Raises OutputError where it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(Problem("this is no folder", "name a folder", str(path))) from error
    except (OSError, ValueError) as error:
        raise OutputError(_unwritable(error, path)) from error


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes, status: os.stat_result | None, *, overwrite: bool) -> None:
    draft = target.with_name(f".notifier-{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            if status:  # before a byte is in it, so that a secret is never readable by more people than before
                _hand_over(file.fileno(), status)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not overwrite:
            target.touch(exist_ok=False)  # takes the name, or finds it taken, in one step
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _hand_over(descriptor: int, status: os.stat_result) -> None:
    with suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    # Without it a power cut may undo the rename. Some network file systems cannot; they order it themselves.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(error: OSError | ValueError, path: str | Path) -> Problem:
    source = "standard input" if path == "-" else str(path)
    match error:
        case FileNotFoundError():
            return Problem("there is no such file", "mend the path, or put the file there", source)
        case IsADirectoryError():
            return Problem("this is a folder", "name the file in it", source)
        case PermissionError():
            return Problem("it may not be read by this user", "give read permission, also on its folders", source)
        case _:
            return Problem(f"it cannot be read: {_words(error)}", "mend the path or the disk", source)


def _unwritable(error: OSError | ValueError, path: str | Path) -> Problem:
    match error:
        case FileExistsError():
            return Problem("there is such a file already", "move it away, or choose another name", str(path))
        case FileNotFoundError() | NotADirectoryError():
            return Problem("there is no such folder", "make it, or mend the path", str(path))
        case IsADirectoryError():
            return Problem("this is a folder", "name a file in it", str(path))
        case PermissionError():
            return Problem("this user may not write there", "give write permission on the folder", str(path))
        case _:
            return Problem(f"it cannot be written: {_words(error)}", "mend the path or the disk", str(path))


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _too_large(limit: int, source: str) -> Problem:
    return Problem(f"it is larger than {limit // 1_000_000} MB", "no talk list is; name the right file", source)


# --- pages of the web ------------------------------------------------------------------------------------------------


def is_page(source: str) -> bool:
    """Whether the source is a page of the web rather than a file."""
    return source.lower().startswith(("https://", "http://"))


async def fetch(url: str) -> bytes:
    """The page's bytes. Raises SourceError where it cannot be had whole, safely and in time."""
    return _body_of(await _get(url, {}), url)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def _get(url: str, conditions: Mapping[str, str]) -> _Answer:
    """What the server of this page, or the one it redirects to, answers."""
    import httpx  # 60 ms that only those pay whose talk list is a page

    headers = {"User-Agent": f"seminar-notifier/{__version__}", "Accept-Encoding": "identity", **conditions}
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()), httpx.AsyncClient() as client:
            return await _follow(client, client.build_request("GET", url, headers=headers), url)
    except TimeoutError as error:
        raise SourceError(_unreachable(f"no whole answer within {PATIENCE.total_seconds():g} s", url)) from error
    except httpx.InvalidURL as error:  # whose words may be a part of a password
        raise SourceError(Problem("this is no address of a page", "mend it", _shown(url))) from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise SourceError(_unreachable(f"it cannot be fetched: {_words(error)}", url)) from error


async def _follow(client: httpx.AsyncClient, request: httpx.Request, url: str) -> _Answer:
    scheme = request.url.scheme
    for _ in range(MOST_REDIRECTS + 1):
        if not _is_safe(request.url, scheme):
            raise SourceError(
                Problem("it is not sent over https", "give an https:// address", _shown(str(request.url)))
            )
        scheme = request.url.scheme
        response = await client.send(request, stream=True)
        async with aclosing(response):
            if response.next_request is None:
                body = await _body(response, url) if response.status_code == 200 else b""
                return _Answer(response.status_code, response.headers, body)
            request = response.next_request
    raise SourceError(_unreachable(f"it redirects more than {MOST_REDIRECTS} times", url))


def _is_safe(url: httpx.URL, came_from: str) -> bool:
    """Whether nobody on the way can read or change the page: https, or this machine and not sent here by another."""
    return url.scheme == "https" or (url.scheme == came_from == "http" and _is_loopback(url.host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _body(response: httpx.Response, url: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_PAGE:
            raise SourceError(_too_large(LARGEST_PAGE, _shown(url)))
    return bytes(body)


def _body_of(answer: _Answer, url: str) -> bytes:
    match answer.status:
        case 200:
            return answer.body
        case 401 | 403:
            raise SourceError(Problem(f"the server refuses us ({answer.status})", "make the page public", _shown(url)))
        case 404 | 410:
            raise SourceError(Problem(f"there is no such page ({answer.status})", "mend the address", _shown(url)))
        case status:
            raise SourceError(_unreachable(f"the server answers {status}", url))


def _unreachable(message: str, url: str) -> Problem:
    return Problem(message, "look whether the page opens in a browser", _shown(url))


def _shown(url: str) -> str:
    """The address without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # where a password with a slash has torn the address, no part of it is known to be harmless
        return f"{url.partition(':')[0]}://…"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return urlunsplit((parts.scheme, host + port, parts.path, "…" if parts.query else "", ""))


def _retry_after(answer: _Answer, now: datetime) -> timedelta:
    """How long the server asks to be left alone (RFC 9110 section 10.2.3)."""
    value = answer.headers.get("retry-after", "")
    try:
        if value.isdecimal():
            return timedelta(seconds=min(int(value), LONGEST_RETRY_AFTER.total_seconds()))
        at = parsedate_to_datetime(value)
        return min((at if at.tzinfo else at.replace(tzinfo=UTC)) - now, LONGEST_RETRY_AFTER)
    except ValueError:
        return timedelta()


# --- a talk list that is watched -------------------------------------------------------------------------------------


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
        self._source: _Source = _Page(source, every) if is_page(source) else _File(Path(source))
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

    async def is_ready(self, now: datetime) -> bool:
        seen = await asyncio.to_thread(_stamp, self._path)
        if seen != self._seen:
            self._seen, self._since = seen, now
        return abs(now - self._since) >= SETTLE  # abs, because the clock may have been set back meanwhile

    async def changed(self, now: datetime) -> bytes | None:
        if isinstance(self._seen, Problem):
            self._read = None
            raise SourceError(self._seen)
        if self._seen == self._read:
            return None
        data = await asyncio.to_thread(read, self._path)
        if await asyncio.to_thread(_stamp, self._path) != self._seen:
            return None  # written to while it was read: the next look sees that, and waits
        self._read = self._seen
        return data

    async def read(self) -> bytes:
        seen = await asyncio.to_thread(_stamp, self._path)
        if isinstance(seen, Problem):
            raise SourceError(seen)
        return await asyncio.to_thread(read, self._path)


_Stamp = tuple[int, int, int, int]


def _stamp(path: Path) -> _Stamp | Problem:
    """What changes whenever the file does, or why it cannot be read. A pipe is not opened: it might never end."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        return _unreadable(error, path)
    if stat.S_ISDIR(status.st_mode):
        return _unreadable(IsADirectoryError(), path)
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
        answer = await _get(self._url, conditions)
        self._pause = max(self._pause, _retry_after(answer, now))
        data = None if answer.status == 304 and conditions else _body_of(answer, self._url)
        self._failures, self._pause = 0, self._every
        self._conditions = conditions if data is None else _conditions(answer.headers)
        return data

    async def read(self) -> bytes:
        answer = await _get(self._url, {})
        data = _body_of(answer, self._url)
        self._conditions = _conditions(answer.headers)
        return data


def _conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """What makes the server answer 304 to a page that is still the same (RFC 9110 section 13.1)."""
    pairs = (("If-None-Match", headers.get("etag")), ("If-Modified-Since", headers.get("last-modified")))
    return {name: value for name, value in pairs if value}


# --- the store's lock ------------------------------------------------------------------------------------------------


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
        raise StoreError(_unwritable(error, path)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _pid_in(descriptor)
        os.close(descriptor)
        raise StoreLocked(str(path), pid) from None
    except OSError as error:
        os.close(descriptor)
        problem = Problem(f"it cannot be locked: {_words(error)}", "keep the store on a local disk", str(path))
        raise StoreError(problem) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return Lock(descriptor)


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).strip()
    return int(text) if text.isdigit() else None
