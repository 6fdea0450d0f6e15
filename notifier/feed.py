"""A stamped `Seminar`, as its readers may see it → iCalendar bytes (RFC 5545, 7986) that every calendar program reads.

The same sessions give the same bytes, in any process at any time: DTSTAMP is LAST-MODIFIED, as RFC 5545 section
3.8.7.2 has it where there is no METHOD. What real programs choke on was measured and is left out: a calendar's UID,
floating times, a zone's history, HTML.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from icalendar import Calendar, vDuration, vText, vUri

from notifier.contentlines import folded, serialised
from notifier.errors import Problem
from notifier.events import END_EVENT, LONGEST_PART, alarm, event_of, events_of, line, split, summary, trim
from notifier.links import uri
from notifier.talks import Seminar, Session, Status
from notifier.timezones import timezones

PRODID = "-//seminar-notifier//notifier//EN"  # constant: clients compare it
REFRESH = timedelta(hours=4)
CANCELLED_FOR = timedelta(days=14)  # long enough for every calendar to learn of it, short enough to be no clutter
COLOR = "teal"
# What Google was seen to take in of a feed, and the part of it from which on one should know.
MOST_EVENTS, LARGEST_FEED, NEAR = 1000, 1_000_000, 0.8

_END = b"END:VCALENDAR\r\n"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Options:
    """What a reader asks of the feed.

    `past` is how many whole days it goes back, None for all; `at_least` so many of the latest past sessions stay in it
    even when they are older; `alarms` are how long before each session to come the calendar rings; `split` makes an
    event of each talk instead of each session.
    """

    past: timedelta | None = timedelta(days=365)
    at_least: int = 0
    cancelled: bool = True
    alarms: tuple[timedelta, ...] = ()
    split: bool = False


# A year back, and the last hundred sessions however old: readers miss past talks, and Google drops feeds of a megabyte.
USUAL = Options(at_least=100)


def render(
    seminar: Seminar,
    *,
    now: datetime,
    base_url: str,
    language: str = "",
    options: Options = USUAL,
    source: str | None = None,
) -> bytes:
    """The feed as bytes; they change only when a session does, or at a midnight of the seminar when one leaves it.

    `language` is `zh` or `en`, or empty for both at once. `source` is the address that the feed names as its own, None
    for the usual one, empty for none.
    """
    today = _midnight(now, seminar)
    base = base_url.rstrip("/")
    sessions = _in_window(seminar.sessions, today, options)
    if options.split:
        sessions = [part for session in sessions for part in split(session)]
    own = f"{base}/{quote(seminar.id)}.ics" if source is None else source
    name, description = seminar.name_in(language), seminar.description_in(language)
    head = _head(name, description, seminar.timezone, base, own)
    events = events_of(sessions, name, base, language)
    if options.alarms:
        events = [
            _with_alarms(event, session, name, language, options, today)
            for event, session in zip(events, sessions, strict=True)
        ]
    return _joined(head, seminar, sessions, events)


def size_warnings(seminar: Seminar, *, now: datetime, base_url: str) -> tuple[Problem, ...]:
    """What to know where the feed nears what Google takes in of one, with the figures of smaller forms of it."""
    events, octets = _size(seminar, now, base_url, USUAL)
    if events < NEAR * MOST_EVENTS and octets < NEAR * LARGEST_FEED:
        return ()
    limits = _figures(MOST_EVENTS, LARGEST_FEED)
    told = f"the feed has {_figures(events, octets)}; Google passes over what is beyond {limits}"
    smaller = []
    for query, past in (("past=90d", timedelta(days=90)), ("past=none", timedelta(0))):
        smaller.append(f"?{query} ({_figures(*_size(seminar, now, base_url, Options(past=past)))})")
    advice = f"give readers there {base_url}/{quote(seminar.id)}.ics{' or '.join(smaller)}, or shorten abstracts"
    return (Problem(told, advice),)


def as_jcal(calendar: bytes) -> bytes:
    """The same calendar in JSON (RFC 7265)."""
    document = Calendar.from_ical(calendar).to_jcal()
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _size(seminar: Seminar, now: datetime, base_url: str, options: Options) -> tuple[int, int]:
    data = render(seminar, now=now, base_url=base_url, options=options)
    return data.count(b"\r\nBEGIN:VEVENT\r\n"), len(data)


def _figures(events: int, octets: int) -> str:
    return f"{events:,} events and {octets / 1e6:.1f} MB"


def single(
    session: Session,
    seminar: Seminar,
    *,
    base_url: str,
    method: str = "",
    organizer: str = "",
    language: str = "",
    options: Options = USUAL,
    now: datetime | None = None,
) -> bytes:
    """One session as a document of its own, with the same event that the feed has.

    With a `method` it is a message (RFC 5546): PUBLISH to be added to a calendar, CANCEL to be taken out of it, either
    with the address of the `organizer` whose word it is; and without abstracts, which the mail has anyway. Alarms ring
    only where `now` tells that the session is to come.
    """
    calendar = _calendar(seminar.timezone)
    if method:
        calendar.add("METHOD", method)
        # Thunderbird shows all of it above the letter.
        session = replace(session, talks=tuple(replace(t, abstract="", abstract_zh="") for t in session.talks))
    name, base = seminar.name_in(language), base_url.rstrip("/")
    sessions = list(split(session)) if options.split else [session]
    events = [event_of(one, name, base, language) for one in sessions]
    if now is not None:
        today = _midnight(now, seminar)
        events = [
            _with_alarms(event, one, name, language, options, today)
            for event, one in zip(events, sessions, strict=True)
        ]
    if organizer:
        told = folded(f"ORGANIZER:mailto:{quote(organizer, safe='@+')}".encode())
        events = [event.removesuffix(END_EVENT) + told + END_EVENT for event in events]
    return _joined(_opened(calendar), seminar, sessions, events)


def last_turn(seminar: Seminar, now: datetime, options: Options) -> datetime | None:
    """The latest midnight up to now at which a session may have left this feed, or ceased to ring in it."""
    spans = [options.past] if options.past is not None else []
    if options.alarms or options.at_least:
        spans.append(timedelta(0))
    today = _midnight(now, seminar)
    left = (s.end + span for s in seminar.sessions for span in (*spans, *((CANCELLED_FOR,) if s.is_cancelled else ())))
    return max((_midnight(at, seminar) + _DAY for at in left if at < today), default=None)


def _midnight(moment: datetime, seminar: Seminar) -> datetime:
    zone = ZoneInfo(seminar.timezone)
    return datetime.combine(moment.astimezone(zone).date(), time(), zone)


def _in_window(sessions: Iterable[Session], today: datetime, options: Options) -> list[Session]:
    """The sessions that the feed holds, in their order. By whole days, so that a day has one feed."""
    off, seen_until = Status.CANCELLED, today - CANCELLED_FOR
    shown = [s for s in sessions if s.status is not off or (options.cancelled and s.end >= seen_until)]
    if options.past is None:
        return shown
    over = [s.id for s in shown if s.end < today]
    kept = set(over[-options.at_least :]) if options.at_least else set()
    return [s for s in shown if s.end >= today - options.past or s.id in kept]


def _with_alarms(
    event: bytes, session: Session, seminar_name: str, language: str, options: Options, today: datetime
) -> bytes:
    """The event with what rings before it; nothing rings for what is over or called off."""
    if session.is_cancelled or session.end < today:
        return event
    text = summary(session, seminar_name, language)
    alarms = (alarm(session, before, text) for before in options.alarms)
    return b"".join((event.removesuffix(END_EVENT), *alarms, END_EVENT))


def _joined(head: bytes, seminar: Seminar, sessions: Sequence[Session], events: Iterable[bytes]) -> bytes:
    """The document of ready-made parts: serialising is slow, so what did not change is not serialised again."""
    return b"".join((head, *timezones(sessions, seminar.timezone), *events, _END))


def _opened(calendar: Calendar) -> bytes:
    """The calendar up to where its components begin."""
    return serialised(calendar).removesuffix(_END)


def _calendar(timezone: str) -> Calendar:
    # Not Calendar.new(), which adds a random UID: with any UID here vdirsyncer shows one event of twelve.
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", PRODID)
    calendar.add("CALSCALE", "GREGORIAN")
    calendar.add("X-WR-TIMEZONE", vText(timezone))
    return calendar


@functools.lru_cache(maxsize=64)
def _head(name: str, description: str, timezone: str, base_url: str, source: str) -> bytes:
    calendar = _calendar(timezone)
    # Properties that icalendar does not know are escaped only as vText.
    title = vText(line(name))
    calendar.add("NAME", title)
    calendar.add("X-WR-CALNAME", title)
    if description:
        about = vText(trim(line(description), LONGEST_PART))
        calendar.add("DESCRIPTION", about)
        calendar.add("X-WR-CALDESC", about)
    # RFC 7986 section 5.7: "no default", so the type has to be named.
    calendar.add("REFRESH-INTERVAL", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("X-PUBLISHED-TTL", vDuration(REFRESH))
    calendar.add("COLOR", COLOR)
    if source:
        calendar.add("SOURCE", vUri(uri(source)), parameters={"VALUE": "URI"})
    calendar.add("URL", vUri(f"{uri(base_url)}/"))
    return _opened(calendar)
