"""What is published, as bytes with their validators, and since when it is as it is."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import urlsplit

import brotli

from notifier.talks import Audience
from notifier.templates import LANGUAGES

Headers = tuple[tuple[str, str], ...]
Changes = Mapping[str, tuple[str, datetime]]

MINUTES = "public, max-age=300"
PRIVATE = "private, max-age=300"
FOR_EVER = "public, max-age=31536000, immutable"
HTML = "text/html; charset=utf-8"
ICALENDAR = "text/calendar; charset=utf-8"
JCAL = "application/calendar+json"
SAFE = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",  # nothing here connects, but programs that judge pages read robots.txt from within them
    "frame-src https://player.bilibili.com",  # a replay, once somebody has pressed its button
    "form-action 'self'",
    "base-uri 'none'",
)
_SAFE_ANYWHERE = (("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),)
SAFE_PAGE = (
    ("Content-Security-Policy", "; ".join((*POLICY, "frame-ancestors 'none'"))),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    *_SAFE_ANYWHERE,
)
# What is made to be shown within other people's pages holds links and nothing to be pressed.
SAFE_EMBEDDED = (("Content-Security-Policy", "; ".join((*POLICY, "frame-ancestors *"))), *_SAFE_ANYWHERE)

COMPRESSED_AT_ONCE = 256 << 10  # octets; of megabytes nobody waits for the compression, least of all a change

_NARROWEST, _WIDEST = 10, 22  # of brotli's windows, as powers of two (RFC 7932 section 9.1)

IDENTITY = "identity"  # RFC 9110 section 12.5.3: no content coding at all

_UNDATED = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """How the seminar is published: where, in which language by default, and to whom each join field is shown.

    `takes_requests` offers everybody to subscribe to mail; `announcement` and `reminders` are how long before a session
    such mail comes, to those who do not choose otherwise; `replays` is whether it also comes afterwards.
    """

    base_url: str
    language: str = "en"
    levels: Mapping[str, Audience] = field(default_factory=lambda: {"passcode": Audience.SUBSCRIBERS})
    compress: bool = True
    takes_requests: bool = True
    announcement: timedelta | None = timedelta(days=7)
    reminders: tuple[timedelta, ...] = (timedelta(days=1), timedelta(hours=1))
    replays: bool = True

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
    cache_control: str = MINUTES
    headers: Headers = ()
    may_compress: bool = True
    _encodings: dict[str, bytes] = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def encodings(self) -> Mapping[str, bytes]:
        """The same by content coding, the best first, of those that were made and are shorter."""
        return self._encodings

    def compress(self) -> Document:
        """Makes the encodings, unless they are switched off; until then whoever asks has the plain bytes."""
        if self.may_compress and not self._encodings:
            # At 7 brotli is a tenth shorter than gzip and no slower; at its best, 11, it takes fifty times as long. It
            # looks no further back than the body is long: its usual window alone would be four megabytes of memory.
            window = min(_WIDEST, max(_NARROWEST, len(self.body).bit_length()))
            made = {
                "br": brotli.compress(self.body, quality=7, lgwin=window),
                "gzip": gzip.compress(self.body, 6, mtime=0),
            }
            self._encodings.update((coding, body) for coding, body in made.items() if len(body) < len(self.body))
        return self

    def at_once(self) -> Document:
        """The document with its encodings made, unless it is large: then that follows once it is published."""
        return self.compress() if len(self.body) <= COMPRESSED_AT_ONCE else self

    def encoded(self, coding: str) -> tuple[str, bytes]:
        """Tag and bytes in one of the `encodings`, or in "identity".

        Strong tags of two encodings must differ (RFC 9110 section 8.8.3.3).
        """
        if coding == IDENTITY:
            return self.etag, self.body
        return f'{self.etag[:-1]}-{coding}"', self.encodings[coding]


class History:
    """Since when what is published is as it is; `known` is what was published before, by the same keys."""

    def __init__(self, now: datetime, changes: Changes, known: Mapping[str, Document] = MappingProxyType({})) -> None:
        self._now, self._changes, self._known = now.astimezone(UTC).replace(microsecond=0), changes, known
        self._fresh: dict[str, Document] = {}

    def since(self, key: str, tag: str) -> datetime:
        """When what has this tag came under this key.

        Not after now, though a wrong clock may once have said so (RFC 9110 section 8.8.2.1).
        """
        known, since = self._changes.get(key, ("", self._now))
        return min(since, self._now) if known == tag else self._now

    def dated(self, key: str, document: Document) -> Document:
        """The document with the time when these bytes came under this key; the known one where nothing has changed."""
        fresh = replace(document, modified=self.since(key, document.etag))
        if (known := self._known.get(key)) == fresh and known:
            return known
        # What is published under two names is one document still, and compressed once.
        if (same := self._fresh.get(fresh.etag)) == fresh and same:
            return same
        self._fresh[fresh.etag] = fresh.at_once()
        return fresh


def digest(*texts: str) -> str:
    """A short name for these texts, by which they are told from others."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def spoken(path: str) -> tuple[str, str]:
    """The language that a path begins with, and the rest of it: `/zh/x` is what `/x` is, in Chinese."""
    language, rest = path[1:3], path[3:]
    return (language, rest) if language in LANGUAGES and rest.startswith("/") else ("", path)


def key_of(name: str, language: str) -> str:
    """The one text under which a page in one language is dated."""
    return f"{name}?lang={language}"


def filed(name: str) -> Headers:
    """The headers of a calendar that is kept under this name when somebody saves it."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return (("Content-Disposition", f'inline; filename="{safe}.ics"'), *SAFE[:1])
