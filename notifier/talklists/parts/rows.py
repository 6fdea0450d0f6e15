"""Flat records of talks, one to a row → sessions, one to a day, with a problem for every row that cannot be used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from zoneinfo import ZoneInfo

from notifier.errors import Problem
from notifier.talklists.parts import cells as cells
from notifier.talklists.parts.standings import is_notice, is_pause, status_in, without_notice
from notifier.talklists.parts.terms import Usual
from notifier.talks import Link, Livestream, Room, Session, Status, Talk, clean_line

ROOM_FIELDS = ("url", "meeting_id", "passcode", "alternate_id", "download_url")
STATUSES = {
    "confirmed": Status.CONFIRMED, "ok": Status.CONFIRMED, "确认": Status.CONFIRMED, "已确认": Status.CONFIRMED,
    "tentative": Status.TENTATIVE, "tbc": Status.TENTATIVE, "待定": Status.TENTATIVE, "暂定": Status.TENTATIVE,
    "cancelled": Status.CANCELLED, "canceled": Status.CANCELLED, "取消": Status.CANCELLED, "已取消": Status.CANCELLED,
}  # fmt: skip
YES = ("true", "yes", "y", "x", "1", "是", "✓", "✔", "已取消", "取消")
_ONLINE = re.compile(
    r"(?:\W|online|virtual|remote|meeting|tencent|zoom|teams|voov|bilibili|线上|在线|网络|会议|腾讯|直播|哔哩哔哩|b站)*",
    re.IGNORECASE,
)


_BUTTON = re.compile(r"(?:view|show|see|read) (?:abstract|details|more|slides|video)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its texts by field name, the line it stands in, and what of it is known already."""

    values: Mapping[str, str]
    line: int | None = None
    talk: Talk | None = None
    room: Room | None = None
    livestream: Livestream | None = None
    usual: Usual | None = None  # the hours that the list names above this row, where it names others elsewhere

    def get(self, name: str) -> str:
        """The text of this field, "" where the row has none."""
        return self.values.get(name, "").strip()


@dataclass(slots=True)
class _Slot:
    start: datetime
    end: datetime
    room: Room
    livestream: Livestream
    row: Row


@dataclass(slots=True)
class Sessions:
    """Gathers rows into sessions in this zone; what cannot be used is told in `problems`, with `lost` rows left out.

    `written` is the zone of times that name none, where that is another; `usual` are the hours of days that name none,
    `joining` how to take part in sessions that do not say.
    """

    zone: ZoneInfo
    written: tzinfo | None = None
    usual: Usual | None = None
    joining: cells.Joining = field(default_factory=cells.Joining)
    common: Usual | None = None  # the hours of most rows, which is good enough for one that is called off
    problems: list[Problem] = field(default_factory=list)
    lost: int = 0
    unzoned: int | None = None  # the line of the first time of which nothing in the list says the zone
    _groups: dict[str, list[_Slot]] = field(default_factory=dict)
    _rooms: dict[str, set[tuple[date, Room]]] = field(default_factory=dict)  # of each group, each once
    _last: str = ""

    def add(self, row: Row) -> None:
        """Puts the row's talk into the session of its day; a row without a day continues the row above it."""
        try:
            self._add(row)
        except ValueError as error:
            self.lost += 1
            self._last = ""  # a row without a day below this one is of a day that is not known
            self.problems.append(
                Problem(f"{error}: the row is left out", "write the time as 2021-11-27 9:30-11:30", line=row.line)
            )

    def _add(self, row: Row) -> None:
        when = when_of(row.values)
        room, livestream = room_of(row.values)
        room, livestream = row.room or room, row.livestream or livestream
        if row.get("url") and not (room.url or room.meeting_id):
            # Not quoted: a passcode may stand beside it.
            self._warn(row, "the meeting link is no web link: not read", "write it like https://meeting.tencent.com/…")
        if row.room is None and (place := place_in(row.values)):  # else whoever knows the room has told
            self._warn(row, f"a session has no place beside its online room: {place!r} was left out")
        if not when.day:
            self._continue(row, when, room, livestream)
            return
        if when.start is None:
            when = self._usually(when, when.day, row)
        start, end = self._span(row, when)
        if when.doubt:
            self._warn(row, when.doubt, "mend the date or the weekday")
        if rest := _unread(when.rest):
            self._warn(row, f"{rest!r} is no part of a time: not read")
        self._last = self._key(row, start, room)
        self._groups.setdefault(self._last, []).append(_Slot(start, end, room, livestream, row))

    def _span(self, row: Row, when: cells.When) -> tuple[datetime, datetime]:
        start, end = cells.span(when, self.written or self.zone, self.zone)
        if not (when.zone or self.written) and self.unzoned is None:
            self.unzoned = row.line
        if end is None:
            usual = row.usual or self.usual
            length = usual.length if usual else None
            end = start + (length or cells.ASSUMED_LENGTH)
            taken = f"taken to last as long as the usual {usual}" if length else "read as two hours"
            self._warn(row, f"{start:%Y-%m-%d %H:%M} has no end: {taken}", "write when it ends")
        return start, end

    def _usually(self, when: cells.When, day: date, row: Row) -> cells.When:
        usual = row.usual or self.usual or (self.common if self._told_status(row) is Status.CANCELLED else None)
        if usual is None or not usual.is_for(day):
            raise ValueError(f"{day} has no time of day")
        self._warn(row, f"{day} has no time of day: read as the usual {usual} of line {usual.line}", "write it there")
        return replace(when, start=usual.start, end=usual.end, zone=when.zone or cells.zone_of(usual.zone))

    def _continue(self, row: Row, when: cells.When, room: Room, livestream: Livestream) -> None:
        told = when.rest or row.get("date") or row.get("time") or row.get("start")
        if told and when.start is None:
            raise ValueError(f"{_unread(told)!r} is no day that can be read")
        if not self._last:
            raise ValueError("there is no day")
        above = self._groups[self._last][-1]
        start, end = above.start, above.end
        if when.start is not None:
            start, end = self._span(row, replace(when, day=start.date()))
        told = f"there is no day: read as of {start:%Y-%m-%d}, like the row above"
        self._warn(row, told, "write the date in every row")
        self._groups[self._last].append(_Slot(start, end, room, livestream, row))

    def _key(self, row: Row, start: datetime, room: Room) -> str:
        # Two meetings on one day are two sessions where they have rooms of their own, or ids.
        given = row.get("id") or f"{start:%Y-%m-%d}"
        if not cells.is_identifier(given):
            self._warn(row, f"the id {given!r} cannot stand in a web address", "use up to 64 of A-Z a-z 0-9 . _ -")
            given = f"{start:%Y-%m-%d}"
        key = given
        number = 1
        while any(day != start.date() or _clash(other, room) for day, other in self._rooms.get(key, ())):
            number += 1
            key = f"{given}-{number}"
        self._rooms.setdefault(key, set()).add((start.date(), room))
        return key

    def _warn(self, row: Row, message: str, advice: str = "") -> None:
        self.problems.append(Problem(message, advice, line=row.line))

    def sessions(self) -> list[Session]:
        """A session for every group of rows that was added."""
        return [self._session(key, slots) for key, slots in self._groups.items()]

    def _session(self, key: str, slots: list[_Slot]) -> Session:
        room, livestream = Room(), Livestream()
        for slot in slots:
            room = cells.merged(room, slot.room)
            livestream = slot.livestream if livestream == Livestream() else livestream
        if room == Room() and livestream == Livestream():
            room, livestream = self.joining.room, self.joining.livestream
        has_one_slot = len({(slot.start, slot.end) for slot in slots}) == 1
        talks = tuple(t for t in (self._talk(slot, has_one_slot) for slot in slots) if t != Talk())
        return Session(
            id=key,
            start=min(slot.start for slot in slots),
            end=max(slot.end for slot in slots),
            timezone=self.zone.key,
            talks=talks,
            status=self._status(slots, talks),
            notice="\n".join(dict.fromkeys(filter(None, (_unread(slot.row.get("notice")) for slot in slots)))),
            room=room,
            livestream=livestream,
        )

    def _talk(self, slot: _Slot, has_one_slot: bool) -> Talk:
        talk, doubts = (slot.row.talk, ()) if slot.row.talk else talk_of(slot.row.values)
        for doubt in doubts:
            self._warn(slot.row, doubt)
        if is_pause(talk.title) and not talk.speakers:
            self._warn(slot.row, f"{talk.title!r} is no talk: not read")
            return Talk()
        return talk if has_one_slot or talk == Talk() else replace(talk, start=slot.start, end=slot.end)

    def _status(self, slots: list[_Slot], talks: tuple[Talk, ...]) -> Status:
        told = {self._told_status(slot.row) for slot in slots}
        # One talk that is called off does not call off the session.
        if len(told) == 1 and (status := told.pop()):
            return status
        return status_of(talks)

    def _told_status(self, row: Row) -> Status | None:
        if row.get("cancelled").casefold() in YES:
            return Status.CANCELLED
        text = row.get("status")
        status = STATUSES.get(text.casefold())
        if text and not status:
            self._warn(row, f"the status {text!r} is not known", "write confirmed, tentative or cancelled")
        return status


def with_notice(values: Mapping[str, str]) -> dict[str, str]:
    """The record with what its title or its speakers' cell says of the session itself as its notice, and its status."""
    values = {name: "" if _BUTTON.fullmatch(text.strip()) else text for name, text in values.items()}
    title, said = without_notice(values.get("title", ""))
    found = dict(values) | ({"title": title} if said else {})
    speakers, told = without_notice(values.get("speakers", ""))
    if told:
        found["speakers"], said = speakers, "; ".join(filter(None, (said, told)))
    notice = values.get("notice", "").strip()
    status = status_in(said) or (status_in(notice) if is_notice(notice) else None)
    if said:
        found["notice"] = "\n".join(filter(None, (said, notice)))
    if status and not (values.get("status") or values.get("cancelled")):
        found["status"] = status
    return found


def common_hours(rows: Iterable[Row]) -> Usual | None:
    """The hours that most of these rows have, as said in the first of them."""
    found: list[tuple[cells.When, Row]] = []
    for row in rows:
        try:
            when = when_of(row.values)
        except ValueError:
            continue
        if when.start:
            found.append((when, row))
    hours = Counter((when.start, when.end) for when, _ in found).most_common(1)
    if not hours or hours[0][1] * 2 <= len(found):
        return None
    when, row = next((when, row) for when, row in found if (when.start, when.end) == hours[0][0])
    return Usual(when.start, when.end, None, "", row.line or 0) if when.start else None


def _unread(text: str) -> str:
    """The text without what it says of how to join, which is read as such, and may be for fewer eyes."""
    return cells.joining_in(text).cut_from(text)


def _clash(room: Room, other: Room) -> bool:
    return any(
        own and theirs and own != theirs for own, theirs in ((room.url, other.url), (room.meeting_id, other.meeting_id))
    )


def status_of(talks: Iterable[Talk]) -> Status:
    """What a list means that names no status: a session is certain as soon as it is known who talks about what."""
    return Status.CONFIRMED if any(talk.title and talk.speakers for talk in talks) else Status.TENTATIVE


def when_of(values: Mapping[str, str]) -> cells.When:
    """The day and hours that a row's date, time, start, end and timezone give together. Raises ValueError."""
    when = cells.parse_when(" ".join(values.get(name, "") for name in ("date", "time")))
    if start := values.get("start", "").strip():
        begins = cells.parse_when(start)
        when = replace(
            when, day=begins.day or when.day, start=begins.start or when.start, end=begins.end or when.end,
            end_day=begins.end_day, zone=begins.zone or when.zone, rest=clean_line(f"{when.rest} {begins.rest}"),
        )  # fmt: skip
    if end := values.get("end", "").strip():
        when = _ending(when, cells.parse_when(end))
    if named := values.get("timezone", "").strip():
        when = replace(when, zone=when.zone or _zone(named))
    return when


def _ending(when: cells.When, ends: cells.When) -> cells.When:
    if ends.start is None:
        raise ValueError(f"{ends.rest!r} is no time at which a session ends")
    if ends.zone and when.zone and ends.day:
        moment = datetime.combine(ends.day, ends.start, ends.zone).astimezone(when.zone)
        return replace(when, end=moment.time(), end_day=moment.date())
    return replace(when, end=ends.start, end_day=ends.day, zone=when.zone or ends.zone)


def _zone(name: str) -> tzinfo:
    zone = cells.zone_of(name) or cells.parse_when(name).zone
    if zone is None:
        raise ValueError(f"{name!r} is no time zone that is known")
    return zone


def room_of(values: Mapping[str, str]) -> tuple[Room, Livestream]:
    """How to take part, from a row's own columns and from what its free `room` text says."""
    # In a column called 腾讯会议 there may stand the link as well as the number.
    number = f"会议号 {values['url']}" if values.get("url") and not _address(values["url"]) else ""
    # A video link leads to the meeting before a talk, and to its replay behind it.
    video = values["replay"] if cells.is_meeting(_address(values.get("replay", ""))) else ""
    texts = (number, video, *(values.get(name, "") for name in ("room", "notice", "date", "time")))
    told = cells.joining_in("\n".join(texts))
    own = Room(**{name: _address(values[name]) if name.endswith("url") else cells.known(values[name])
                  for name in ROOM_FIELDS if values.get(name)})  # fmt: skip
    stream = cells.link_in(values.get("livestream", ""))
    return cells.merged(own, told.room), Livestream(stream.url, stream.label) if stream != Link() else told.livestream


def place_in(values: Mapping[str, str]) -> str:
    """What a row's free `room` text says beside how to take part online, on one line."""
    text = values.get("room", "")
    place = " ".join(cells.joining_in(text).cut_from(text).split())
    return "" if _ONLINE.fullmatch(place) else place


def _address(text: str) -> str:
    return cells.link_in(text).url


def talk_of(values: Mapping[str, str]) -> tuple[Talk, list[str]]:
    """The talk in a row's columns, and in words what of them had to be left out."""
    title, title_slides, title_replay, title_links = _title_links(values.get("title", ""))
    slides = cells.link_in(cells.known(values.get("slides", "")))
    homepage, replay = (cells.known(values.get(name, "")) for name in ("homepage", "replay"))
    replay = "" if cells.is_meeting(_address(replay)) else replay
    speakers, left = cells.speakers_in(values.get("speakers", ""), values.get("affiliations", ""), _address(homepage))
    talk = Talk(
        title=cells.known(title),
        title_zh=cells.known(values.get("title_zh", "")),
        speakers=speakers,
        abstract=cells.known(values.get("abstract", "")),
        abstract_zh=cells.known(values.get("abstract_zh", "")),
        bio=cells.known(values.get("bio", "")),
        references=(*values.get("references", "").split("\n"), *title_links),
        slides=slides if slides != Link() else title_slides,
        replay=_address(replay) or title_replay,
        kind=values.get("kind", ""),
    )
    doubts = [f"{piece!r} is neither a speaker nor where one works: not read" for piece in left]
    for name, text in (("homepage", homepage), ("replay", replay)):
        if text and not _address(text):
            doubts.append(f"the {name} {text!r} is no web link: not read")
    return talk, doubts


def _title_links(title: str) -> tuple[str, Link | None, str, list[str]]:
    """The title without its links, and of these the one to the slides, the one to the replay, and all others."""
    slides, replay, others = None, "", []
    for link in cells.links_in(title):
        what = cells.field_of(link.label)
        if what == "replay" or (not what and cells.is_replay(link.url)):
            replay = replay or link.url
        elif what == "slides" or link.url.lower().endswith((".pdf", ".pptx", ".ppt")):
            slides = slides or link
        else:
            others.append(link.url)
    return cells.without_links(title), slides, replay, others


def unique(sessions: Iterable[Session]) -> tuple[Session, ...]:
    """The sessions with `-2`, `-3` … after an id that an earlier one already has."""
    taken: set[str] = set()
    out = []
    for session in sessions:
        name, number = session.id, 1
        while name.casefold() in taken:
            number += 1
            name = f"{session.id}-{number}"
        taken.add(name.casefold())
        out.append(session if name == session.id else replace(session, id=name))
    return tuple(out)
