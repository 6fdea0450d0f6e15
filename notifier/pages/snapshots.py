"""A stamped `Seminar` → a `Snapshot`: all that is published of it at one time.

Only what is of one session alone is rendered when it is first asked for, and kept from then on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from notifier import __version__, feed, talks
from notifier.pages import feeds, openapi
from notifier.pages.documents import (
    MINUTES,
    SAFE,
    Changes,
    Document,
    History,
    Site,
    digest,
    key_of,
    spoken,
)
from notifier.pages.feeds import Choice, Feeds
from notifier.pages.press import Press, Templates, head_of
from notifier.talks import Audience, Seminar, Session
from notifier.templates import LANGUAGES

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
_CHOICES = "/calendar.ics?"  # the key under which all that can be chosen of the feed is dated


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
    press: Press

    @cached_property
    def event(self) -> Document:
        """The calendar file."""
        _, since = self.modified[_event_path(self.session)]
        return self.press.event(self.session).since(since)

    @cached_property
    def pages(self) -> Mapping[str, Document]:
        """The page by language. Raises TemplateError."""
        path = _page_path(self.session)
        about = {"path": quote(path), "session": self.session, "is_over": self.is_over}
        return {
            language: self.press.page("session", language, MINUTES, **about).since(
                self.modified[key_of(path, language)][1]
            )
            for language in LANGUAGES
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is published at one time: `documents` by path, `pages` by name and language, sessions by id.

    A page whose name is a path is found there in the reader's language; the others answer for something that went
    wrong or was done. `until` is the next instant when the same seminar would be rendered otherwise. `feeds` are the
    calendars that can be chosen; `chosen` is a tag of all of them, and since when it is theirs.
    """

    documents: Mapping[str, Document]
    pages: Mapping[tuple[str, str], Document]
    shown: Mapping[str, Shown]
    seminar: Seminar
    site: Site
    until: datetime
    press: Press
    feeds: Feeds
    chosen: tuple[str, datetime]

    @property
    def keyed(self) -> dict[str, Document]:
        """Every document under one text: its path, or its page's name and language. Renders all of them."""
        sessions = self.shown.values()
        events = {_event_path(one.session): one.event for one in sessions}
        about = {key_of(_page_path(one.session), lang): page for one in sessions for lang, page in one.pages.items()}
        return {**events, **about, **self.ready}

    @property
    def modified(self) -> dict[str, tuple[str, datetime]]:
        """Each document's tag and time of change: facts to be stored, and handed to the next `build`."""
        ready = {key: (document.etag, document.modified) for key, document in self.ready.items()}
        ready[_CHOICES] = self.chosen
        return {**ready, **{key: change for one in self.shown.values() for key, change in one.modified.items()}}

    @property
    def ready(self) -> dict[str, Document]:
        """Every document that was rendered before anyone asked for it, by the keys of `modified`."""
        return {**self.documents, **{key_of(*at): page for at, page in self.pages.items()}}

    def find(self, path: str, query: str, language: str) -> Document | None:
        """The document at this address, in this language where there are several.

        Raises TemplateError.
        """
        own, path = spoken(path)
        name = path.removeprefix(_SESSIONS) if path.startswith(_SESSIONS) else ""
        if name.endswith(".ics") and (one := self.shown.get(name.removesuffix(".ics"))):
            choice = feeds.read(query, own)
            return one.event if choice == Choice() else self.feeds.find(choice, one.session.id)
        if one := self.shown.get(name):
            return one.pages[language]
        if path in self._calendars and (choice := feeds.read(query, own)) != Choice():
            return self.feeds.find(choice)
        found = self.pages.get((path, language))
        return found if found or own else self.documents.get(path)

    @property
    def _calendars(self) -> tuple[str, str]:
        return "/calendar.ics", f"/{self.seminar.id}.ics"


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
    press, known = Press(seminar, templates, site), dict[str, Shown]()
    if previous and previous.press.basis == press.basis:
        press, known = previous.press, dict(previous.shown)
    history = History(now, {**modified, **(previous.modified if previous else {})}, previous.ready if previous else {})
    shown = {one.id: _shown(one, known.get(one.id), press, history, now) for one in seminar.sessions}
    public = replace(seminar, sessions=tuple(one.session for one in shown.values()))
    schedule = _schedule(public, site, now)
    whole = {**dict(_whole(public, shown, site, now, press)), **press.assets}
    basis = digest(press.digest, whole["/talks.json"].etag)
    chosen = basis, history.since(_CHOICES, basis)
    # Rendered now, so that a template that fails on sessions at all fails here, where the old snapshot stays.
    about = {
        (_page_path(session), language): page
        for session in filter(None, (schedule["coming"], *schedule["upcoming"], *schedule["past"]))
        for language, page in shown[session.id].pages.items()
    }
    return Snapshot(
        MappingProxyType({path: history.dated(path, document) for path, document in whole.items()}),
        MappingProxyType({**about, **{at: history.dated(key_of(*at), page) for at, page in _pages(schedule, press)}}),
        MappingProxyType(shown),
        public,
        site,
        _next_change(public, now),
        press,
        Feeds(public, press, now, chosen[1], previous.feeds.asked if previous else ()),
        chosen,
    )


def _shown(source: Session, known: Shown | None, press: Press, history: History, now: datetime) -> Shown:
    """The session for the public: the one place where what is not for them is taken out.

    It is the one known before, with all that was rendered of it, where nothing has changed.
    """
    is_over = source.end <= now
    if known and known.is_over == is_over and known.source == source:
        return known
    session = talks.shown_to(Audience.PUBLIC, source, press.site.levels)
    listed = json.dumps(talks.as_json(replace(press.head, sessions=(session,)))["sessions"][0], ensure_ascii=False)
    event_tag, page_tag = digest(press.digest, listed), digest(press.digest, listed, str(is_over))
    page_keys = (key_of(_page_path(session), language) for language in LANGUAGES)
    tags = {_event_path(session): event_tag, **dict.fromkeys(page_keys, page_tag)}
    modified = {key: (tag, history.since(key, tag)) for key, tag in tags.items()}
    return Shown(source, is_over, session, listed, modified, press)


def _page_path(session: Session) -> str:
    return f"{_SESSIONS}{session.id}"


def _event_path(session: Session) -> str:
    return f"{_SESSIONS}{session.id}.ics"


def _whole(
    seminar: Seminar, shown: Mapping[str, Shown], site: Site, now: datetime, press: Press
) -> Iterator[tuple[str, Document]]:
    """The whole seminar for programs, and what their robots may read."""
    text = feed.render(seminar, now=now, base_url=site.base_url)
    calendar = press.calendar(text, seminar.id)
    yield "/calendar.ics", calendar
    yield f"/{seminar.id}.ics", calendar
    head = json.dumps(talks.as_json(head_of(seminar))["seminar"], ensure_ascii=False)
    listed = ",\n".join(one.listed for one in shown.values())
    programs = f'{{"seminar": {head}, "sessions": [\n{listed}\n], "warnings": []}}\n'
    yield "/talks.json", press.document(programs, "application/json", headers=SAFE[:1])
    interface = json.dumps(openapi.describe(press.head, site, __version__), ensure_ascii=False, indent=1)
    yield "/openapi.json", press.document(interface + "\n", "application/json", headers=SAFE[:1])
    # No word of the feed here: Google refuses a calendar that its robots may not read.
    robots = "User-agent: *\nDisallow: /unsubscribe/\n"
    yield "/robots.txt", press.document(robots, "text/plain; charset=utf-8")


def _pages(schedule: Mapping[str, Any], press: Press) -> Iterator[tuple[tuple[str, str], Document]]:
    """The landing page, and those that answer for something done or gone wrong, in every language."""
    for language in LANGUAGES:
        yield ("/", language), press.page("index", language, MINUTES, path="/", **schedule)
        for name in DIALOGUES:
            yield (name, language), press.page(name, language)
        for name in PROBLEMS:
            yield (name, language), press.page("problem", language, problem=name)


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
