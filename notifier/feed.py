"""A stamped `Seminar`, as its readers may see it → iCalendar bytes (RFC 5545, 7986) that every calendar program reads.

The same sessions give the same bytes, in any process at any time: DTSTAMP is LAST-MODIFIED, as RFC 5545 section
3.8.7.2 has it where there is no METHOD. What real programs choke on was measured and is left out: a calendar's UID,
floating times, a zone's history, HTML.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from icalendar import (
    Alarm,
    Calendar,
    Component,
    Event,
    Parameters,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCategory,
    vDDDTypes,
    vDuration,
    vInt,
    vRecur,
    vText,
    vUri,
)
from icalendar.timezone import is_utc

from notifier.errors import Problem
from notifier.mathtext import plain_math
from notifier.talks import Link, Seminar, Session, Status, Talk, grouped

PRODID = "-//seminar-notifier//notifier//EN"  # constant: clients compare it
LONGEST_SUMMARY = 255
LONGEST_DESCRIPTION = 8000  # Google's limit
LONGEST_PART = 1000  # of anything but an abstract, so that how to join is never pushed out
REFRESH = timedelta(hours=4)
CANCELLED_FOR = timedelta(days=14)  # long enough for every calendar to learn of it, short enough to be no clutter
CANCELLED = "[已取消 Cancelled]"
COLOR = "teal"
# What Google was seen to take in of a feed, and the part of it from which on one should know.
MOST_EVENTS, LARGEST_FEED, NEAR = 1000, 1_000_000, 0.8

_END = b"END:VCALENDAR\r\n"
_END_EVENT = b"END:VEVENT\r\n"
_DAY = timedelta(days=1)
_FOLD = 74  # octets of a piece beside the space that it begins with
_SECOND = timedelta(seconds=1)
_MOST_EVENTS, _MOST_ABOUT = 8192, 16
_TABLES_END = 2038  # the year in which zones' tables end; a rule that holds until then is taken to stay
_OPENABLE = re.compile(r"(https?://|wemeet:|zoommtg:|msteams:|rtsps?://|ftp://|sips?:|tel:)\S", re.IGNORECASE)
_PROVIDERS = MappingProxyType(
    {
        "meeting.tencent.com": "腾讯会议 Tencent Meeting",
        "voovmeeting.com": "腾讯会议 VooV Meeting",
        "zoom.us": "Zoom",
        "zoom.com": "Zoom",
        "zoom.com.cn": "Zoom",
        "teams.microsoft.com": "Microsoft Teams",
        "teams.live.com": "Microsoft Teams",
        "meet.google.com": "Google Meet",
    }
)
_SAID = MappingProxyType(
    {
        "online": ("在线会议", "Online meeting"),
        "join": ("参会链接", "Join"),
        "meeting_id": ("会议号", "Meeting ID"),
        "passcode": ("密码", "Passcode"),
        "alternate_id": ("备用会议号(无密码)", "Alternate meeting ID (no passcode)"),
        "download_url": ("客户端下载", "Download"),
        "livestream": ("直播", "Livestream"),
        "details": ("详情", "Details"),
        "homepage": ("主页", "Homepage"),
        "slides": ("幻灯片", "Slides"),
        "replay": ("回放", "Replay"),
        "tba": ("待定", "TBA"),
    }
)


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
        sessions = [part for session in sessions for part in _split(session)]
    own = f"{base}/{quote(seminar.id)}.ics" if source is None else source
    name, description = seminar.name_in(language), seminar.description_in(language)
    head = _head(name, description, seminar.timezone, base, own)
    events = _events(sessions, name, base, language)
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
    with the address of the `organizer` whose word it is. Alarms ring only where `now` tells that the session is to
    come.
    """
    calendar = _calendar(seminar.timezone)
    if method:
        calendar.add("METHOD", method)
    name, base = seminar.name_in(language), base_url.rstrip("/")
    sessions = list(_split(session)) if options.split else [session]
    events = [_event(one, name, base, language) for one in sessions]
    if now is not None:
        today = _midnight(now, seminar)
        events = [
            _with_alarms(event, one, name, language, options, today)
            for event, one in zip(events, sessions, strict=True)
        ]
    if organizer:
        line = _folded(f"ORGANIZER:mailto:{quote(organizer, safe='@+')}".encode())
        events = [event.removesuffix(_END_EVENT) + line + _END_EVENT for event in events]
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
    alarms = (_serialised(_alarm(session, before, text)) for before in options.alarms)
    return b"".join((event.removesuffix(_END_EVENT), *alarms, _END_EVENT))


@functools.lru_cache(maxsize=_MOST_EVENTS)
def _split(session: Session) -> tuple[Session, ...]:
    """The session as one for each talk, with an identity that lasts while the talks keep their order."""
    if len(session.talks) < 2:
        return (session,)
    local, _, domain = session.uid.rpartition("@")
    return tuple(
        replace(
            session,
            uid=f"{local}-talk-{number}@{domain}",
            talks=(talk,),
            start=talk.start or session.start,
            end=talk.end or session.end,
        )
        for number, talk in enumerate(session.talks, start=1)
    )


def _joined(head: bytes, seminar: Seminar, sessions: Sequence[Session], events: Iterable[bytes]) -> bytes:
    """The document of ready-made parts: serialising is slow, so what did not change is not serialised again."""
    return b"".join((head, *_timezones(sessions, seminar.timezone), *events, _END))


def _serialised(component: Component) -> bytes:
    """What `to_ical` gives, to the octet; icalendar folds by the character, a quarter of all that a new list costs."""
    return b"".join(_folded(line.encode()) for line in component.content_lines() if line)


def _folded(line: bytes) -> bytes:
    """A content line (RFC 5545 section 3.1) in pieces of at most 75 octets that part no character and no escape."""
    pieces, begin = [], 0
    while len(line) - begin > _FOLD:
        end = begin + _FOLD
        while line[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        if line[end - 1] in b"\\^":
            end -= 1
        pieces.append(line[begin:end])
        begin = end
    return b"\r\n ".join((*pieces, line[begin:])) + b"\r\n"


def _opened(calendar: Calendar) -> bytes:
    """The calendar up to where its components begin."""
    return _serialised(calendar).removesuffix(_END)


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
    title = vText(_line(name))
    calendar.add("NAME", title)
    calendar.add("X-WR-CALNAME", title)
    if description:
        about = vText(_trim(_line(description), LONGEST_PART))
        calendar.add("DESCRIPTION", about)
        calendar.add("X-WR-CALDESC", about)
    # RFC 7986 section 5.7: "no default", so the type has to be named.
    calendar.add("REFRESH-INTERVAL", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("X-PUBLISHED-TTL", vDuration(REFRESH))
    calendar.add("COLOR", COLOR)
    if source:
        calendar.add("SOURCE", vUri(_uri(source)), parameters={"VALUE": "URI"})
    calendar.add("URL", vUri(f"{_uri(base_url)}/"))
    return _opened(calendar)


# By the very object that a session is, since of thousands nearly all are those of the last time; each is kept alive
# here, so that no other can have its number. Whatever is dropped is found by its value still.
_made: dict[tuple[str, str, str], dict[int, tuple[Session, bytes]]] = {}


def _events(sessions: Iterable[Session], seminar_name: str, base_url: str, language: str) -> list[bytes]:
    about = seminar_name, base_url, language
    if about not in _made and len(_made) >= _MOST_ABOUT:
        _made.clear()
    made = _made.setdefault(about, {})
    if len(made) > _MOST_EVENTS:
        made.clear()

    def event(session: Session) -> tuple[Session, bytes]:
        one = made[id(session)] = session, _event(session, *about)
        return one

    return [(made.get(id(session)) or event(session))[1] for session in sessions]


def forget() -> None:
    """Drops all events that were made already."""
    _made.clear()
    _event.cache_clear()


# A session that did not change is the same value, and so its event is the same bytes. Room for two languages of a
# feed of thousands; the bytes of one are some kilobytes.
@functools.lru_cache(maxsize=_MOST_EVENTS)
def _event(session: Session, seminar_name: str, base_url: str, language: str) -> bytes:
    page = f"{_uri(base_url)}/sessions/{quote(session.id, safe='')}"
    modified = vDDDTypes((session.modified or session.start).astimezone(UTC))
    # Of ready values, since finding the type of each by its name takes as long as writing it.
    event = Event(
        {
            "UID": vText(_typed(session.uid or session.id)),
            "DTSTAMP": modified,
            "LAST-MODIFIED": modified,
            "CREATED": vDDDTypes((session.created or session.modified or session.start).astimezone(UTC)),
            "SEQUENCE": vInt(session.revision),
            "DTSTART": vDDDTypes(_local(session.start, session.timezone)),
            "DTEND": vDDDTypes(_local(session.end, session.timezone)),
            "SUMMARY": vText(summary(session, seminar_name, language)),
            "DESCRIPTION": vText(_description(session, page, language)),
            "URL": vUri(page),
            "STATUS": vText(session.status.upper()),
            "TRANSP": vText("TRANSPARENT" if session.is_cancelled else "OPAQUE"),
            "CLASS": vText("PUBLIC"),
            "CATEGORIES": vCategory([_line(seminar_name)]),
        }
    )
    if location := _location(session, language):
        event["LOCATION"] = vText(location)
    _add_conferences(event, session, language)
    return _serialised(event)


def _local(moment: datetime, zone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(zone))
    # RFC 5545 section 3.3.5: of an hour that is lived through twice, a local time is the first; UTC can say the other.
    return moment.astimezone(UTC) if local.fold else local


def _add_conferences(event: Event, session: Session, language: str) -> None:
    # Not icalendar's Conference, which writes the features as one quoted string.
    if meeting := _uri(session.room.url):
        label = _label(_provider(meeting, language))
        event.add("CONFERENCE", vUri(meeting), parameters=_conference(["AUDIO", "VIDEO", "SCREEN"], label))
    if stream := _uri(session.livestream.url):
        label = _label(session.livestream.label or _say("livestream", language))
        event.add("CONFERENCE", vUri(stream), parameters=_conference(["FEED"], label))


def _conference(features: list[str], label: str) -> Parameters:
    return Parameters(VALUE="URI", FEATURE=features, LABEL=label)


def _alarm(session: Session, before: timedelta, text: str) -> Alarm:
    alarm = Alarm()
    alarm.add("UID", f"alarm-{before // timedelta(minutes=1)}-{_typed(session.uid or session.id)}")
    alarm.add("ACTION", "DISPLAY")
    alarm.add("TRIGGER", -before)
    alarm.add("DESCRIPTION", text)
    return alarm


def summary(session: Session, seminar_name: str, language: str) -> str:
    """Who talks about what, on one line; the seminar's name where nothing is known yet. `language` as of `render`."""
    talks = [_headline(talk, language) for talk in session.talks]
    known = any(talk.title or talk.title_zh or talk.speakers for talk in session.talks)
    text = " · ".join(talks) if known else f"{_line(seminar_name)}: {_say('tba', language)}"
    return _trim(f"{CANCELLED} {text}" if session.is_cancelled else text, LONGEST_SUMMARY)


def _headline(talk: Talk, language: str) -> str:
    speakers = ", ".join(_line(speaker.name) for speaker in talk.speakers)
    title = _title(talk, language)
    return f"{speakers}: {title}" if speakers else title


def _title(talk: Talk, language: str) -> str:
    return _line(talk.title_in(language) or talk.title_zh) or _say("tba", language)


def _location(session: Session, language: str) -> str:
    room = session.room
    meeting = _link(room.url)
    if meeting or room.meeting_id:
        return " ".join(filter(None, (_provider(meeting, language), _typed(grouped(room.meeting_id)), meeting)))
    return " ".join(filter(None, (_line(session.livestream.label), _link(session.livestream.url))))


def _provider(url: str, language: str) -> str:
    """Whose meeting it is by the link's host, which must be theirs and not only look like it."""
    host = _host(url)
    found = (name for domain, name in _PROVIDERS.items() if host == domain or host.endswith(f".{domain}"))
    return next(found, _say("online", language))


def _host(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""


def _description(session: Session, page: str, language: str) -> str:
    """First what is urgent, then how to join, then the talks, their abstracts as long as there is room for."""
    head = [_trim(_text(session.notice), LONGEST_PART), _joining(session, page, language)]
    parts = [_talk_parts(talk, number, session, language) for number, talk in enumerate(session.talks, start=1)]
    abstracts = [_text(talk.abstract_in(language) or talk.abstract_zh) for talk in session.talks]
    used = len("\n\n".join(filter(None, head))) + sum(len(top) + len(links) + 4 for top, links in parts)
    shares = _shares([len(abstract) for abstract in abstracts], LONGEST_DESCRIPTION - used)
    talks = (
        "\n".join(filter(None, (top, _trim(abstract, share), links)))
        for (top, links), abstract, share in zip(parts, abstracts, shares, strict=True)
    )
    return _trim("\n\n".join(filter(None, (*head, *talks))), LONGEST_DESCRIPTION)


def _joining(session: Session, page: str, language: str) -> str:
    room, stream = session.room, session.livestream
    values = {
        "join": _link(room.url),
        "meeting_id": _typed(grouped(room.meeting_id)),
        "passcode": _typed(room.passcode),
        "alternate_id": _typed(grouped(room.alternate_id)),
        "livestream": _link(stream.url) or _line(stream.label),
        "download_url": _link(room.download_url),
        "details": page,
    }
    return _labelled(values, language)


def _talk_parts(talk: Talk, number: int, session: Session, language: str) -> tuple[str, str]:
    """What stands above a talk's abstract, and what below."""
    place = f"{number}. " if len(session.talks) > 1 else ""
    lines = [f"{place}{_slot(talk, session.timezone)}{_title(talk, language)}"]
    for speaker in talk.speakers:
        affiliations = "; ".join(map(_line, speaker.affiliations))
        lines.append(_line(speaker.name) + (f" ({affiliations})" if affiliations else ""))
        if speaker.homepage:
            lines.append(_labelled({"homepage": _link(speaker.homepage)}, language))
    slides = talk.slides or Link()
    links = {"slides": _link(slides.url) or _line(slides.label), "replay": _link(talk.replay)}
    return _trim("\n".join(lines), LONGEST_PART), _trim(_labelled(links, language), LONGEST_PART)


def _slot(talk: Talk, zone: str) -> str:
    times = (moment.astimezone(ZoneInfo(zone)) for moment in (talk.start, talk.end) if moment)
    hours = "–".join(f"{local.hour}:{local.minute:02}" for local in times)
    return f"{hours} " if hours else ""


def _labelled(values: Mapping[str, str], language: str) -> str:
    return "\n".join(f"{_say(what, language)}: {value}" for what, value in values.items() if value)


def _shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much room each text gets: the short ones what they need, the long ones the same."""
    shares = [0] * len(lengths)
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for done, place in enumerate(by_length):
        shares[place] = max(0, min(lengths[place], room // (len(lengths) - done)))
        room -= shares[place]
    return shares


def _say(what: str, language: str) -> str:
    chinese, english = _SAID[what]
    return {"zh": chinese, "en": english}.get(language, f"{chinese} {english}")


def _text(text: str) -> str:
    r"""The text in Unicode and without a backslash: two of fifteen programs take an escaped `\nu` for a line break."""
    return plain_math(text).replace("\\", "∖")


def _typed(text: str) -> str:
    """What is typed in to join, letter by letter: no LaTeX is looked for in it."""
    return text.replace("\\", "∖")


def _line(text: str) -> str:
    return " ".join(_text(text).split())


def _label(text: str) -> str:
    """The text as a parameter's value: what RFC 6868 would escape with a circumflex kills sabre 2.1."""
    return re.sub(r"[\"^\n]", "", _line(text))


def _trim(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(0, longest - 1)].rstrip() + "…" * (longest > 0)


def _link(url: str) -> str:
    """The link as it stands in a text; one that is cut short or odd is still better than none."""
    return _uri(url) or _line(url)


@functools.lru_cache(maxsize=4096)  # a meeting's link is that of all its sessions
def _uri(url: str) -> str:
    """The link in ASCII, without the comma at which clients cut it; empty where it is none that a program may open."""
    escaped = re.sub("%(?![0-9A-Fa-f]{2})", "%25", url)  # a sign that escapes nothing stands for itself
    return quote(escaped, safe="%/:=&?~#+!$;'@()*[]") if _OPENABLE.match(url) else ""


def _timezones(sessions: Sequence[Session], fallback: str) -> Iterator[bytes]:
    """A VTIMEZONE for each zone that an event names, in the order of their names."""
    firsts = {session.timezone: session.start for session in reversed(sessions)}  # they are in order
    # RFC 5545 section 3.6: a calendar has at least one component, also when there is no event.
    zones = {zone: at.astimezone(ZoneInfo(zone)).year for zone, at in firsts.items() if not is_utc(ZoneInfo(zone))}
    if not sessions:
        zones = {fallback: 2020}
    for zone, year in sorted(zones.items()):
        yield _timezone(zone, year)


@dataclass(frozen=True, slots=True)
class _Onsets:
    """Every time at which a zone's offset goes from one to another, by the clock that runs until then."""

    before: timedelta
    after: timedelta
    name: str
    starts: tuple[datetime, ...]


@functools.lru_cache(maxsize=64)
def _timezone(zone: str, year: int) -> bytes:
    """The zone's rules from this year on: one block where there is no summer time, else one for each yearly rule.

    Not Timezone.from_tzid(): it lists the days of decades in one RDATE, which breaks Ruby's reader and which Emacs and
    Outlook misread, lets summer time begin an hour late, and misses the short ones of Morocco.
    """
    # Two years before the first event: ts-ics passes over the first day of a rule such as the last Sunday of October.
    first = datetime(min(max(year - 2, 1970), _TABLES_END - 2), 1, 1, tzinfo=UTC)
    onsets = _onsets(ZoneInfo(zone), first, datetime(_TABLES_END, 1, 1, tzinfo=UTC))
    timezone = Timezone()
    timezone.add("TZID", zone)
    # What held at first matters only where nothing else has begun before the first event.
    if not any(one.starts[0].year < year for one in onsets):
        timezone.add_component(_block(_opening(ZoneInfo(zone), first), first.replace(tzinfo=None), None))
    for one in onsets:
        for start, rule in _rules(one):
            timezone.add_component(_block(one, start, rule))
    return _serialised(timezone)


def _opening(zone: ZoneInfo, first: datetime) -> _Onsets:
    offset = _offset(first, zone)
    return _Onsets(offset, offset, first.astimezone(zone).tzname() or "", ())


def _onsets(zone: ZoneInfo, first: datetime, end: datetime) -> list[_Onsets]:
    found: dict[tuple[timedelta, timedelta, str], list[datetime]] = {}
    for change in _changes(zone, first, end):
        before, after = _offset(change - _SECOND, zone), _offset(change, zone)
        kind = before, after, change.astimezone(zone).tzname() or ""
        # RFC 5545 section 3.6.5: by the clock that runs until then.
        found.setdefault(kind, []).append((change + before).replace(tzinfo=None))
    return [_Onsets(*kind, tuple(starts)) for kind, starts in found.items()]


def _changes(zone: ZoneInfo, first: datetime, end: datetime) -> Iterator[datetime]:
    """The instants at which the offset changes; no zone changes it twice in a day."""
    day = first
    while day < end:
        low, day = day, day + timedelta(days=1)
        if _offset(low, zone) != _offset(day, zone):
            seconds = range(1, 86401)
            yield low + _SECOND * seconds[bisect_left(seconds, True, key=_has_changed(zone, low))]


def _has_changed(zone: ZoneInfo, since: datetime) -> Callable[[int], bool]:
    return lambda seconds: _offset(since + _SECOND * seconds, zone) != _offset(since, zone)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _rules(onsets: _Onsets) -> Iterator[tuple[datetime, vRecur | None]]:
    """One start with its yearly rule, or every start by itself where they follow none."""
    starts = onsets.starts
    weekdays = set.intersection(*map(_weekdays, starts))
    alike = {(start.month, start.time()) for start in starts}
    every_year = [start.year for start in starts] == list(range(starts[0].year, _TABLES_END))
    if every_year and weekdays and len(alike) == 1:
        yield starts[0], vRecur(FREQ="YEARLY", BYMONTH=starts[0].month, BYDAY=min(weekdays))
    else:
        yield from ((start, None) for start in starts)


def _weekdays(day: datetime) -> set[str]:
    """How a rule may name the day of its month: `2SU` the second Sunday, `-1SU` the last."""
    weekday = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()]
    names = {f"{(day.day - 1) // 7 + 1}{weekday}"}
    return names | {f"-1{weekday}"} if (day + timedelta(days=7)).month != day.month else names


def _block(onsets: _Onsets, start: datetime, rule: vRecur | None) -> TimezoneStandard | TimezoneDaylight:
    # By the offset, not by the law: to Ireland its winter time is the exception, and clients stumble over that.
    block = TimezoneDaylight() if onsets.after > onsets.before else TimezoneStandard()
    block.add("DTSTART", start)
    block.add("TZOFFSETFROM", onsets.before)
    block.add("TZOFFSETTO", onsets.after)
    block.add("TZNAME", onsets.name)
    if rule:
        block.add("RRULE", rule)
    return block
