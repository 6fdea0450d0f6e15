"""Our own talk list in TOML ↔ a `Seminar`: the form that organisers keep, and that `import` writes.

[seminar]   id, name, description, timezone, organisers, homepage
[defaults]  time; since; room and livestream for the sessions from that day on
[[session]] id (never changed), date and time or start and end, timezone, status, notice, quiet, room, livestream
  [[session.talk]] title, speaker or speakers, affiliation, homepage, abstract, bio, references, slides, replay,
                   kind, time or start and end, tba
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

from notifier.errors import TalkListError
from notifier.locations import Fault, KeyPath, Model, checked, load, problems
from notifier.talklists import Context, Reading
from notifier.talklists.parts.shapes import DAY, DefaultsTable, Document, RoomTable, SessionTable, TalkTable, status_of
from notifier.talklists.parts.writing import write
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk

__all__ = ["fits", "read", "write"]

_OURS = re.compile(r"^[ \t]*(\[seminar\]|\[\[?session(\.talk)?\]\]?|\[defaults(\.\w+)?\])[ \t]*(#.*)?$", re.MULTILINE)
_SESSION = re.compile(r"^[ \t]*\[\[session\]\]", re.MULTILINE)
_MEETING_ID = re.compile(r"[0-9]{9,11}")
_WHEN = frozenset({"id", "date", "time", "start", "end", "timezone"})
_ONE_MEETING = ("url", "meeting_id", "passcode")
_OWN_TABLE = 'give each speaker a table: speakers = [{ name = "…", homepage = "…" }, …]'
_WANTING = {
    "date": "write date = 2021-11-27",
    "time": 'write time = "09:30-11:30", or once for all under [defaults]',
    "end": 'write end = "11:30", or time = "09:30-11:30"',
}


def fits(text: str) -> bool:
    """Whether a line of the text opens one of our tables."""
    return _OURS.search(text) is not None


def read(text: str, context: Context) -> Reading:
    """The seminar in the text, with the organiser's own session ids.

    Raises:
        TalkListError: with every problem at once, each with its line and column.
    """
    reader = _Reader(context)
    seminar = reader.seminar(*_tables(text))
    if reader.faults:
        raise TalkListError(problems(reader.faults, text))
    global _remembered  # in one assignment, because a daemon reads in a thread of its own
    _remembered = reader.sound
    return Reading(seminar, problems(reader.doubts, text), has_ids=True)


# The sessions of the list that was read last, by their text and by what else they depend on: a list is read again after
# every edit, and of 2,000 sessions one was edited.
_remembered: dict[tuple[str, str], Session] = {}


def _tables(text: str) -> tuple[dict[str, Any], list[str]]:
    """The tables of the list, and the text of each session where every one can be read alone; else no texts.

    A session is parted from the next at its [[session]]. Where that stands inside a string, the part before it ends in
    an open string and is no TOML, so that the list is read as a whole.
    """
    starts = [found.start() for found in _SESSION.finditer(text)]
    head, *parts = (text[a:b] for a, b in pairwise([0, *starts, len(text)]))
    known = {part for part, _ in _remembered}
    try:
        tables = tomllib.loads(head)
        sessions = [{} if part in known else _session_table(part) for part in parts]
    except (ValueError, RecursionError):
        return load(text, TalkListError), []
    if "session" in tables or None in sessions:
        return load(text, TalkListError), []
    return {**tables, "session": sessions}, parts


def _session_table(part: str) -> dict[str, Any] | None:
    """The one session's table in this part of a list; None where it holds anything else."""
    tables = tomllib.loads(part)
    sessions = tables.pop("session", None)
    return sessions[0] if isinstance(sessions, list) and not tables else None


class _Reader:
    """Turns the tables of one list into values, and gathers what is wrong with it and what is doubtful."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.faults: list[Fault] = []
        self.doubts: list[Fault] = []
        self.sound: dict[tuple[str, str], Session] = {}
        self._doubted: set[int] = set()
        self._defaults = DefaultsTable()
        self._zone = context.timezone

    def seminar(self, tables: dict[str, Any], parts: Sequence[str]) -> Seminar:
        """The seminar in these tables; `parts` are the sessions' texts, where each can be read alone."""
        document = self._checked(Document, tables, ()) or Document()
        head, self._defaults = document.seminar, document.defaults
        self._zone = head.timezone or self.context.timezone
        self._check_meeting_ids(self._defaults.room, ("defaults", "room"))
        sessions, ids = self._sessions(document.session, parts)
        self._compare({i: session for i, session in sessions.items() if session})
        self._check_ids(sorted(ids.items()))
        name, name_zh = head.name.pair
        description, description_zh = head.description.pair
        if not (name or self.context.name):
            self._doubt(("seminar", "name"), "the seminar has no name", 'write name = "…" under [seminar]')
        if not document.session:
            self._doubt(("session",), "the list has no session", "begin each with [[session]]")
        return Seminar(
            id=head.id or self.context.id,
            name=name or self.context.name,
            timezone=self._zone,
            name_zh=name_zh,
            description=description,
            description_zh=description_zh,
            organisers=tuple(head.organisers),
            homepage=head.homepage,
            sessions=tuple(filter(None, sessions.values())),
        )

    def _sessions(
        self, tables: Sequence[Any], parts: Sequence[str]
    ) -> tuple[dict[int, Session | None], dict[int, str]]:
        """The sessions and their ids by their place in the list; those whose text was read before are taken over."""
        basis = f"{self._zone} {self._defaults!r}"
        known = {i: found for i, part in enumerate(parts) if (found := _remembered.get((part, basis)))}
        tables = [
            table or (_session_table(parts[i]) if parts and i not in known else table) for i, table in enumerate(tables)
        ]
        fresh = {i: self._checked(SessionTable, t, ("session", i)) for i, t in enumerate(tables) if i not in known}
        has_sound_shape = not self.faults
        read = {i: self._alone(entry, i, has_sound_shape) for i, entry in fresh.items() if entry}
        ids = {i: session.id for i, session in known.items()} | {i: entry.id for i, entry in fresh.items() if entry}
        sessions = {i: known.get(i) or read.get(i) for i in range(len(tables))}
        self.sound = {(part, basis): s for i, part in enumerate(parts) if (s := sessions[i]) and i not in self._doubted}
        return sessions, ids

    def _alone(self, entry: SessionTable, place: int, has_sound_shape: bool) -> Session | None:
        before = len(self.doubts)
        session = self._session(entry, ("session", place), has_sound_shape)
        if len(self.doubts) > before:
            self._doubted.add(place)  # it must be told again when the list is read again
        return session

    def _checked(self, model: type[Model], table: Any, at: KeyPath) -> Model | None:
        value, faults = checked(model, table, at, vital=_WHEN if at else frozenset())
        self.faults += faults
        return value

    def _fault(self, path: KeyPath, message: str, advice: str) -> None:
        self.faults.append(Fault(path, message, advice))

    def _doubt(self, path: KeyPath, message: str, advice: str) -> None:
        self.doubts.append(Fault(path, message, advice))

    def _session(self, entry: SessionTable, at: KeyPath, has_sound_shape: bool) -> Session | None:
        zone = ZoneInfo(entry.timezone or self._zone)
        self._check_meeting_ids(entry.room, (*at, "room"))
        span = self._span(entry, at, zone, has_sound_shape)
        if span is None:
            return None
        start, end = span
        talks = tuple(self._talk(talk, (*at, "talk", i), start, end, zone) for i, talk in enumerate(entry.talk))
        return Session(
            id=entry.id,
            start=start,
            end=end,
            timezone=zone.key,
            talks=talks,
            status=Status(entry.status) if entry.status else status_of(talks),
            notice=entry.notice,
            room=Room(**self._join_fields("room", entry, at, start)),
            livestream=Livestream(**self._join_fields("livestream", entry, at, start)),
            quiet=entry.quiet,
        )

    def _span(
        self, entry: SessionTable, at: KeyPath, zone: ZoneInfo, has_sound_shape: bool
    ) -> tuple[datetime, datetime] | None:
        """When the session starts and ends, or None where that cannot be said."""
        begins, ends = self._given_times(entry, at, f"session {entry.id}")
        if begins is None and ends is None and self._defaults.time:
            begins, ends = self._defaults.time
        if entry.date and isinstance(begins, datetime):
            self._fault(
                (*at, "date"), f"session {entry.id} has a date as well as a start with one", "keep one of the two"
            )
        wanting = self._wanting(entry, begins, ends)
        if wanting:
            # A key that was misspelt is told of already; that it is missing would be the same thing twice.
            if has_sound_shape:
                self._fault(at, f"session {entry.id} has no {wanting}", _WANTING[wanting])
            return None
        start = self._instant(begins, entry.date, zone, (*at, _key_of(entry, "start")))
        if start is None:
            return None
        end_path = (*at, _key_of(entry, "end"))
        end = self._instant(ends, entry.date or start.date(), zone, end_path)
        if end is None:
            return None
        # In UTC, since datetimes of one zone are compared and subtracted by what its clocks show.
        length = end.astimezone(UTC) - start.astimezone(UTC)
        if length <= timedelta(0):
            told = f"session {entry.id} ends before it starts ({_shown(end)} is not after {_shown(start)})"
            self._fault(end_path, told, "mend its end; over midnight, write start and end with their dates")
            return None
        if length > DAY:
            told = f"session {entry.id} lasts longer than a day"
            self._doubt(end_path, told, "mend its end if that is not meant")
        return start, end

    def _given_times(self, entry: SessionTable | TalkTable, at: KeyPath, subject: str) -> tuple[Any, Any]:
        if entry.time is None:
            return entry.start, entry.end
        if entry.start is not None or entry.end is not None:
            self._fault((*at, "time"), f"{subject} has a time as well as a start or end", "keep one of the two")
        return entry.time

    def _wanting(self, entry: SessionTable, begins: Any, ends: Any) -> str:
        if begins is None:
            return "time" if entry.date else "date"
        if ends is None:
            return "end"
        return "date" if isinstance(begins, timedelta) and entry.date is None else ""

    def _instant(
        self, moment: timedelta | datetime, day: date | None, zone: ZoneInfo, path: KeyPath
    ) -> datetime | None:
        """The moment in the zone, or None where that zone's clocks never show it."""
        if isinstance(moment, timedelta):
            assert day is not None
            moment = datetime.combine(day, time.min) + moment
        if moment.tzinfo is not None:
            return moment.astimezone(zone)
        found = moment.replace(tzinfo=zone)
        if found.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
            told = f"{moment:%Y-%m-%d %H:%M} does not exist in {zone.key}: its clocks are put forward over it"
            self._fault(path, told, "write the time that its clocks show")
            return None
        if found.utcoffset() != found.replace(fold=1).utcoffset():
            told = f"{moment:%Y-%m-%d %H:%M} comes twice in {zone.key}, and the first is taken"
            self._doubt(path, told, f"write start and end with their offsets, like {found.isoformat()}")
        return found

    def _talk(self, entry: TalkTable, at: KeyPath, opens: datetime, closes: datetime, zone: ZoneInfo) -> Talk:
        begins, ends = self._given_times(entry, at, "this talk")
        start, end = (
            None if moment is None else self._instant(moment, opens.date(), zone, (*at, _key_of(entry, key)))
            for moment, key in ((begins, "start"), (ends, "end"))
        )
        self._check_slot((*at, _key_of(entry, "end")), start, end, opens, closes)
        title, title_zh = entry.title.pair
        if entry.tba and title and entry.speaker:
            self._doubt((*at, "tba"), "this talk is still marked tba, and has a title and a speaker", "drop tba = true")
        abstract, abstract_zh = entry.abstract.pair
        return Talk(
            title=title,
            title_zh=title_zh,
            speakers=tuple(self._speakers(entry, at)),
            start=start,
            end=end,
            abstract=abstract,
            abstract_zh=abstract_zh,
            bio=entry.bio,
            references=tuple(entry.references),
            slides=Link(entry.slides.url, entry.slides.label) if entry.slides else None,
            replay=entry.replay,
            kind=entry.kind,
        )

    def _check_slot(
        self, at: KeyPath, start: datetime | None, end: datetime | None, opens: datetime, closes: datetime
    ) -> None:
        first, last = opens.astimezone(UTC), closes.astimezone(UTC)
        instants = [moment.astimezone(UTC) for moment in (start, end) if moment]
        if start and end and instants[1] <= instants[0]:
            self._fault(at, f"this talk ends before it starts ({_shown(end)} is not after {_shown(start)})", "mend it")
        elif any(not first <= instant <= last for instant in instants):
            slot = "-".join(f"{moment:%H:%M}" for moment in (start, end) if moment)
            told = f"the slot {slot} is not inside its session, {_shown(opens)} to {_shown(closes)}"
            self._fault(at, told, "mend the slot, or make the session longer")

    def _speakers(self, entry: TalkTable, at: KeyPath) -> Iterator[Speaker]:
        if entry.speaker and entry.speakers:
            self._fault((*at, "speaker"), "this talk has a speaker as well as speakers", "put all of them in speakers")
        people = [entry.speaker] if entry.speaker else entry.speakers
        named = [one for one in people if one.name.name.strip()]
        if len(named) > 1 and entry.homepage:
            self._fault((*at, "homepage"), "it is not said whose homepage this is", _OWN_TABLE)
        nobodys = [entry.affiliation, entry.homepage, *(one.affiliations or one.homepage for one in people)]
        if not named and any(nobodys):
            told = "an affiliation or homepage is given, but no speaker to whom it belongs"
            self._doubt(at, told, "name the speaker")
        for one in named:
            affiliations = one.affiliations or entry.affiliation
            yield Speaker(one.name.name, tuple(affiliations), one.homepage or entry.homepage)

    def _join_fields(
        self, kind: Literal["room", "livestream"], entry: SessionTable, at: KeyPath, start: datetime
    ) -> dict[str, str]:
        """The session's own room or livestream, completed field by field from the defaults."""
        own = getattr(entry, kind)
        if own is None:
            return {}
        mine = {name: value for name, value in own if value is not None}
        since = self._defaults.since
        if since and start.date() < since:
            return mine
        common = {name: value for name, value in getattr(self._defaults, kind) if value is not None}
        borrowed = {name for name in _ONE_MEETING if common.get(name) and name not in mine}
        if borrowed and mine.keys() & {"url", "meeting_id"}:
            names = ", ".join(sorted(borrowed))
            told = f"session {entry.id} has a room of its own, but its {names} would be that of [defaults.room]"
            self._doubt((*at, kind), told, 'write those too, or "" for none')
        return common | mine

    def _check_meeting_ids(self, room: RoomTable | None, at: KeyPath) -> None:
        for key in ("meeting_id", "alternate_id"):
            number = getattr(room, key, None)
            if number and not _MEETING_ID.fullmatch(re.sub("[ -]", "", number)):
                told = f'{key} "{number}" does not look like a meeting: those have 9 to 11 digits'
                self._doubt((*at, key), told, "compare it with the invitation")

    def _check_ids(self, ids: Iterable[tuple[int, str]]) -> None:
        ids = list(ids)
        counts = Counter(session_id.casefold() for _, session_id in ids)
        for i, session_id in ids:
            count = counts[session_id.casefold()]
            if count > 1:
                told = f'{count} sessions have the id "{session_id}"'
                advice = "give the newer one another; an id that was published stays with its session"
                self._fault(("session", i, "id"), told, advice)

    def _compare(self, sessions: Mapping[int, Session]) -> None:
        """Doubts what only shows beside other sessions."""
        previous: Session | None = None
        held = [(i, session) for i, session in sessions.items() if not session.is_cancelled]
        for i, session in sorted(held, key=lambda item: item[1].start.timestamp()):
            if previous and session.start.timestamp() < previous.end.timestamp():
                told = f"session {session.id} begins before session {previous.id} ends"
                self._doubt(("session", i), told, "mend the date or time of one of them, if that is not meant")
            if previous is None or session.end.timestamp() > previous.end.timestamp():
                previous = session
        self._compare_replays(sessions)

    def _compare_replays(self, sessions: Mapping[int, Session]) -> None:
        first: dict[str, Session] = {}
        for i, session in sessions.items():
            for j, talk in enumerate(session.talks):
                other = first.setdefault(talk.replay, session) if talk.replay else session
                if other is not session:
                    told = f"session {session.id} has the same replay as session {other.id}: {talk.replay}"
                    self._doubt(("session", i, "talk", j, "replay"), told, "one of the two is hardly right")


def _key_of(entry: SessionTable | TalkTable, key: str) -> str:
    """The key that this instant was written in."""
    if entry.time is not None:
        return "time"
    return key if getattr(entry, key) is not None else "date"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
