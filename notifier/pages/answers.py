"""Request → response: every answer is read from a `Snapshot`, in the reader's language and encoding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, quote

from notifier.pages import feeds
from notifier.pages.documents import IDENTITY, MINUTES, SAFE, SAFE_PAGE, Document, Headers, spoken
from notifier.pages.snapshots import PROBLEMS, Snapshot
from notifier.pages.strays import meant
from notifier.templates import LANGUAGES

# The headers that an answer depends on; no other one is even handed in.
HEARD = (
    "accept-encoding",
    "accept-language",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
)

# Thunderbird looks here for CalDAV with PROPFIND before it takes a feed, and gives up only at a plain refusal.
_CALDAV = "/.well-known/caldav"
_READS = "GET, HEAD, OPTIONS"
_WRITTEN = "%!$&'()*+,;=:@/?-._~"  # what stands in a query as it is (RFC 3986 section 3.4)
_LEAST = 0.0005  # less than any weight that can be written

# RFC 9110 section 5.6.7: what is written today, and two older forms. Anything else is no condition at all.
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_HTTP_DATE = re.compile(
    rf"{_DAY}, [0-9]{{2}} [A-Z][a-z]{{2}} [0-9]{{4}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} GMT"
    rf"|{_DAY}[a-z]*day, [0-9]{{2}}-[A-Z][a-z]{{2}}-[0-9]{{2}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} GMT"
    rf"|{_DAY} [A-Z][a-z]{{2}} [ 0-9][0-9] [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} [0-9]{{4}}"
)

# RFC 9110 section 8.8.3: one of a list; only a large W marks it as weak.
_ENTITY_TAG = re.compile(r'(?<![^\s,])(W/)?("[^"]*")(?=\s*(?:,|$))')


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer of HTTP; the one to HEAD has no body and still tells its length."""

    status: int
    headers: Headers = ()
    body: bytes = b""


def answer(snapshot: Snapshot, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
    """The answer to a request for something published; the names of `headers` are in lower case.

    What asks for another method than those that read gets a 405 that says so: calendar programs probe a feed with
    PROPFIND, and take a 2xx, 401 or 500 for a server that they should talk CalDAV to. Who goes astray by a slash, by
    letter case or by the end of a sentence is led to what they meant.
    """
    own, _ = spoken(path)
    language = _language(own or snapshot.site.language, query, {} if own else headers)
    document = snapshot.find(path, query, language)
    if document is None and (path != _CALDAV or method in ("GET", "HEAD")):
        place = meant(snapshot, path) if method in ("GET", "HEAD") else ""
        return _led(snapshot, place, query) if place else _page(snapshot, "not-found", method, language)
    if method == "OPTIONS":
        return Response(204, (("Allow", _READS), *SAFE))
    if document is None or method not in ("GET", "HEAD"):
        return _page(snapshot, "not-allowed", method, language, (("Allow", _READS),))
    return _negotiate(document, method, headers)


def _led(snapshot: Snapshot, place: str, query: str) -> Response:
    """The way to another place on this site, with what was asked for there."""
    asked = f"?{quote(query, safe=_WRITTEN, encoding='latin-1')}" if query else ""
    way = f"{snapshot.site.root}{quote(place)}{asked}"
    return Response(308, (("Location", way), ("Cache-Control", MINUTES), ("Content-Length", "0"), *SAFE))


def private(snapshot: Snapshot, method: str, query: str, headers: Mapping[str, str], language: str) -> Response:
    """The answer to who has the link to a calendar of their own; in their language, where they ask for no other."""
    if method == "OPTIONS":
        return Response(204, (("Allow", _READS), *SAFE))
    document = snapshot.private.find(feeds.read(query, language))
    if document is None or method not in ("GET", "HEAD"):
        return _page(snapshot, "not-allowed", method, language, (("Allow", _READS),))
    return _negotiate(document, method, headers)


def page(
    snapshot: Snapshot,
    name: str,
    method: str,
    query: str,
    headers: Mapping[str, str],
    extra: Headers = (),
    *,
    language: str = "",
) -> Response:
    """One of the `DIALOGUES` or `PROBLEMS` with its status and these extra headers.

    Its language is the one that the query asks for, else the given one, else that of the reader's program.
    """
    return _page(snapshot, name, method, _chosen(snapshot, query, headers, language), extra)


def made(
    snapshot: Snapshot,
    template: str,
    method: str,
    query: str,
    headers: Mapping[str, str],
    values: Mapping[str, Any],
    *,
    language: str = "",
    status: int = 200,
    about: Headers = SAFE_PAGE,
) -> Response:
    """A page that is rendered now, for one reader alone; its language is chosen likewise. Raises TemplateError.

    `about` are headers that keep it safe.
    """
    document = snapshot.press.page(template, _chosen(snapshot, query, headers, language), headers=about, **values)
    return _whole(document, status, method)


def kept(body: bytes, media_type: str, name: str) -> Response:
    """A file for one reader alone, to be kept under this name."""
    about = (("Content-Type", media_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"))
    return Response(200, (*about, ("Content-Disposition", f'attachment; filename="{name}"'), *SAFE), body)


def _page(snapshot: Snapshot, name: str, method: str, language: str, extra: Headers = ()) -> Response:
    return _whole(snapshot.pages[name, language], PROBLEMS.get(name, 200), method, extra)


def _whole(document: Document, status: int, method: str, extra: Headers = ()) -> Response:
    """The document as it is, without conditions and encodings."""
    about = (*_described(document, document.body), ("Cache-Control", document.cache_control), *extra)
    return Response(status, about, b"" if method == "HEAD" else document.body)


def _chosen(snapshot: Snapshot, query: str, headers: Mapping[str, str], language: str) -> str:
    return _language(language or snapshot.site.language, query, {} if language else headers)


def _language(default: str, query: str, headers: Mapping[str, str]) -> str:
    """The language that the query asks for, else the reader's program, else the default."""
    asked = parse_qs(query).get("lang", [])
    weights = _weights(headers.get("accept-language", ""))
    wanted = [tag.partition("-")[0] for tag in sorted(weights, key=lambda tag: -weights[tag]) if weights[tag]]
    return next((language for language in (*asked, *wanted) if language in LANGUAGES), default)


def _weights(header: str) -> dict[str, float]:
    """What a header like Accept-Encoding names, in lower case, with each one's weight (RFC 9110 section 12.4.2)."""
    items = (item.split(";") for item in re.sub(r"[ \t]", "", header.lower()).split(",") if item)
    return {name: _weight(parameters) for name, *parameters in items}


def _weight(parameters: list[str]) -> float:
    weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    return float(weight) if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", weight) else 0.0


def _negotiate(document: Document, method: str, headers: Mapping[str, str]) -> Response:
    coding = _coding(document, headers.get("accept-encoding", ""))
    etag, body = document.encoded(coding)
    validators = (
        ("ETag", etag),
        ("Last-Modified", format_datetime(document.modified, usegmt=True)),
        ("Cache-Control", document.cache_control),
        *((("Vary", vary),) if (vary := _vary(document)) else ()),
    )
    if _is_another(document, etag, headers):
        return Response(412, (("ETag", etag), ("Cache-Control", "no-store"), ("Content-Length", "0")))
    if _is_known(document, etag, headers):
        return Response(304, validators)
    encoding = (("Content-Encoding", coding),) if coding != IDENTITY else ()
    return Response(200, (*_described(document, body), *encoding, *validators), b"" if method == "HEAD" else body)


def _described(document: Document, body: bytes) -> Headers:
    return (("Content-Type", document.media_type), ("Content-Length", str(len(body))), *document.headers)


def _vary(document: Document) -> str:
    by_encoding = ["Accept-Encoding"] if document.may_compress else []
    by_language = ["Accept-Language"] if any(name == "Content-Language" for name, _ in document.headers) else []
    return ", ".join(by_encoding + by_language)


def _coding(document: Document, accepted: str) -> str:
    """The content coding that the asker likes best; of those liked alike, the shortest (RFC 9110 section 12.5.3).

    Who refuses all that there is gets the plain bytes: a calendar that says too much is better than none.
    """
    weights = _weights(accepted)
    rest = weights.get("*", 0.0)
    wanted = {coding: weights.get(coding, weights.get(f"x-{coding}", rest)) for coding in document.encodings}
    wanted[IDENTITY] = weights.get(IDENTITY, rest if "*" in weights else _LEAST)
    return max((coding for coding, weight in wanted.items() if weight), key=wanted.__getitem__, default=IDENTITY)


def _is_known(document: Document, etag: str, headers: Mapping[str, str]) -> bool:
    """Whether the asker has these bytes. Tags go before times, and are compared weakly (RFC 9110 section 13.1.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in (tag for _, tag in _ENTITY_TAG.findall(tags))
    since = _moment(headers.get("if-modified-since", ""))
    return since is not None and document.modified <= since


def _is_another(document: Document, etag: str, headers: Mapping[str, str]) -> bool:
    """Whether the asker wants it only as it was, which it is no more. Tags are compared strongly (section 13.1.1)."""
    tags = headers.get("if-match")
    if tags is not None:
        return tags.strip() != "*" and ("", etag) not in _ENTITY_TAG.findall(tags)
    since = _moment(headers.get("if-unmodified-since", ""))
    return since is not None and document.modified > since


def _moment(date: str) -> datetime | None:
    """The time that a header gives, or None where it gives none."""
    if not _HTTP_DATE.fullmatch(date.strip()):
        return None
    try:
        return parsedate_to_datetime(date.strip()).replace(tzinfo=UTC)
    except ValueError:  # the 31st of November
        return None
