"""One block of fields for each talk → sessions, with a warning for everything doubtful or lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from notifier.talklists.parts.blocks import Block
from notifier.talklists.parts.cells import ASSUMED_LENGTH, LONGEST_OVER_MIDNIGHT
from notifier.talklists.parts.dates import Day, When, date_of, weekday_name
from notifier.talklists.parts.fields import Field
from notifier.talklists.parts.labels import ROOM, Kind
from notifier.talklists.parts.speakers import Warn, shortened
from notifier.talklists.parts.standings import status_in
from notifier.talklists.parts.talks import TalkDraft, livestream_of, room_of, talk_of
from notifier.talklists.parts.terms import Term, Usual
from notifier.talks import Livestream, Room, Session, Status, Talk

_STAMP = re.compile(r"\d:\d\d:\d\d")  # no person writes the seconds at which a session begins
_BREAK = timedelta(hours=1)  # talks of one day with a longer pause between them are two sessions


@dataclass(frozen=True, slots=True)
class Slot:
    """When a talk is, as its page says; `frame` is the session's time where the talk has a slot within it."""

    start: datetime
    end: datetime
    frame: tuple[datetime, datetime] | None = None


@dataclass
class _Part:
    """A block with its time: what one talk adds to its session."""

    block: Block
    slot: Slot
    draft: TalkDraft | None


@dataclass(frozen=True, slots=True)
class Zones:
    """The seminar's own zone, and the one in which a time is written that names none."""

    ours: str
    written: str


@dataclass(frozen=True, slots=True)
class Customs:
    """What the page says of all sessions: the terms that stand as headings, by line, and the usual hours."""

    terms: dict[int, Term]
    usual: Usual | None


def sessions_of(blocks: list[Block], zones: Zones, customs: Customs, warn: Warn) -> list[Session]:
    """The sessions of these blocks: talks of one day make one session, unless a long pause lies between them.

    A block whose time cannot be used is left out with a
    warning, never given a time of ours.
    """
    slots = _Slots(blocks, zones, customs, warn).slots()
    parts = [_Part(block, slot, talk_of(block, warn)) for block, slot in zip(blocks, slots, strict=True) if slot]
    by_day: dict[date, list[_Part]] = {}
    for part in parts:
        by_day.setdefault(part.slot.start.date(), []).append(part)
    sessions = []
    for day, of_day in by_day.items():
        for count, group in enumerate(_meetings(of_day), 1):
            session_id = day.isoformat() if count == 1 else f"{day.isoformat()}-{count}"
            sessions.append(_session(session_id, zones.ours, group, warn))
    return sessions


def _meetings(parts: list[_Part]) -> Iterator[list[_Part]]:
    """The parts of one day by session, each in the order of their starts and else of the page."""
    group: list[_Part] = []
    end: datetime | None = None
    for part in sorted(parts, key=lambda part: part.slot.start):
        if group and end is not None and part.slot.start - end > _BREAK:
            yield group
            group, end = [], None
        group.append(part)
        last = part.slot.frame[1] if part.slot.frame else part.slot.end
        end = max(end or last, last)
    yield group


def _session(session_id: str, zone: str, parts: list[_Part], warn: Warn) -> Session:
    spans = [part.slot.frame or (part.slot.start, part.slot.end) for part in parts]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    talks = tuple(_talks_with_slots(parts, (start, end), warn))
    fields = [entry for part in parts for entry in part.block.fields]
    page_order = sorted(fields, key=lambda entry: entry.number)
    status, notice = _status(parts, warn)
    return Session(
        id=session_id,
        start=start,
        end=end,
        timezone=zone,
        talks=talks,
        status=status,
        notice=notice,
        room=agreed_room(page_order, warn),
        livestream=agreed_livestream(page_order, warn),
    )


def _talks_with_slots(parts: list[_Part], whole: tuple[datetime, datetime], warn: Warn) -> Iterator[Talk]:
    """The talks, each with a slot of its own where the page gives it one that is not the whole session."""
    parts = [part for part in parts if part.draft is not None]
    unknown = []
    for part in parts:
        assert part.draft is not None
        slot = part.slot
        if (slot.start, slot.end) == whole and (len(parts) > 1 or slot.frame is None):
            unknown.append(part)
            yield part.draft.talk
        else:
            yield replace(part.draft.talk, start=slot.start, end=slot.end)
    if len(parts) > 1 and unknown:
        hours = f"{whole[0]:%H:%M}-{whole[1]:%H:%M}"
        number = min(_number_of_time(part.block) for part in unknown)
        warn(number, f"{len(unknown)} talks share {whole[0]:%Y-%m-%d} {hours}; when each begins is unknown")


def _number_of_time(block: Block) -> int:
    return next((entry.number for entry in block.of(Kind.TIME)), block.number)


def _status(parts: list[_Part], warn: Warn) -> tuple[Status, str]:
    drafts = [part.draft for part in parts if part.draft is not None]
    status = Status.CONFIRMED
    if not drafts or any(draft.is_tentative for draft in drafts):
        status = Status.TENTATIVE
    notices: list[str] = []
    for index, part in enumerate(parts):
        for text, number, is_front in _notices(part):
            notices.append(text)
            told = status_in(text)
            is_off = told is Status.CANCELLED
            if is_off and (len(drafts) < 2 or (is_front and not index) or _OF_SESSION.search(text)):
                status = Status.CANCELLED
            elif told:
                status = Status.TENTATIVE if status is not Status.CANCELLED else status
                what = "one talk of the session" if is_off else "a new time, if any, is not read"
                warn(number, f"the page says {shortened(text)!r}: {what}; the session is kept as tentative")
    if not drafts and status is not Status.CANCELLED:
        warn(_number_of_time(parts[0].block), "the session has a time and no talk yet; it is tentative")
    return status, "\n".join(dict.fromkeys(notices))


_OF_SESSION = re.compile(r"\b(?:session|seminar|meeting|event)\b|本[次期场周]|讨论班|活动|会议|讲座", re.IGNORECASE)


def _notices(part: _Part) -> Iterator[tuple[str, int, bool]]:
    """What the page announces about a block, with its line and whether it stands before the talk itself."""
    front = True
    for entry in part.block.fields:
        if entry.kind is Kind.NOTICE and entry.text:
            yield entry.text, entry.number, front
        elif entry.kind is Kind.TIME and entry.when and status_in(entry.when.rest):
            yield _notice_in(entry.when.rest), entry.number, True
        front = front and entry.kind in (Kind.TIME, Kind.NOTICE, Kind.TALK, Kind.UNKEPT, *ROOM)
    if part.draft is not None and part.draft.notice:
        yield part.draft.notice, part.block.number, False


def _notice_in(rest: str) -> str:
    """The notice in what stands beside a time: what is in brackets, if that is it, or all."""
    inside = (found[1] for found in re.finditer(r"[(\[【]([^()\[\]【】]*)", rest))
    return next(filter(status_in, inside), rest.strip("()[]【】 "))


def agreed_room(fields: list[Field], warn: Warn) -> Room:
    """The room that these fields tell of; what contradicts an earlier one is left out and told of."""
    room = Room()
    for entry in fields:
        if entry.kind in ROOM:
            for name, value in room_of(entry, warn).items():
                known = getattr(room, name)
                if known and known != value:
                    warn(entry.number, f"a second {entry.kind} for one session, {value!r}, was left out")
                elif value:
                    room = replace(room, **{name: value})
    return room


def agreed_livestream(fields: list[Field], warn: Warn) -> Livestream:
    """The first livestream that these fields tell of; another one is left out and told of."""
    found = [
        (entry, livestream_of(entry, warn)) for entry in fields if entry.kind is Kind.LIVESTREAM and not entry.is_empty
    ]
    for entry, other in found[1:]:
        if other != found[0][1]:
            warn(entry.number, f"a second livestream for one session, {other.url or other.label!r}, was left out")
    return found[0][1] if found else Livestream()


@dataclass
class _Slots:
    """Finds out when each block is: from its own fields, else from a neighbour's."""

    blocks: list[Block]
    zones: Zones
    customs: Customs
    warn: Warn
    _usual: timedelta | None = field(default=None, init=False)

    def slots(self) -> list[Slot | None]:
        """A slot for each block, None where its time cannot be used."""
        given = [_when_of(block) for block in self.blocks]
        self._usual = _usual_length(given)
        anchors = self._anchors(given)
        # Talks without a time take the one before them, unless the page's first talk has none: then the one after.
        backward = bool(given) and given[0].is_missing
        order = range(len(given) - 1, -1, -1) if backward else range(len(given))
        slots: list[Slot | None] = [None] * len(given)
        carried = _Given()
        for index in order:
            if given[index].is_missing:
                self._tell_of_loan(index, carried, backward)
            else:
                given[index] = given[index].completed_by(carried)
            carried = given[index] = carried if given[index].is_missing else given[index]
            slots[index] = self._slot(index, carried, anchors)
        return slots

    def _tell_of_loan(self, index: int, lender: _Given, backward: bool) -> None:
        block = self.blocks[index]
        if backward or (lender.entry is not None and lender.is_behind):
            self.warn(
                block.number,
                "this talk has no time of its own; its neighbour's was taken",
                "write a time for each talk",
            )

    def _anchors(self, given: list[_Given]) -> list[tuple[int, date]]:
        """The lines and dates that are written in full, from which a missing year is found."""
        return [(g.number, found) for g in given if g.day and g.day.year and (found := date_of(g.day, g.day.year))]

    def _slot(self, index: int, given: _Given, anchors: list[tuple[int, date]]) -> Slot | None:
        number = given.number or self.blocks[index].number
        problem = given.problem
        day: date | None
        day = None if problem or given.day is None else self._date(given.day, number, anchors)
        if day and given.start is None:
            given = self._usually(given, day, number)
        if problem or day is None or given.start is None:
            reason = problem or ("no date" if given.day is None else "no year" if day is None else "no time of day")
            what = f"the time {shortened(given.said)!r}" if given.said else "this talk"
            told = reason if problem else f"{what} gives {reason}"
            self._left_out(number, told)
            return None
        self._check_weekday(day, given, number)
        return self._span(day, given, number)

    def _usually(self, given: _Given, day: date, number: int) -> _Given:
        usual = self.customs.usual
        if usual is None or not usual.is_for(day):
            return given
        self.warn(number, f"{day} has no time of day: read as the usual {usual} of line {usual.line}", "write it there")
        return replace(given, start=usual.start, end=usual.end, zone=given.zone or usual.zone)

    def _left_out(self, number: int, why: str) -> None:
        self.warn(number, f"{why}; the talk was left out", "write it as 2021-11-27 9:30-11:30")

    def _date(self, day: Day, number: int, anchors: list[tuple[int, date]]) -> date | None:
        if day.year:
            return date_of(day, day.year)
        heading = max((line for line in self.customs.terms if line < number), default=None)
        if heading is not None:
            return date_of(day, self.customs.terms[heading].year_of(day.month))
        if not anchors:
            return None
        near = min(anchors, key=lambda anchor: abs(anchor[0] - number))[1]
        found = [d for year in (near.year - 1, near.year, near.year + 1) if (d := date_of(day, year))]
        nearest = min(found, key=lambda d: abs(d - near), default=None)
        if nearest:
            self.warn(
                number,
                f"the date {day.month}-{day.day} has no year; {nearest.year} was taken, as its neighbour {near} has",
            )
        return nearest

    def _check_weekday(self, day: date, given: _Given, number: int) -> None:
        if given.weekday is not None and given.weekday != day.weekday():
            said, real = weekday_name(given.weekday), weekday_name(day.weekday())
            self.warn(number, f"{day} is a {real}, not a {said}", "check the date")

    def _span(self, day: date, given: _Given, number: int) -> Slot | None:
        assert given.start is not None
        start = self._instant(day, given.start, given.zone)
        if given.end is None:
            if self._usual is None and _STAMP.search(given.said):
                self._left_out(number, f"the time {shortened(given.said)!r} gives no end")
                return None
            end = start + (self._usual or ASSUMED_LENGTH)
            why = "as long as others here" if self._usual else "two hours on"
            told = f"the time {shortened(given.said)!r} gives no end; {end:%H:%M} was taken, {why}"
            self.warn(number, told, "write it as 2021-11-27 9:30-11:30")
        else:
            end = self._end(start, day, given)
        if end <= start:
            self._left_out(number, f"the session of {day} ends before it starts ({start:%H:%M} > {end:%H:%M})")
            return None
        if given.start.hour < 6 and not given.zone:
            self.warn(
                number, f"{start:%H:%M} is at night", f"write {start.hour + 12}:{start:%M} if the afternoon is meant"
            )
        if given.rest:
            self.warn(number, f"{shortened(given.rest)!r} beside the time was left out")
        frame = None
        if given.frame and given.frame[0] and given.frame[1]:
            frame = (self._instant(day, given.frame[0], given.zone), self._instant(day, given.frame[1], given.zone))
        return Slot(start, end, frame)

    def _end(self, start: datetime, day: date, given: _Given) -> datetime:
        """The end, on the next day where that is written, or where it is soon after midnight."""
        assert given.end is not None
        end, later = (self._instant(day + timedelta(days=n), given.end, given.zone) for n in (0, 1))
        is_over_midnight = later - start <= LONGEST_OVER_MIDNIGHT and given.frame is None
        return later if given.ends_next_day or is_over_midnight else end

    def _instant(self, day: date, clock: time, said_zone: str) -> datetime:
        """The instant in the seminar's zone, of a time in the zone beside it or else in that of the page."""
        ours = ZoneInfo(self.zones.ours)
        said = said_zone or self.zones.written
        if "/" in said:
            return datetime.combine(day, clock, ZoneInfo(said)).astimezone(ours)
        return datetime.fromisoformat(f"{day} {clock}{said}").astimezone(ours)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a block says of its time. `is_behind` where it stands behind the talk's own fields."""

    day: Day | None = None
    start: time | None = None
    end: time | None = None
    frame: tuple[time | None, time | None] | None = None
    weekday: int | None = None
    zone: str = ""
    rest: str = ""
    ends_next_day: bool = False
    problem: str = ""
    said: str = ""
    entry: Field | None = None
    is_behind: bool = False

    @property
    def is_missing(self) -> bool:
        return self.entry is None

    @property
    def number(self) -> int:
        return self.entry.number if self.entry else 0

    def completed_by(self, other: _Given) -> _Given:
        """With the day of another talk where this one gives only hours, and the other way round."""
        if self.problem or (self.day is None and self.start is None):
            return self
        if self.day is None and not other.problem:
            frame = self.frame or other.frame
            return replace(self, day=other.day, weekday=other.weekday, zone=self.zone or other.zone, frame=frame)
        return self


def _when_of(block: Block) -> _Given:
    entries = [entry for entry in block.of(Kind.TIME) if entry.when is not None]
    if not entries:
        return _Given(entry=next(iter(block.of(Kind.TIME)), None))
    first = entries[0]
    given = _given(first, block)
    if len(entries) > 1 and (slot := entries[1].when) is not None and given.start:
        # The session's time, and below it the talk's own slot.
        given = replace(
            given,
            frame=(given.start, given.end),
            start=slot.start,
            end=slot.end,
            problem=given.problem or slot.problem,
            ends_next_day=slot.ends_next_day,
        )
    return given


def _given(entry: Field, block: Block) -> _Given:
    when = entry.when or When()
    rest = "" if status_in(when.rest) else when.rest
    content = (Kind.TITLE, Kind.SPEAKER)
    return _Given(
        day=when.day,
        start=when.start,
        end=when.end,
        weekday=when.weekday,
        zone=when.zone,
        rest=rest,
        ends_next_day=when.ends_next_day,
        problem=when.problem,
        said=entry.text,
        entry=entry,
        is_behind=any(other.number < entry.number for other in block.of(*content)),
    )


def _usual_length(given: Iterable[_Given]) -> timedelta | None:
    """How long the sessions of this page most often are."""
    lengths = Counter(
        datetime.combine(date.min, g.end) - datetime.combine(date.min, g.start)
        for g in given
        if g.start and g.end and g.start < g.end
    )
    return lengths.most_common(1)[0][0] if lengths else None
