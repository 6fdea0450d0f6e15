"""Past sessions → the history: by year, and as a search finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import groupby, islice
from typing import Any
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

from notifier.pages.documents import MINUTES, Changes, Document, History, digest, key_of
from notifier.pages.press import Press
from notifier.pages.searches import MOST_FOUND, holds, nearest, words_of
from notifier.pages.shown import Shown
from notifier.pages.strips import Strip, strip
from notifier.talks import Session
from notifier.templates import LANGUAGES

HISTORY = "/history"
RECENT = 40  # sessions on the first page, which goes on to the end of the year that it is in


@dataclass(frozen=True, slots=True)
class Group:
    """Past sessions of one year, latest first. The strip, where there is one, shows the whole year."""

    year: int
    shown: tuple[Shown, ...]
    strip: Strip | None = None

    def listed(self, language: str) -> dict[str, Any]:
        """What templates know of it in this language."""
        return {"year": self.year, "entries": [one.entry(language) for one in self.shown], "strip": self.strip}


@dataclass(frozen=True)
class Page:
    """Some groups on a page, which is rendered when it is first asked for. `modified` is known before that."""

    path: str
    year: int | None
    groups: tuple[Group, ...]
    years: Mapping[int, int]
    modified: Changes
    press: Press

    @cached_property
    def pages(self) -> Mapping[str, Document]:
        """The page by language. Raises TemplateError."""
        return {language: self._page(language) for language in LANGUAGES}

    def _page(self, language: str) -> Document:
        values = _values(self.year, self.years, self.groups, language, path=self.path)
        page = self.press.page("history", language, MINUTES, **values)
        return replace(page, modified=self.modified[key_of(self.path, language)][1]).at_once()


@dataclass(frozen=True, slots=True)
class Archive:
    """All past sessions that took place, in groups from the latest year, and their pages by path."""

    groups: tuple[Group, ...]
    pages: Mapping[str, Page]
    press: Press

    def find(self, path: str, query: str, language: str) -> Document | None:
        """The page at this address, with what its form asks for: words, a year, or both. Raises TemplateError."""
        if path not in self.pages:
            return None
        form = parse_qs(query)
        asked, year = form.get("q", [""])[0].strip(), form.get("year", [""])[0]
        within = self.pages.get(f"{HISTORY}/{year}", self.pages[path])
        return self.search(asked, within.year, language) if asked else within.pages[language]

    def warm(self) -> None:
        """Makes the texts in which words are looked for."""
        for group in self.groups:
            for one in group.shown:
                _ = one.text, one.words

    def search(self, asked: str, year: int | None, language: str) -> Document:
        """The page with the latest sessions that hold the words asked for. Raises TemplateError."""
        words = words_of(asked)
        within = [group for group in self.groups if year in (None, group.year)]
        every = [one for group in within for one in group.shown if holds(one.text, words)]
        zone = ZoneInfo(self.press.head.timezone)
        groups = tuple(Group(year, some) for year, some in _yearly(islice(every, MOST_FOUND), zone))
        years = {group.year: len(group.shown) for group in self.groups}
        query = urlencode({"q": asked, **({"year": year} if year else {})})
        near = () if every else nearest(words, (word for group in within for one in group.shown for word in one.words))
        about = {"asked": asked, "count": len(every), "listed": MOST_FOUND, "query": query, "near": " ".join(near)}
        values = _values(year, years, groups, language, **about)
        page = self.press.page("history", language, MINUTES, **values)
        changed = max(since for one in self.pages.values() for _, since in one.modified.values())
        return replace(page, modified=changed).at_once()


def archive(
    shown: Sequence[Shown],
    coming: Session | None,
    press: Press,
    history: History,
    now: datetime,
    known: Archive | None = None,
) -> Archive:
    """The archive of these sessions, which are in order; pages of the one `known` before where nothing changed."""
    zone = ZoneInfo(press.head.timezone)
    groups = tuple(
        Group(year, held, strip(year, [one.session for one in reversed(some)], coming, now, zone))
        for year, some in _yearly(reversed(shown), zone)
        if (held := tuple(one for one in some if one.place.phase.is_over and not one.session.is_cancelled))
    )
    years = {group.year: len(group.shown) for group in groups}
    pages = [_page(HISTORY, None, tuple(_recent(groups)), years, press, history)]
    pages += [_page(f"{HISTORY}/{one.year}", one.year, (one,), years, press, history) for one in groups]
    before = known.pages if known else {}
    kept = (was if (was := before.get(one.path)) and was.modified == one.modified else one for one in pages)
    return Archive(groups, {one.path: one for one in kept}, press)


def _page(
    path: str, year: int | None, groups: tuple[Group, ...], years: Mapping[int, int], press: Press, history: History
) -> Page:
    tag = digest(press.digest, repr(years), *map(_tag, groups))
    keys = (key_of(path, language) for language in LANGUAGES)
    return Page(path, year, groups, years, {key: (tag, history.since(key, tag)) for key in keys}, press)


def _tag(group: Group) -> str:
    return digest(repr(group.strip), *(one.tag for one in group.shown))


def _yearly(shown: Iterable[Shown], zone: ZoneInfo) -> Iterator[tuple[int, tuple[Shown, ...]]]:
    for year, some in groupby(shown, lambda one: one.session.start.astimezone(zone).year):
        yield year, tuple(some)


def _recent(groups: Iterable[Group]) -> Iterator[Group]:
    """The years of the first page."""
    count = 0
    for group in groups:
        if count >= RECENT:
            return
        count += len(group.shown)
        yield group


def _values(
    year: int | None, years: Mapping[int, int], groups: Iterable[Group], language: str, **others: Any
) -> dict[str, Any]:
    listed = [group.listed(language) for group in groups]
    return {"asked": "", "near": "", "count": None, "year": year, "years": years, "groups": listed, **others}
