"""Request → response: all that is published is rendered once into a `Snapshot`, and every answer is read from it.

Only what is of one session alone is rendered when it is first asked for, and kept from then on.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property, partial
from itertools import chain
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

from babel import dates

from notifier import __version__, feed, moments, talks
from notifier.errors import TemplateError
from notifier.talks import Audience, Seminar, Session
from notifier.templates import LANGUAGES, Filters, TemplateFolder, common_filters

# A page's language → the CLDR locale of its dates and lists; British times have no AM and PM to misread.
_LOCALES = MappingProxyType({"zh": "zh_Hans_CN", "en": "en_GB"})
UPCOMING, PAST = 12, 6  # sessions listed on the landing page; the feed has the others

DIALOGUES = ("unsubscribe", "unsubscribed", "resubscribed")
PROBLEMS = MappingProxyType(
    {
        "bad-request": 400,
        "bad-link": 404,
        "not-found": 404,
        "not-allowed": 405,
        "too-slow": 408,
        "too-large": 413,
        "head-too-large": 431,
        "broken": 500,
        "unavailable": 503,
    }
)

_SESSIONS = "/sessions/"
_UNDATED = datetime.fromtimestamp(0, UTC)

Headers = tuple[tuple[str, str], ...]
Changes = Mapping[str, tuple[str, datetime]]

# Thunderbird looks here for CalDAV with PROPFIND before it takes a feed, and gives up only at a plain refusal.
_CALDAV = "/.well-known/caldav"
_READS = "GET, HEAD, OPTIONS"

_MINUTES = "public, max-age=300"
_FOR_EVER = "public, max-age=31536000, immutable"
_HTML = "text/html; charset=utf-8"
_ICALENDAR = "text/calendar; charset=utf-8"
_SAFE = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
_POLICY = ("default-src 'none'", "style-src 'self'", "img-src 'self'", "form-action 'self'", "base-uri 'none'")
_SAFE_PAGE = (
    ("Content-Security-Policy", "; ".join((*_POLICY, "frame-ancestors 'none'"))),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """How the seminar is published: where, in which language by default, and to whom each join field is shown."""

    base_url: str
    language: str = "en"
    levels: Mapping[str, Audience] = field(default_factory=lambda: {"passcode": Audience.SUBSCRIBERS})
    compress: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    @property
    def root(self) -> str:
        """What every link of this site starts with: the folder where it is published, else nothing."""
        return urlsplit(self.base_url).path.rstrip("/")


@dataclass(frozen=True)
class Document:
    """Bytes as published, with their validators. `modified` is when they last changed, in whole seconds."""

    body: bytes
    media_type: str
    etag: str
    modified: datetime = _UNDATED
    cache_control: str = _MINUTES
    headers: Headers = ()
    may_compress: bool = True

    @cached_property
    def compressed(self) -> bytes:
        """The same in gzip; empty where that is switched off or would be no shorter."""
        compressed = gzip.compress(self.body, 6, mtime=0) if self.may_compress else b""
        return compressed if len(compressed) < len(self.body) else b""

    @property
    def compressed_etag(self) -> str:
        """The compressed bytes' own tag: strong tags of two encodings must differ (RFC 9110 section 8.8.3.3)."""
        return f'{self.etag[:-1]}-gz"'


@dataclass(frozen=True)
class Shown:
    """One session as the public may see it, with all that is rendered of it alone. `source` has what is hidden.

    Its documents are rendered when they are first asked for, since of hundreds of past sessions hardly any is.
    `modified` is known before that: by their keys, what they are rendered from as a tag, and since when it is so.
    """

    source: Session
    is_over: bool
    session: Session
    listed: str
    modified: Changes
    press: _Press

    @cached_property
    def event(self) -> Document:
        """The calendar file."""
        _, since = self.modified[_event_path(self.session)]
        return replace(self.press.event(self.session), modified=since)

    @cached_property
    def pages(self) -> Mapping[str, Document]:
        """The page by language. Raises TemplateError."""
        path = _page_path(self.session)
        about = {"path": quote(path), "session": self.session, "is_over": self.is_over}
        return {
            language: replace(
                self.press.page("session", language, _MINUTES, **about), modified=self.modified[_key(path, language)][1]
            )
            for language in LANGUAGES
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is published at one time: `documents` by path, `pages` by name and language, sessions by id.

    A page whose name is a path is found there in the reader's language; the others answer for something that went
    wrong or was done. `until` is the next instant when the same seminar would be rendered otherwise.
    """

    documents: Mapping[str, Document]
    pages: Mapping[tuple[str, str], Document]
    shown: Mapping[str, Shown]
    seminar: Seminar
    site: Site
    until: datetime
    press: _Press

    @property
    def keyed(self) -> dict[str, Document]:
        """Every document under one text: its path, or its page's name and language. Renders all of them."""
        sessions = self.shown.values()
        events = {_event_path(one.session): one.event for one in sessions}
        about = {_key(_page_path(one.session), lang): page for one in sessions for lang, page in one.pages.items()}
        return {**events, **about, **self._ready}

    @property
    def modified(self) -> dict[str, tuple[str, datetime]]:
        """Each document's tag and time of change: facts to be stored, and handed to the next `build`."""
        ready = {key: (document.etag, document.modified) for key, document in self._ready.items()}
        return {**ready, **{key: change for one in self.shown.values() for key, change in one.modified.items()}}

    @property
    def _ready(self) -> dict[str, Document]:
        return {**self.documents, **{_key(*at): page for at, page in self.pages.items()}}

    def find(self, path: str, language: str) -> Document | None:
        """The document at this path, in this language where there are several. Raises TemplateError."""
        name = path.removeprefix(_SESSIONS) if path.startswith(_SESSIONS) else ""
        if name.endswith(".ics") and (one := self.shown.get(name.removesuffix(".ics"))):
            return one.event
        if one := self.shown.get(name):
            return one.pages[language]
        return self.documents.get(path) or self.pages.get((path, language))


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer of HTTP; the one to HEAD has no body and still tells its length."""

    status: int
    headers: Headers = ()
    body: bytes = b""


def build(
    seminar: Seminar,
    templates: Templates,
    site: Site,
    *,
    now: datetime,
    previous: Snapshot | None = None,
    modified: Changes = MappingProxyType({}),
) -> Snapshot:
    """All that is published of this seminar, of which nobody may know more than the public.

    `previous` lends whatever has not changed. `modified` is what an earlier process stored of its last snapshot, so
    that a restart moves no Last-Modified.

    Raises:
        TemplateError: a page cannot be rendered.
    """
    press, known = _Press(seminar, templates, site), dict[str, Shown]()
    if previous and previous.press.basis == press.basis:
        press, known = previous.press, dict(previous.shown)
    history = _History(now, {**modified, **(previous.modified if previous else {})})
    shown = {one.id: _shown(one, known.get(one.id), press, history, now) for one in seminar.sessions}
    public = replace(seminar, sessions=tuple(one.session for one in shown.values()))
    schedule = _schedule(public, site, now)
    whole = {**dict(_whole(public, shown, site, now, press)), **press.assets}
    # Rendered now, so that a template that fails on sessions at all fails here, where the old snapshot stays.
    about = {
        (_page_path(session), language): page
        for session in filter(None, (schedule["coming"], *schedule["upcoming"], *schedule["past"]))
        for language, page in shown[session.id].pages.items()
    }
    return Snapshot(
        MappingProxyType({path: history.dated(path, document) for path, document in whole.items()}),
        MappingProxyType({**about, **{at: history.dated(_key(*at), page) for at, page in _pages(schedule, press)}}),
        MappingProxyType(shown),
        public,
        site,
        _next_change(public, now),
        press,
    )


def answer(snapshot: Snapshot, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
    """The answer to a request for something published; the names of `headers` are in lower case.

    What asks for another method than those that read gets a 405 that says so: calendar programs probe a feed with
    PROPFIND, and take a 2xx, 401 or 500 for a server that they should talk CalDAV to.
    """
    document = snapshot.find(path, _language(snapshot.site, query, headers))
    if document is None and (path != _CALDAV or method in ("GET", "HEAD")):
        return page(snapshot, "not-found", method, query, headers)
    if method == "OPTIONS":
        return Response(204, (("Allow", _READS), *_SAFE))
    if document is None or method not in ("GET", "HEAD"):
        return page(snapshot, "not-allowed", method, query, headers, (("Allow", _READS),))
    return _negotiate(document, method, headers)


def page(
    snapshot: Snapshot, name: str, method: str, query: str, headers: Mapping[str, str], extra: Headers = ()
) -> Response:
    """One of the `DIALOGUES` or `PROBLEMS` in the reader's language, with its status and these extra headers."""
    document = snapshot.pages[name, _language(snapshot.site, query, headers)]
    return Response(
        PROBLEMS.get(name, 200),
        (*_described(document, document.body), ("Cache-Control", document.cache_control), *extra),
        b"" if method == "HEAD" else document.body,
    )


class Templates(TemplateFolder):
    """The files of `pages/`: templates, style sheet and icon.

    Raises:
        TemplateError: a template or catalogue does not compile; every one that does not.
    """

    def __init__(self, shipped: Mapping[str, str], overrides: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(shipped, overrides, folder="pages", suffixes=(".html",), filters=_filters)
        if problems := self.problems():
            raise TemplateError(problems)


def _filters(language: str) -> Filters:
    """How templates write instants (in the zone that they are in) and paths, beside what all do."""
    locale = _LOCALES[language]
    return {
        **common_filters(locale),
        "day": partial(dates.format_date, format="full", locale=locale),
        "short_day": lambda at: dates.format_skeleton("yMMMEd", at, locale=locale),
        "city": lambda at: moments.clock(at, at, str(at.tzinfo), language, home=str(at.tzinfo)).city,
        "offset": moments.offset,
        "path": lambda text: quote(text, safe=""),
    }


class _History:
    """Since when what is published is as it is."""

    def __init__(self, now: datetime, changes: Changes) -> None:
        self._now, self._changes = now.astimezone(UTC).replace(microsecond=0), changes

    def since(self, key: str, tag: str) -> datetime:
        """When what has this tag came under this key."""
        known, since = self._changes.get(key, ("", self._now))
        return since if known == tag else self._now

    def dated(self, key: str, document: Document) -> Document:
        """The document with the time when these bytes came under this key."""
        return replace(document, modified=self.since(key, document.etag))


class _Press:
    """Makes documents from what they have in common; `basis` is that, and `digest` tells one basis from another."""

    def __init__(self, seminar: Seminar, templates: Templates, site: Site) -> None:
        self.site, self.head, self._templates = site, _head(seminar), templates
        self.basis = (site, self.head, templates.texts)
        # By its version, because another program may render the same otherwise.
        self.digest = _digest(__version__, repr(site), repr(self.head), *chain(*sorted(templates.texts.items())))
        assets = list(self._assets())
        self.assets = {path: document for _, path, document in assets}
        self._frame = {
            "seminar": self.head,
            "site": site,
            "zone": ZoneInfo(seminar.timezone),
            "mailed": {name for name, audience in site.levels.items() if audience > Audience.PUBLIC},
            **{stem: path for stem, path, _ in assets},
        }

    def document(
        self, text: str | bytes, media_type: str, *, cache_control: str = _MINUTES, headers: Headers = ()
    ) -> Document:
        """The text as bytes to be published, not yet dated."""
        body = text.encode() if isinstance(text, str) else text
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return Document(
            body, media_type, etag, cache_control=cache_control, headers=headers, may_compress=self.site.compress
        )

    def page(self, template: str, language: str, cache_control: str = "no-store", **values: Any) -> Document:
        """The page in one language. Raises TemplateError."""
        html = self._templates.render(f"pages/{template}.html", language, {**self._frame, **values})
        headers = (("Content-Language", LANGUAGES[language]), *_SAFE, *_SAFE_PAGE)
        return self.document(html, _HTML, cache_control=cache_control, headers=headers)

    def event(self, session: Session) -> Document:
        """The session as a calendar file."""
        event = feed.single(session, self.head, base_url=self.site.base_url)
        return self.document(event, _ICALENDAR, headers=_filed(session.id))

    def _assets(self) -> Iterator[tuple[str, str, Document]]:
        """What pages refer to by names that change with the bytes, so that caches may keep it for ever."""
        for stem, suffix, media_type in (("style", "css", "text/css; charset=utf-8"), ("icon", "svg", "image/svg+xml")):
            text = self._templates.text(f"pages/{stem}.{suffix}")
            path = f"/{stem}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.{suffix}"
            yield stem, path, self.document(text, media_type, cache_control=_FOR_EVER, headers=_SAFE[:1])


def _shown(source: Session, known: Shown | None, press: _Press, history: _History, now: datetime) -> Shown:
    """The session for the public: the one place where what is not for them is taken out.

    It is the one known before, with all that was rendered of it, where nothing has changed.
    """
    is_over = source.end <= now
    if known and known.is_over == is_over and known.source == source:
        return known
    session = talks.shown_to(Audience.PUBLIC, source, press.site.levels)
    listed = json.dumps(talks.as_json(replace(press.head, sessions=(session,)))["sessions"][0], ensure_ascii=False)
    event_tag, page_tag = _digest(press.digest, listed), _digest(press.digest, listed, str(is_over))
    page_keys = (_key(_page_path(session), language) for language in LANGUAGES)
    tags = {_event_path(session): event_tag, **dict.fromkeys(page_keys, page_tag)}
    modified = {key: (tag, history.since(key, tag)) for key, tag in tags.items()}
    return Shown(source, is_over, session, listed, modified, press)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _page_path(session: Session) -> str:
    return f"{_SESSIONS}{session.id}"


def _event_path(session: Session) -> str:
    return f"{_SESSIONS}{session.id}.ics"


def _head(seminar: Seminar) -> Seminar:
    return replace(seminar, sessions=())


def _filed(name: str) -> Headers:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return (("Content-Disposition", f'inline; filename="{safe}.ics"'), *_SAFE[:1])


def _whole(
    seminar: Seminar, shown: Mapping[str, Shown], site: Site, now: datetime, press: _Press
) -> Iterator[tuple[str, Document]]:
    """The whole seminar for programs, and what their robots may read."""
    text = feed.render(seminar, now=now, base_url=site.base_url)
    calendar = press.document(text, _ICALENDAR, headers=_filed(seminar.id))
    yield "/calendar.ics", calendar
    yield f"/{seminar.id}.ics", calendar
    head = json.dumps(talks.as_json(_head(seminar))["seminar"], ensure_ascii=False)
    listed = ",\n".join(one.listed for one in shown.values())
    programs = f'{{"seminar": {head}, "sessions": [\n{listed}\n], "warnings": []}}\n'
    yield "/talks.json", press.document(programs, "application/json", headers=_SAFE[:1])
    # No word of the feed here: Google refuses a calendar that its robots may not read.
    robots = "User-agent: *\nDisallow: /unsubscribe/\n"
    yield "/robots.txt", press.document(robots, "text/plain; charset=utf-8")


def _pages(schedule: Mapping[str, Any], press: _Press) -> Iterator[tuple[tuple[str, str], Document]]:
    """The landing page, and those that answer for something done or gone wrong, in every language."""
    for language in LANGUAGES:
        yield ("/", language), press.page("index", language, _MINUTES, path="/", **schedule)
        for name in DIALOGUES:
            yield (name, language), press.page(name, language)
        for name in PROBLEMS:
            yield (name, language), press.page("problem", language, problem=name)


def _key(name: str, language: str) -> str:
    return f"{name}?lang={language}"


def _schedule(seminar: Seminar, site: Site, now: datetime) -> dict[str, Any]:
    """What the landing page tells: its sessions, parted by the clock, and where they come as a calendar."""
    zone = ZoneInfo(seminar.timezone)
    feed_url = f"{site.base_url}/{quote(seminar.id)}.ics"
    coming = seminar.next_session(now)
    return {
        "coming": coming,
        "is_on": coming is not None and coming.start <= now,
        "days": (coming.start.astimezone(zone).date() - now.astimezone(zone).date()).days if coming else 0,
        "upcoming": [s for s in seminar.sessions if s.end > now and s is not coming][:UPCOMING],
        "feed_url": feed_url,
        "webcal_url": re.sub("^https?:", "webcal:", feed_url),
        "past": [s for s in reversed(seminar.sessions) if s.end <= now and not s.is_cancelled][:PAST],
    }


def _next_change(seminar: Seminar, now: datetime) -> datetime:
    """The next start or end of a session, and midnight at the latest, when "tomorrow" becomes "today"."""
    zone = ZoneInfo(seminar.timezone)
    midnight = datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time(), zone)
    turns = (at for s in seminar.sessions for at in (s.start, s.end) if at > now)
    return min((midnight, *turns)).astimezone(UTC)


def _language(site: Site, query: str, headers: Mapping[str, str]) -> str:
    """The language that the address asks for, else the reader's program, else the site's own."""
    asked = parse_qs(query).get("lang", [])
    weights = _weights(headers.get("accept-language", ""))
    wanted = [tag.partition("-")[0] for tag in sorted(weights, key=lambda tag: -weights[tag]) if weights[tag]]
    return next((language for language in (*asked, *wanted) if language in LANGUAGES), site.language)


def _weights(header: str) -> dict[str, float]:
    """What a header like Accept-Encoding names, in lower case, with each one's weight (RFC 9110 section 12.4.2)."""
    items = (item.split(";") for item in header.lower().replace(" ", "").split(",") if item)
    return {name: _weight(parameters) for name, *parameters in items}


def _weight(parameters: list[str]) -> float:
    weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    return float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0


def _negotiate(document: Document, method: str, headers: Mapping[str, str]) -> Response:
    zipped = bool(document.compressed) and _takes_gzip(headers.get("accept-encoding", ""))
    etag, body = (document.compressed_etag, document.compressed) if zipped else (document.etag, document.body)
    validators = (
        ("ETag", etag),
        ("Last-Modified", format_datetime(document.modified, usegmt=True)),
        ("Cache-Control", document.cache_control),
        *((("Vary", vary),) if (vary := _vary(document)) else ()),
    )
    if _is_known(document, etag, headers):
        return Response(304, validators)
    encoding = (("Content-Encoding", "gzip"),) if zipped else ()
    return Response(200, (*_described(document, body), *encoding, *validators), b"" if method == "HEAD" else body)


def _described(document: Document, body: bytes) -> Headers:
    return (("Content-Type", document.media_type), ("Content-Length", str(len(body))), *document.headers)


def _vary(document: Document) -> str:
    by_encoding = ["Accept-Encoding"] if document.compressed else []
    by_language = ["Accept-Language"] if any(name == "Content-Language" for name, _ in document.headers) else []
    return ", ".join(by_encoding + by_language)


def _takes_gzip(accepted: str) -> bool:
    weights = _weights(accepted)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _is_known(document: Document, etag: str, headers: Mapping[str, str]) -> bool:
    """Whether the asker has these bytes. Tags go before times, and are compared weakly (RFC 9110 section 13.1.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in re.findall(r'"[^"]*"', tags)
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
    except (ValueError, OverflowError):
        return False
    # A date that claims no zone at all (-0000) is UTC all the same.
    return document.modified <= (since if since.tzinfo else since.replace(tzinfo=UTC))
