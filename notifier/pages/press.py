"""A seminar's head, templates and `Site` → its documents: the one place where pages and calendars are rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain, product
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import segno
from babel import dates
from markupsafe import Markup

from notifier import __version__, feed, moments
from notifier.errors import TemplateError
from notifier.mathtext import plain_math
from notifier.pages import deeplinks
from notifier.pages.documents import (
    FOR_EVER,
    HTML,
    ICALENDAR,
    MINUTES,
    SAFE,
    SAFE_PAGE,
    Document,
    Headers,
    Site,
    digest,
    filed,
)
from notifier.pages.formulas import with_formulas
from notifier.pages.pictures import picture
from notifier.pages.searches import read_aloud
from notifier.talks import Audience, Seminar, Session
from notifier.templates import LANGUAGES, Filters, TemplateFolder, common_filters

# A page's language → the CLDR locale of its dates and lists; British times have no AM and PM to misread.
_LOCALES = MappingProxyType({"zh": "zh_Hans_CN", "en": "en_GB"})
# CLDR's own for Chinese has no space, and breaks in the midst of the date where a line is short.
_DAYS = MappingProxyType({"zh": "y年M月d日 EEEE", "en": "full"})

_LONG = timedelta(minutes=2)  # from here on tenths of a second tell nothing

_ASSETS = (
    ("style", "css", "text/css; charset=utf-8"),
    ("script", "js", "text/javascript; charset=utf-8"),
    ("icon", "svg", "image/svg+xml"),
    ("desk", "css", "text/css; charset=utf-8"),
)


class Templates(TemplateFolder):
    """The files of `pages/`: templates, style sheet, script and icon.

    Raises:
        TemplateError: a template or catalogue does not compile; every one that does not.
    """

    def __init__(self, shipped: Mapping[str, str], overrides: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(shipped, overrides, folder="pages", suffixes=(".html",), filters=_filters)
        if problems := self.problems():
            raise TemplateError(problems)


def _filters(language: str) -> Filters:
    """How templates write instants (in the zone that they are in), texts and links, beside what all do."""
    locale = _LOCALES[language]
    return {
        **common_filters(locale),
        "day": partial(dates.format_date, format=_DAYS[language], locale=locale),
        "short_day": lambda at: dates.format_skeleton("yMMMEd", at, locale=locale),
        "date": partial(dates.format_date, format="long", locale=locale),
        "span": partial(dates.format_timedelta, threshold=1, locale=locale),
        "weekday": lambda at: dates.format_date(at, "EEE", locale=locale),
        "month": lambda at: dates.format_date(at, "LLL", locale=locale),
        "initial": lambda at: dates.format_date(at, "LLLLL", locale=locale),
        "aloud": read_aloud,
        "math": with_formulas,
        "plain": plain_math,
        "player": deeplinks.player,
        "meeting_app": deeplinks.meeting_app,
        "city": lambda at: moments.clock(at, at, str(at.tzinfo), language, home=str(at.tzinfo)).city,
        "offset": moments.offset,
        "path": lambda text: quote(text, safe=""),
        "seconds": lambda span: (
            dates.format_timedelta(span, locale=locale) if span >= _LONG else f"{span.total_seconds():.1f} s"
        ),
    }


class Press:
    """Makes documents from what they have in common; `basis` is that, and `digest` tells one basis from another."""

    def __init__(self, seminar: Seminar, templates: Templates, site: Site) -> None:
        self.site, self.head, self._templates = site, head_of(seminar), templates
        self.basis = (site, self.head, templates.texts)
        # By its version, because another program may render the same otherwise.
        self.digest = digest(__version__, repr(site), repr(self.head), *chain(*sorted(templates.texts.items())))
        self._standing: dict[tuple[Any, ...], Document] = {}
        assets = list(self._assets())
        self.assets = {path: document for _, path, document in assets}
        self._feed_url = f"{site.base_url}/{quote(seminar.id)}.ics"
        self._frame = {
            "seminar": self.head,
            "site": site,
            "zone": ZoneInfo(seminar.timezone),
            "mailed": {name for name, audience in site.levels.items() if audience > Audience.PUBLIC},
            "feed_url": self._feed_url,
            "qr": _qr(f"{site.base_url}/subscribe"),
            **{stem: path for stem, path, _ in assets},
        }

    def document(
        self, text: str | bytes, media_type: str, *, cache_control: str = MINUTES, headers: Headers = ()
    ) -> Document:
        """The text as bytes to be published, not yet dated."""
        body = text.encode() if isinstance(text, str) else text
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return Document(
            body, media_type, etag, cache_control=cache_control, headers=headers, may_compress=self.site.compress
        )

    def page(
        self,
        template: str,
        language: str,
        cache_control: str = "no-store",
        headers: Headers = SAFE_PAGE,
        **values: Any,
    ) -> Document:
        """The page in one language. Raises TemplateError."""
        html = self.fragment(template, language, **values)
        about = (("Content-Language", LANGUAGES[language]), *SAFE, *headers)
        return self.document(html, HTML, cache_control=cache_control, headers=about)

    def standing(self, template: str, language: str, cache_control: str = "no-store", **values: Any) -> Document:
        """The same page, made once: nothing in it depends on the clock or on any session. Raises TemplateError."""
        key = (template, language, *values.items())
        if key not in self._standing:
            self._standing[key] = self.page(template, language, cache_control, **values)
        return self._standing[key]

    def fragment(self, template: str, language: str, **values: Any) -> Markup:
        """What the template makes in one language, for a page or to stand in one. Raises TemplateError."""
        links = deeplinks.for_feed(self._feed_url, self.head.name_in(language))
        values = {**self._frame, "clients": links, **values}
        return Markup(self._templates.render(f"pages/{template}.html", language, values))  # noqa: S704 - it escapes

    def try_out(self, samples: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Renders pages that are made for one reader at a time, before any reader comes. Raises TemplateError."""
        for (template, values), language in product(samples, LANGUAGES):
            self.fragment(template, language, **values)

    def event(self, session: Session) -> Document:
        """The session as a calendar file."""
        return self.calendar(feed.single(session, self.head, base_url=self.site.base_url), session.id)

    def calendar(self, data: bytes, name: str) -> Document:
        """The calendar in these bytes, to be kept under this name."""
        return self.document(data, ICALENDAR, headers=filed(name))

    def _assets(self) -> Iterator[tuple[str, str, Document]]:
        """What pages refer to by names that change with the bytes, so that caches may keep it for ever."""
        texts = ((stem, suffix, kind, self._templates.text(f"pages/{stem}.{suffix}")) for stem, suffix, kind in _ASSETS)
        files = ((stem, suffix, kind, text.encode()) for stem, suffix, kind, text in texts)
        for stem, suffix, media_type, body in (*files, ("picture", "png", "image/png", picture())):
            path = f"/{stem}-{hashlib.sha256(body).hexdigest()[:10]}.{suffix}"
            yield stem, path, self.document(body, media_type, cache_control=FOR_EVER, headers=SAFE[:1])


def head_of(seminar: Seminar) -> Seminar:
    """The seminar without its sessions: what all documents have in common."""
    return replace(seminar, sessions=())


def _qr(text: str) -> Markup:
    """The text as a picture for the cameras of telephones: dark on light in every scheme, since many see no other."""
    return Markup(segno.make(text, micro=False).svg_inline(border=3, svgclass="qr", lineclass=None, omitsize=True))  # noqa: S704
