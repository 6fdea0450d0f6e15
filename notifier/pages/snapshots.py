"""A stamped `Seminar` → a `Snapshot`: all that is published of it at one time.

Only what is of one session or one past year alone is rendered when it is first asked for, and kept from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from notifier import __version__, feed, talks
from notifier.pages import atom, feeds, forms, openapi
from notifier.pages.archive import HISTORY, Archive, Page, archive
from notifier.pages.documents import (
    MINUTES,
    SAFE,
    SAFE_EMBEDDED,
    Changes,
    Document,
    History,
    Site,
    digest,
    key_of,
    spoken,
)
from notifier.pages.feeds import Choice, Feeds
from notifier.pages.phases import phase, turns
from notifier.pages.press import Press, Templates, head_of
from notifier.pages.shown import SESSIONS, Place, Shown, event_path, page_path, show
from notifier.pages.strips import Strip, strip
from notifier.talks import Audience, Seminar, Session
from notifier.templates import LANGUAGES

UPCOMING, PAST = 12, 6  # sessions listed on the landing page; the feed has the others

DIALOGUES = ("asked", "confirm", "erased", "unsubscribe", "unsubscribed", "resubscribed")
PROBLEMS = MappingProxyType(
    {
        "bad-request": 400,
        "foreign": 403,
        "closed": 403,
        "blocked": 403,
        "bad-link": 404,
        "not-found": 404,
        "not-allowed": 405,
        "too-slow": 408,
        "old-link": 410,
        "too-large": 413,
        "address-too-long": 414,
        "too-many": 429,
        "head-too-large": 431,
        "broken": 500,
        "unavailable": 503,
    }
)

JCALENDAR = "/calendar.json"
_CHOICES = "/calendar.ics?"  # the key under which all that can be chosen of the feed is dated


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is published at one time: `documents` by path, `pages` by name and language, sessions by id.

    A page whose name is a path is found there in the reader's language; the others answer for something that went
    wrong or was done. From `since` to before `until` the same seminar is rendered like this. `feeds` are the calendars
    that can be chosen, `private` those that show what is for subscribers alone; `chosen` is a tag of all of them, and
    since when it is theirs.
    """

    documents: Mapping[str, Document]
    pages: Mapping[tuple[str, str], Document]
    shown: Mapping[str, Shown]
    archive: Archive
    seminar: Seminar
    site: Site
    since: datetime
    until: datetime
    press: Press
    feeds: Feeds
    private: Feeds
    chosen: tuple[str, datetime]

    def is_true_at(self, now: datetime) -> bool:
        """Whether it is as it would be rendered now; not so either where the clock was ahead when it was."""
        return self.since <= now < self.until

    @property
    def keyed(self) -> dict[str, Document]:
        """Every document under one text: its path, or its page's name and language. Renders all of them."""
        sessions = self.shown.values()
        events = {event_path(one.session): one.event for one in sessions}
        about = {key_of(page_path(one.session), lang): page for one in sessions for lang, page in one.pages.items()}
        years = {
            key_of(path, lang): page for path, one in self.archive.pages.items() for lang, page in one.pages.items()
        }
        return {**events, **about, **years, **self.ready}

    @property
    def modified(self) -> dict[str, tuple[str, datetime]]:
        """Each document's tag and time of change: facts to be stored, and handed to the next `build`."""
        ready = {key: (document.etag, document.modified) for key, document in self.ready.items()}
        ready[_CHOICES] = self.chosen
        late: tuple[Shown | Page, ...] = (*self.shown.values(), *self.archive.pages.values())
        return {**ready, **{key: change for one in late for key, change in one.modified.items()}}

    @property
    def ready(self) -> dict[str, Document]:
        """Every document that was rendered before anyone asked for it, by the keys of `modified`."""
        return {**self.documents, **{key_of(*at): page for at, page in self.pages.items()}}

    def warm(self) -> None:
        """Makes what the first reader would wait for: encodings of what is large, and the texts that are searched."""
        for document in self.ready.values():
            document.compress()
        self.feeds.compress()
        self.private.compress()
        self.archive.warm()

    def find(self, path: str, query: str, language: str) -> Document | None:
        """The document at this address, in this language where there are several.

        Raises TemplateError.
        """
        own, path = spoken(path)
        name = path.removeprefix(SESSIONS) if path.startswith(SESSIONS) else ""
        if name.endswith(".ics") and (one := self.shown.get(name.removesuffix(".ics"))):
            choice = feeds.read(query, own)
            return one.event if choice == Choice() else self.feeds.find(choice, one.session.id)
        if one := self.shown.get(name):
            return one.pages[language]
        if path in self._calendars and (choice := feeds.read(query, own)) != Choice():
            return self.feeds.find(choice)
        if (own, path) == ("", JCALENDAR):
            return self.feeds.as_jcal(self.documents["/calendar.ics"])
        found = self.archive.find(path, query, language) or self.pages.get((path, language))
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
    press, known, known_past = Press(seminar, templates, site), dict[str, Shown](), None
    if previous and previous.press.basis == press.basis:
        press, known, known_past = previous.press, dict(previous.shown), previous.archive
    else:
        press.try_out(forms.samples(seminar))
    history = History(now, {**modified, **(previous.modified if previous else {})}, previous.ready if previous else {})
    places = _places(seminar, now)
    seen = {one.id: show(one, places[one.id], known.get(one.id), press, history) for one in seminar.sessions}
    public = replace(seminar, sessions=tuple(one.session for one in seen.values()))
    schedule = _schedule(public, seen, now)
    past = archive(tuple(seen.values()), public.next_session(now), press, history, now, known_past)
    whole = {**dict(_whole(public, seen, site, now, press)), **press.assets}
    basis = digest(press.digest, whole["/talks.json"].etag)
    chosen = basis, history.since(_CHOICES, basis)
    whole_pages = (*_pages(schedule, press), *_followed(public, seen, press))
    # Rendered now, so that a template that fails on sessions or years fails here, where the old snapshot stays.
    late: dict[str, Shown | Page] = {page_path(one.session): one for one in schedule.shown}
    late[HISTORY] = past.pages[HISTORY]
    about = {(path, language): page for path, one in late.items() for language, page in one.pages.items()}
    return Snapshot(
        MappingProxyType({path: history.dated(path, document) for path, document in whole.items()}),
        MappingProxyType({**about, **{at: history.dated(key_of(*at), page) for at, page in whole_pages}}),
        MappingProxyType(seen),
        past,
        public,
        site,
        now,
        _next_change(public, now),
        press,
        Feeds(public, press, now, chosen[1], previous.feeds.asked if previous else ()),
        _private(seminar, press, now, chosen[1], previous),
        chosen,
    )


def _private(seminar: Seminar, press: Press, now: datetime, since: datetime, previous: Snapshot | None) -> Feeds:
    shown = talks.shown(Audience.SUBSCRIBERS, seminar, press.site.levels)
    return Feeds(shown, press, now, since, previous.private.asked if previous else (), are_private=True)


def _places(seminar: Seminar, now: datetime) -> dict[str, Place]:
    """Where each session stands. On the way from one to the next, those called off are passed over."""
    previous = _neighbours(seminar.sessions)
    following = _neighbours(seminar.sessions[::-1])
    return {one.id: Place(phase(one, now), previous[one.id], following[one.id]) for one in seminar.sessions}


def _neighbours(sessions: tuple[Session, ...]) -> dict[str, tuple[str, datetime] | None]:
    """Of each session the one that comes before it in this order."""
    found: dict[str, tuple[str, datetime] | None] = {}
    last = None
    for one in sessions:
        found[one.id] = last
        last = last if one.is_cancelled else (one.id, one.start)
    return found


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
    # No word of feeds here, be they public or somebody's own: Google refuses a calendar that its robots may not read.
    robots = "".join(f"Disallow: {site.root}/{private}/\n" for private in ("confirm", "preferences", "unsubscribe"))
    robots = f"User-agent: *\n{robots}Sitemap: {site.base_url}/sitemap.xml\n"
    yield "/robots.txt", press.document(robots, "text/plain; charset=utf-8")
    yield "/sitemap.xml", press.document(_sitemap(seminar, site), "application/xml", headers=SAFE[:1])


def _sitemap(seminar: Seminar, site: Site) -> str:
    """The pages that search engines are to find, as sitemaps.org has it."""
    pages = ["/", "/history", "/subscribe", *(quote(page_path(one)) for one in seminar.sessions)]
    listed = "\n".join(f"<url><loc>{escape(site.base_url + path)}</loc></url>" for path in pages)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{listed}
</urlset>
"""


def _pages(schedule: Schedule, press: Press) -> Iterator[tuple[tuple[str, str], Document]]:
    """The pages about the whole seminar, and those that answer for something done or gone wrong, in every language."""
    for language in LANGUAGES:
        told = schedule.told(language)
        yield ("/", language), press.page("index", language, MINUTES, path="/", **told)
        yield ("/subscribe", language), press.page("subscribe", language, MINUTES, path="/subscribe", **forms.ways())
        yield ("/embed", language), press.page("embed", language, MINUTES, SAFE_EMBEDDED, **told)
        for name in DIALOGUES:
            yield (name, language), press.standing(name, language)
        for name in PROBLEMS:
            yield (name, language), press.standing("problem", language, problem=name)


def _followed(seminar: Seminar, shown: Mapping[str, Shown], press: Press) -> Iterator[tuple[tuple[str, str], Document]]:
    """The news of the seminar in every language."""
    sessions = atom.newest(seminar.sessions)
    for language in LANGUAGES:
        entries = [(session, shown[session.id].reading(language)) for session in sessions]
        headers = (("Content-Language", LANGUAGES[language]), *SAFE[:1])
        text = atom.render(press.head, press.site, language, entries)
        yield (atom.PATH, language), press.document(text, "application/atom+xml", headers=headers)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the landing page tells: its sessions, parted by the clock, and in how many days the next one is.

    `called_off` are those before the next one, which somebody may still be waiting for.
    """

    coming: Shown | None
    days: int
    called_off: tuple[Shown, ...]
    upcoming: tuple[Shown, ...]
    past: tuple[Shown, ...]
    strip: Strip

    @property
    def shown(self) -> tuple[Shown, ...]:
        """All of its sessions."""
        return (*((self.coming,) if self.coming else ()), *self.called_off, *self.upcoming, *self.past)

    def told(self, language: str) -> dict[str, Any]:
        """The same as templates know it in this language."""
        return {
            **(self.coming.about(language) if self.coming else {}),
            "coming": self.coming and self.coming.session,
            "days": self.days,
            "called_off": [one.session for one in self.called_off],
            "upcoming": [one.entry(language) for one in self.upcoming],
            "past": [one.entry(language) for one in self.past],
            "strip": self.strip,
        }


def _schedule(seminar: Seminar, seen: Mapping[str, Shown], now: datetime) -> Schedule:
    zone = ZoneInfo(seminar.timezone)
    today, coming = now.astimezone(zone).date(), seminar.next_session(now)
    ahead = [seen[s.id] for s in seminar.sessions if s.end > now and s is not coming]
    since = coming.start if coming else now
    past = (seen[s.id] for s in reversed(seminar.sessions) if s.end <= now and not s.is_cancelled)
    return Schedule(
        coming=seen[coming.id] if coming else None,
        days=(coming.start.astimezone(zone).date() - today).days if coming else 0,
        called_off=tuple(one for one in ahead if one.session.start < since)[:UPCOMING],
        upcoming=tuple(one for one in ahead if one.session.start >= since)[:UPCOMING],
        past=tuple(islice(past, PAST)),
        strip=strip(today.year, seminar.sessions, coming, now, zone),
    )


def _next_change(seminar: Seminar, now: datetime) -> datetime:
    """The next turn of a session, and midnight at the latest, when "tomorrow" becomes "today"."""
    zone = ZoneInfo(seminar.timezone)
    midnight = datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time(), zone)
    coming = (at for session in seminar.sessions for at, _ in turns(session) if at > now)
    return min((midnight, *coming)).astimezone(UTC)
