"""A calendar in iCalendar form, however odd → a `Seminar`: one session for each event and each of its recurrences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from dateutil import rrule  # type: ignore[import-untyped]
from icalendar.prop import vDDDTypes, vDuration, vRecur

from notifier.errors import Problem, TalkListError
from notifier.talklists import Context, Reading
from notifier.talklists.parts import cells as cells
from notifier.talklists.parts import rows as rows
from notifier.talklists.parts.components import Component, Property, take_apart
from notifier.talklists.parts.contents import Contents, contents_of, own_contents_of
from notifier.talklists.parts.zones import Zones, world_zone
from notifier.talks import Seminar, Session, Status, clean_line

_BEGINS = re.compile(r"\s*BEGIN:V(?:CALENDAR|EVENT)\s*$", re.IGNORECASE | re.MULTILINE)
_OURS = "//seminar-notifier//"
# A name that somebody chose (`talk-12`), not a number that a machine drew.
_CHOSEN_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{1,23}")
_UTC_KEYS = ("UTC", "Etc/UTC", "GMT")
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_MOST_INSTANCES = 1000
_YEAR = timedelta(days=366)
_LONG_AGO, _FAR_OFF = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def fits(text: str) -> bool:
    """Whether the text begins as a calendar or an event does."""
    return _BEGINS.match(text) is not None


def read(text: str, context: Context) -> Reading:
    """The seminar in the calendar; what of it cannot be read is a warning with its line.

    Only in a feed of this program are the sessions' ids the organiser's.

    Raises:
        TalkListError: the text is cut off, or holds no event that can be used.
    """
    source = take_apart(text)
    if source.cut:
        raise TalkListError((*source.problems, source.cut))
    reader = _Reader(source.components, source.problems, context)
    sessions = reader.sessions()
    problems = tuple(sorted(reader.problems, key=lambda p: p.line or 0))
    if not sessions:
        none = Problem(
            "the calendar holds no event that can be used", "every event needs a UID, a DTSTART and a SUMMARY"
        )
        raise TalkListError((*problems, none))
    return Reading(reader.seminar(sessions), problems, has_ids=reader.is_ours)


@dataclass(frozen=True, slots=True)
class _Event:
    """An event whose times are known; `instance` is the RECURRENCE-ID, the time it stands for in a series."""

    part: Component
    uid: str
    sequence: int
    stamp: datetime
    start: datetime
    end: datetime
    instance: datetime | date | None

    @property
    def title(self) -> str:
        return clean_line(self.part.text("SUMMARY")) or "without a title"


class _Reader:
    def __init__(self, components: list[Component], problems: list[Problem], context: Context) -> None:
        self.problems = problems
        self._context = context
        self._calendars = [part for part in components if part.name == "VCALENDAR"]
        self._events = [part for part in components if part.name == "VEVENT"]
        self._others = [part for part in components if part.name in ("VTODO", "VJOURNAL")]
        self._zones = Zones.of(components)
        self.is_ours = bool(self._calendars) and all(_OURS in part.text("PRODID") for part in self._calendars)
        self._zone = self._own_zone()
        self._doubtful_zones: dict[str, list[int]] = {}

    def _said(self, *names: str) -> str:
        return next((text for part in self._calendars if (text := clean_line(part.text(*names)))), "")

    def _own_zone(self) -> ZoneInfo:
        said = world_zone(self._said("X-WR-TIMEZONE"))
        # Google writes UTC for a calendar whose owner never chose a zone.
        is_chosen = said and (self.is_ours or said.key not in _UTC_KEYS)
        return said if said and is_chosen else ZoneInfo(self._context.timezone)

    def _warn(self, message: str, line: int | None, advice: str = "") -> None:
        self.problems.append(Problem(message, advice, line=line))

    def seminar(self, sessions: Iterable[Session]) -> Seminar:
        """The series that the calendars' heads describe, with these sessions."""
        return Seminar(
            id=self._context.id,
            name=self._said("X-WR-CALNAME", "NAME") or self._context.name,
            timezone=self._zone.key,
            description=self._said("X-WR-CALDESC", "DESCRIPTION"),
            sessions=tuple(sessions),
        )

    def sessions(self) -> tuple[Session, ...]:
        """A session for every occurrence of every event that can be read."""
        read = [event for part in self._events for event in self._event(part)]
        events = self._newest(read)
        occurrences = [(event, *times) for event in events for times in self._occurrences(event, events)]
        self._tell_of_the_whole()
        contents = {id(event): self._contents(event) for event in events}
        sessions = (self._session(event, start, end, contents[id(event)]) for event, start, end in occurrences)
        return rows.unique(sorted(sessions, key=lambda session: session.start.timestamp()))

    def _tell_of_the_whole(self) -> None:
        if len(self._calendars) > 1:
            line = self._calendars[1].line
            self._warn(f"there are {len(self._calendars)} calendars in the text: read as one seminar", line)
        for part in self._others:
            self._warn(f"a {part.name} is not read: only events are sessions", part.line)
        for name, lines in self._doubtful_zones.items():
            told = f'the time zone "{name}" is not known' if name else "the time has no zone"
            more = f" (and {len(lines) - 1} times more)" if len(lines) > 1 else ""
            self._warn(
                f"{told}: read as {self._zone.key}{more}", lines[0], "write times as DTSTART;TZID=Asia/Shanghai:…"
            )

    # One event ------------------------------------------------------------------------------------------------

    def _event(self, part: Component) -> Iterator[_Event]:
        title = clean_line(part.text("SUMMARY")) or "without a title"
        prop = part.first("DTSTART")
        if prop is None:
            self._warn(f'the event "{title}" has no DTSTART: left out', part.line, "give it a start")
            return
        try:
            start = self._moment(prop)
        except ValueError as error:
            self._warn(f'the event "{title}" has a DTSTART that {error}: left out', prop.line, "mend it")
            return
        if not isinstance(start, datetime):
            told = f'the event "{title}" of {start} has no time of day: left out'
            self._warn(told, prop.line, "give it a start and an end if it is a session")
            return
        yield _Event(
            part=part,
            uid=clean_line(part.text("UID")),
            sequence=_number(part.text("SEQUENCE")),
            stamp=self._stamp(part),
            start=start,
            end=self._end(part, start, title),
            instance=self._instance(part, start),
        )

    def _moment(self, prop: Property, value: str = "", zone: tzinfo | None = None) -> datetime | date:
        """The instant of a DATE-TIME in its own zone, else in the one given, or the day of a DATE.

        Raises:
            ValueError: it is neither; the message goes on after "that".
        """
        value = (value or prop.value).strip()
        parsed = _parsed(value)
        if not isinstance(parsed, date) or not 1900 <= parsed.year < 2200:
            raise ValueError(f'is no date and time ("{clean_line(value)}")')
        if not isinstance(parsed, datetime) or parsed.tzinfo:
            return parsed
        return parsed.replace(tzinfo=self._zone_of(prop, zone))

    def _zone_of(self, prop: Property, default: tzinfo | None) -> tzinfo:
        name = prop.params.get("TZID", "")
        if default and not name:
            return default
        zone = self._zones.find(name) if name else None
        if zone is None:
            self._doubtful_zones.setdefault(name, []).append(prop.line)
        return zone or self._zone

    def _stamp(self, part: Component) -> datetime:
        """When the event was last written, as far as it says so."""
        moments = [_LONG_AGO]
        for prop in part.all("DTSTAMP", "LAST-MODIFIED"):
            parsed = _parsed(prop.value.strip())
            if isinstance(parsed, datetime) and 1970 < parsed.year < 2200:
                moments.append(parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed)
        return max(moments)

    def _end(self, part: Component, start: datetime, title: str) -> datetime:
        prop = part.first("DTEND", "DURATION")
        assumed = "read as two hours"
        if prop is None:
            self._warn(f'the event "{title}" has no end: {assumed}', part.line, "give it a DTEND")
            return start + cells.ASSUMED_LENGTH
        try:
            end = self._moment(prop, zone=start.tzinfo) if prop.name == "DTEND" else start + _length(prop.value)
        except (ValueError, OverflowError):
            told = f'the event "{title}" has a {prop.name} that cannot be read ("{clean_line(prop.value)}"): {assumed}'
            self._warn(told, prop.line, "mend it")
            return start + cells.ASSUMED_LENGTH
        if not isinstance(end, datetime) or end <= start:
            self._warn(f'the event "{title}" does not end after it starts: {assumed}', prop.line, "mend its end")
            return start + cells.ASSUMED_LENGTH
        return end

    def _instance(self, part: Component, start: datetime) -> datetime | date | None:
        prop = part.first("RECURRENCE-ID")
        if prop is None:
            return None
        if "RANGE" in prop.params:
            self._warn("a change of all later instances is read as one of this instance only", prop.line)
        try:
            return self._moment(prop, zone=start.tzinfo)
        except ValueError as error:
            self._warn(f"the event has a RECURRENCE-ID that {error}: read as an event of its own", prop.line)
            return None

    # Versions and recurrences ---------------------------------------------------------------------------------

    def _newest(self, events: list[_Event]) -> list[_Event]:
        """Of the versions of one event the one with the highest SEQUENCE (RFC 5545 section 3.8.7.4), told of."""
        kept: dict[object, _Event] = {}
        for event in events:
            key: object = (event.uid, _utc(event.instance)) if event.uid else id(event)
            other = kept.get(key)
            # Of those that share a UID by mistake, each is kept once.
            if other and other.sequence == event.sequence and other.start != event.start and (key, event.start) in kept:
                key, other = (key, event.start), kept[key, event.start]
            if other is None:
                kept[key] = event
            elif other.sequence == event.sequence and other.start != event.start:
                told = f'the event "{event.title}" has the UID and SEQUENCE of line {other.part.line}: both are kept'
                self._warn(told, event.part.line, "give every event a UID of its own")
                kept[key, event.start] = event
            else:
                older, newer = sorted((other, event), key=lambda e: (e.sequence, e.stamp))
                kept[key] = newer
                told = f'the event "{older.title}" is an older version of the one in line {newer.part.line}: left out'
                self._warn(told, older.part.line)
        return list(kept.values())

    def _occurrences(self, event: _Event, events: list[_Event]) -> Iterator[tuple[datetime, datetime]]:
        """When the event takes place: at its start, by its rules and dates, but not where another one replaces it."""
        length = event.end.astimezone(UTC) - event.start.astimezone(UTC)
        if event.instance is not None:
            yield event.start, event.end
            return
        starts = {_utc(start): start for start in (event.start, *self._by_rules(event, events))}
        ends = {}
        for start, end in self._by_dates(event):
            starts.setdefault(_utc(start), start)
            if end:
                ends[_utc(start)] = end
        for moment, prop in self._excluded(event):
            gone = [key for key, start in starts.items() if moment in (key, start.date())]
            if not gone:
                told = f'the EXDATE {_shown(moment)} is no instance of "{event.title}": nothing is left out for it'
                self._warn(told, prop.line, "give it the time and zone of the instance")
            for key in gone:
                del starts[key]
        replaced = {_utc(other.instance) for other in events if other.instance and other.uid == event.uid}
        for key, start in sorted(starts.items()):
            if key not in replaced and start.date() not in replaced:
                yield start, ends.get(key, (start.astimezone(UTC) + length).astimezone(start.tzinfo))

    def _by_rules(self, event: _Event, events: list[_Event]) -> Iterator[datetime]:
        for prop in event.part.all("EXRULE"):
            self._warn("an EXRULE is not read: what it leaves out is kept", prop.line, "write EXDATE")
        for prop in event.part.all("RRULE"):
            try:
                yield from self._by_rule(event, prop, max(_horizon(e) for e in events))
            except (ValueError, TypeError, OverflowError):
                told = f'the recurrence of "{event.title}" cannot be read: only its first instance is kept'
                self._warn(told, prop.line, "write a rule such as RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20211231T155959Z")

    def _by_rule(self, event: _Event, prop: Property, horizon: datetime) -> list[datetime]:
        """The instances of a rule, counted on the clocks of the event's own zone."""
        rule = vRecur.from_ical(prop.value.strip())
        if rule.get("FREQ", [""])[0] not in _FREQUENCIES or rule.get("INTERVAL", [1])[0] < 1:
            raise ValueError(prop.value)
        until = _wall_time(rule.pop("UNTIL", [None])[0], event.start)
        is_endless = until is None and "COUNT" not in rule
        last = until or _wall_time(horizon if is_endless else _FAR_OFF, event.start)
        clock = rrule.rrulestr(rule.to_ical().decode(), dtstart=event.start.replace(tzinfo=None))
        starts = itertools.takewhile(lambda start: start <= last, clock)
        found = [start.replace(tzinfo=event.start.tzinfo) for start in itertools.islice(starts, _MOST_INSTANCES)]
        if is_endless or len(found) == _MOST_INSTANCES:
            told = f'"{event.title}" recurs without an end' if is_endless else f'"{event.title}" recurs very often'
            shown = f"{found[-1]:%Y-%m-%d}" if found else "its start"
            self._warn(f"{told}: {len(found)} instances up to {shown} are read", prop.line, "end the rule with UNTIL")
        return found

    def _by_dates(self, event: _Event) -> Iterator[tuple[datetime, datetime | None]]:
        for prop in event.part.all("RDATE"):
            for value in filter(None, prop.value.split(",")):
                first, _, last = value.partition("/")
                try:
                    start = self._moment(prop, first, event.start.tzinfo)
                    if not isinstance(start, datetime):
                        raise ValueError("has no time of day")
                    yield start, self._period_end(prop, start, last)
                except (ValueError, OverflowError) as error:
                    self._warn(f'"{event.title}" has an RDATE that {error}: left out', prop.line, "mend it")

    def _period_end(self, prop: Property, start: datetime, text: str) -> datetime | None:
        if not text:
            return None
        end = start + _length(text) if "P" in text else self._moment(prop, text, start.tzinfo)
        return end if isinstance(end, datetime) and end > start else None

    def _excluded(self, event: _Event) -> Iterator[tuple[datetime | date | None, Property]]:
        for prop in event.part.all("EXDATE"):
            for value in filter(None, prop.value.split(",")):
                try:
                    yield _utc(self._moment(prop, value, event.start.tzinfo)), prop
                except ValueError as error:
                    self._warn(f'"{event.title}" has an EXDATE that {error}: not read', prop.line, "mend it")

    # Sessions -------------------------------------------------------------------------------------------------

    def _contents(self, event: _Event) -> Contents:
        if self.is_ours:
            contents = own_contents_of(event.part, event.start)
        else:
            contents = contents_of(event.part, self._said("X-WR-CALNAME", "NAME"))
        for doubt in contents.doubts:
            self._warn(doubt, event.part.line)
        return contents

    def _session(self, event: _Event, start: datetime, end: datetime, contents: Contents) -> Session:
        zone = self._shown_zone(event)
        return Session(
            id=self._id(event, start.astimezone(zone)),
            start=start.astimezone(zone),
            end=end.astimezone(zone),
            timezone=zone.key,
            talks=contents.talks,
            status=self._status(event, contents),
            notice=contents.notice,
            room=contents.room,
            livestream=contents.livestream,
        )

    def _shown_zone(self, event: _Event) -> ZoneInfo:
        """The event's own zone where that is one of the world's, else the calendar's; the instant is the same."""
        zone = event.start.tzinfo
        return zone if isinstance(zone, ZoneInfo) and zone.key not in _UTC_KEYS else self._zone

    def _id(self, event: _Event, start: datetime) -> str:
        local = event.uid.partition("@")[0]
        recurs = event.instance is not None or event.part.first("RRULE", "RDATE")
        is_chosen = cells.is_identifier(local) if self.is_ours else _CHOSEN_ID.fullmatch(local)
        return local if is_chosen and not recurs else f"{start:%Y-%m-%d}"

    def _status(self, event: _Event, contents: Contents) -> Status:
        is_called_off = any(part.text("METHOD").strip().upper() == "CANCEL" for part in self._calendars)
        if contents.status is Status.CANCELLED or is_called_off:
            return Status.CANCELLED
        prop = event.part.first("STATUS")
        if prop is None:
            return contents.status or Status.CONFIRMED
        status = rows.STATUSES.get(prop.value.strip().casefold())
        if status is None:
            self._warn(f'the STATUS "{clean_line(prop.value)}" is not known: read as confirmed', prop.line)
        if status in (None, Status.CONFIRMED) and contents.status:
            return contents.status
        return status or Status.CONFIRMED


def _parsed(value: str) -> object:
    for parse in (vDDDTypes.from_ical, datetime.fromisoformat):
        try:
            return parse(value)
        except (ValueError, OverflowError, TypeError):
            continue
    return None


def _length(text: str) -> timedelta:
    length: timedelta = vDuration.from_ical(text.strip())  # type: ignore[no-untyped-call]
    return length


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\s*[0-9]{1,18}\s*", text) else 0


def _utc(moment: datetime | date | None) -> datetime | date | None:
    """An instant in UTC, so that the same one in two zones is equal; a day as it is."""
    return moment.astimezone(UTC) if isinstance(moment, datetime) else moment


def _shown(moment: datetime | date | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if isinstance(moment, datetime) else str(moment)


def _wall_time(moment: datetime | date | None, like: datetime) -> datetime | None:
    """The moment on the clocks of the zone of `like`; a day counts to its end."""
    if moment is None or not isinstance(moment, datetime):
        return datetime.combine(moment, time.max) if moment else None
    return moment.astimezone(like.tzinfo).replace(tzinfo=None) if moment.tzinfo else moment


def _horizon(event: _Event) -> datetime:
    """How far an endless rule is followed: a year on from the last that the calendar says of itself or its events."""
    return max(event.stamp, event.start) + _YEAR
