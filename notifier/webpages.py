"""Pages of the web → bytes, fetched whole, safely and in time."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from notifier import __version__
from notifier.errors import Problem, SourceError
from notifier.files import reason, too_large

if TYPE_CHECKING:
    import httpx

LARGEST_PAGE = 20_000_000
LONGEST_RETRY_AFTER = timedelta(days=1)
MOST_REDIRECTS = 5
PATIENCE = timedelta(seconds=30)  # for a whole page: a timeout on each read alone never ends a trickle


def is_page(source: str) -> bool:
    """Whether the source is a page of the web rather than a file."""
    return source.lower().startswith(("https://", "http://"))


async def fetch(url: str) -> bytes:
    """The page's bytes. Raises SourceError where it cannot be had whole, safely and in time."""
    return body_of(await get(url, {}), url)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; the body only where it is the page."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def get(url: str, conditions: Mapping[str, str]) -> Answer:
    """What the server of this page, or the one it redirects to, answers to these headers of ours.

    Raises SourceError where it does not answer whole, safely and in time.
    """
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
        raise SourceError(_unreachable(f"it cannot be fetched: {reason(error)}", url)) from error


async def _follow(client: httpx.AsyncClient, request: httpx.Request, url: str) -> Answer:
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
                return Answer(response.status_code, response.headers, body)
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
            raise SourceError(too_large(LARGEST_PAGE, _shown(url)))
    return bytes(body)


def body_of(answer: Answer, url: str) -> bytes:
    """The page that was answered. Raises SourceError where it was none."""
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


def retry_after(answer: Answer, now: datetime) -> timedelta:
    """How long the server asks to be left alone (RFC 9110 section 10.2.3)."""
    value = answer.headers.get("retry-after", "")
    try:
        if value.isdecimal():
            return timedelta(seconds=min(int(value), LONGEST_RETRY_AFTER.total_seconds()))
        at = parsedate_to_datetime(value)
        return min((at if at.tzinfo else at.replace(tzinfo=UTC)) - now, LONGEST_RETRY_AFTER)
    except ValueError:
        return timedelta()
