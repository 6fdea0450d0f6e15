"""The things a seminar is made of, as immutable values whose text is made safe when they are built.

A `Seminar` is a series; a `Session` one meeting of it (one VEVENT, one reminder); a `Talk` one contribution by one or
more `Speaker`s. A `Room` is how to take part, a `Livestream` how to watch. An empty string means *unknown*: nothing is
ever invented. All instants are aware datetimes in the session's own zone.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any
from zoneinfo import ZoneInfo

# What breaks calendar programs was measured: C0 and C1 controls make two of fifteen reject a whole feed, the Unicode
# line separators cut texts in three. Bidi overrides and isolates let a title reorder the words around it on screen.
_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ud800-\udfff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


def clean_text(text: str) -> str:
    """The text in NFC with LF line breaks, without controls (TAB stays), byte order marks and bidi overrides.

    Spaces at line ends and blank space around the whole are dropped; paragraphs stay.
    """
    if text.isprintable() and unicodedata.is_normalized("NFC", text):
        return text.strip()  # one line of nothing but characters that show, as nearly all texts are
    text = _UNSAFE.sub("", _LINE_BREAKS.sub("\n", text))
    return "\n".join(line.rstrip() for line in unicodedata.normalize("NFC", text).split("\n")).strip()


def clean_line(text: str) -> str:
    """The text as `clean_text` makes it, on one line with single spaces: for titles, names, links and labels."""
    return " ".join(clean_text(text).split())


def grouped(number: str) -> str:
    """A meeting's number as its program writes it: 329 744 341, 553 2421 7498; anything else as it is."""
    digits = re.sub(r"[\s-]", "", number)
    if not re.fullmatch("[0-9]{9,11}", digits):
        return number
    middle = 6 if len(digits) < 11 else 7
    return f"{digits[:3]} {digits[3:middle]} {digits[middle:]}"


class Status(StrEnum):
    """Whether a session takes place, with the values of RFC 5545 section 3.8.1.11."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class Audience(IntEnum):
    """Who reads a text, from the many to the few; a field is shown to its own level and every level after it."""

    PUBLIC = 0
    SUBSCRIBERS = 1
    REMINDER = 2  # mail within 24 hours of the start


class _Safe:
    """Makes every text of a value safe when it is built, so that no way into the model can forget it."""

    __slots__ = ()
    _paragraphs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name in _field_names(kind):
            value = getattr(self, name)
            if type(value) is str:
                clean = clean_text if name in self._paragraphs else clean_line
                object.__setattr__(self, name, clean(value))
            elif isinstance(value, tuple) and value and type(value[0]) is str:
                object.__setattr__(self, name, tuple(filter(None, map(clean_line, value))))
            elif isinstance(value, datetime) and value.utcoffset() is None:
                raise ValueError(f"expected an aware datetime for {name}, got {value!r}")


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


@dataclass(frozen=True, slots=True)
class Speaker(_Safe):
    """A person who talks; a name in two scripts is written `Le Lu (吕乐)`, in the order of the talk list."""

    name: str
    affiliations: tuple[str, ...] = ()
    homepage: str = ""


@dataclass(frozen=True, slots=True)
class Link(_Safe):
    """A link with the words it carries; on a page read as text the target may be lost while the words remain."""

    url: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Talk(_Safe):
    """One contribution to a session. `start` and `end` only where the talk has a slot of its own."""

    title: str = ""
    title_zh: str = ""
    speakers: tuple[Speaker, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    abstract: str = ""
    abstract_zh: str = ""
    bio: str = ""
    references: tuple[str, ...] = ()
    slides: Link | None = None
    replay: str = ""
    kind: str = ""

    _paragraphs = frozenset({"abstract", "abstract_zh", "bio"})

    def __post_init__(self) -> None:
        _Safe.__post_init__(self)  # not super(), as in Seminar
        # Of a name that was nothing but unsafe characters nobody is left.
        known = tuple(s for s in self.speakers if s.name or s.affiliations or s.homepage)
        object.__setattr__(self, "speakers", known)

    def title_in(self, language: str) -> str:
        """The title for readers of this language, else in the language it was written in."""
        return self.title_zh if language == "zh" and self.title_zh else self.title

    def abstract_in(self, language: str) -> str:
        """The abstract for readers of this language, else in the language it was written in."""
        return self.abstract_zh if language == "zh" and self.abstract_zh else self.abstract


@dataclass(frozen=True, slots=True)
class Room(_Safe):
    """How to take part online. `alternate_id` is a spare meeting without a passcode."""

    url: str = ""
    meeting_id: str = ""
    passcode: str = ""
    alternate_id: str = ""
    download_url: str = ""


@dataclass(frozen=True, slots=True)
class Livestream(_Safe):
    """Where to watch without taking part."""

    url: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Session(_Safe):
    """One meeting: its talks in the order they are given, one room, one livestream.

    `id` is the organiser's permanent name for it. `uid`, `revision` (the SEQUENCE of RFC 5545 section 3.8.7.4),
    `created`, `modified` and `edited` are facts that `revisions` adds; a session fresh from a talk list has none.
    `edited` is when it was changed itself, None where that was at `modified`, the last change of how it is shown.
    `urgent` is the line of the bulletin that is out about it, which is in no talk list.
    """

    id: str
    start: datetime
    end: datetime
    timezone: str
    talks: tuple[Talk, ...] = ()
    status: Status = Status.CONFIRMED
    notice: str = ""
    room: Room = field(default_factory=Room)
    livestream: Livestream = field(default_factory=Livestream)
    quiet: bool = False
    uid: str = ""
    revision: int = 0
    created: datetime | None = None
    modified: datetime | None = None
    edited: datetime | None = None
    urgent: str = ""

    _paragraphs = frozenset({"notice"})

    def __hash__(self) -> int:
        # Of what tells sessions apart: that of every word in them would take longer than what is looked up by it.
        return hash((self.id, self.uid, self.revision))

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Everyone who talks in this session, in order."""
        return tuple(speaker for talk in self.talks for speaker in talk.speakers)

    @property
    def is_cancelled(self) -> bool:
        """True where the organiser called it off; it stays in the feed so that calendars learn of it."""
        return self.status is Status.CANCELLED


@dataclass(frozen=True, slots=True)
class Seminar(_Safe):
    """The series and its sessions, ordered by start. `id` names its feed and its mailing list."""

    id: str
    name: str
    timezone: str
    name_zh: str = ""
    description: str = ""
    description_zh: str = ""
    organisers: tuple[str, ...] = ()
    homepage: str = ""
    sessions: tuple[Session, ...] = ()

    _paragraphs = frozenset({"description", "description_zh"})

    def __post_init__(self) -> None:
        # Not super(): a slotted dataclass is a new class, and the zero-argument form would look for the old one.
        _Safe.__post_init__(self)
        object.__setattr__(self, "sessions", tuple(sorted(self.sessions, key=lambda s: (s.start.timestamp(), s.id))))

    def name_in(self, language: str) -> str:
        """The series' name for readers of this language; its id, where nobody gave it a name."""
        return (self.name_zh if language == "zh" else "") or self.name or self.name_zh or self.id

    def description_in(self, language: str) -> str:
        """The series' description for readers of this language."""
        return self.description_zh if language == "zh" and self.description_zh else self.description

    def session(self, session_id: str) -> Session | None:
        """The session of this id."""
        return next((s for s in self.sessions if s.id == session_id), None)

    def next_session(self, now: datetime) -> Session | None:
        """The session that is on now or comes next and is not cancelled."""
        return next((s for s in self.sessions if s.end > now and not s.is_cancelled), None)


JOIN_FIELDS = ("url", "meeting_id", "passcode", "alternate_id", "download_url", "livestream")


_PASSCODE = re.compile(r"(?<=[?&])(?:pwd|psw|passwd|password|passcode)=[^&#]*&?", re.IGNORECASE)


def without_passcode(url: str) -> str:
    """The link without the passcode that programs put into it: who follows it is asked for one."""
    return re.sub("[?&](?=#|$)", "", _PASSCODE.sub("", url)) if _PASSCODE.search(url) else url


def hidden_from(audience: Audience, levels: Mapping[str, Audience]) -> frozenset[str]:
    """Which of `JOIN_FIELDS` this audience may not see; `levels` names the least audience, and the public else."""
    return frozenset(name for name in JOIN_FIELDS if levels.get(name, Audience.PUBLIC) > audience)


def shown_to(audience: Audience, session: Session, levels: Mapping[str, Audience]) -> Session:
    """The session as readers see it: every join field blanked that this audience may not see, what is urgent on top.

    Who may not see the passcode does not see it in a link either. The urgent line becomes the first of the notice,
    which stands above all else wherever a session is shown. Everything that is published passes through here, and some
    of it twice, for one audience and for another.
    """
    if not session.notice.startswith(session.urgent):
        session = replace(session, notice=f"{session.urgent}\n{session.notice}")
    hidden = hidden_from(audience, levels)
    if not hidden:
        return session
    room = replace(session.room, **dict.fromkeys(hidden - {"livestream"}, ""))
    if "passcode" in hidden:
        room = replace(room, url=without_passcode(room.url))
    livestream = Livestream() if "livestream" in hidden else session.livestream
    return replace(session, room=room, livestream=livestream)


def shown(audience: Audience, seminar: Seminar, levels: Mapping[str, Audience]) -> Seminar:
    """The seminar with every session as `shown_to` this audience."""
    return replace(seminar, sessions=tuple(shown_to(audience, s, levels) for s in seminar.sessions))


def as_json(seminar: Seminar) -> dict[str, Any]:
    """The seminar as the JSON of `export --json`: times ISO 8601 with offset, unknown things absent."""
    known = {name: value for name, value in _items(seminar) if name != "sessions"}
    head = {"id": seminar.id, "name": seminar.name, **known}
    return {"seminar": head, "sessions": [session_as_json(s) for s in seminar.sessions]}


def session_as_json(session: Session) -> dict[str, Any]:
    """One session as it stands in `as_json`."""
    out = dict(_items(session)) | _hours(session, session.timezone)
    out["room"] = dict(_items(session.room))
    out["livestream"] = dict(_items(session.livestream))
    out["revision"] = session.revision
    out["talks"] = [_talk_as_json(talk) | _hours(talk, session.timezone) for talk in session.talks]
    return out


def _hours(value: Session | Talk, zone: str) -> dict[str, str]:
    at = {"start": value.start, "end": value.end}
    return {name: instant.astimezone(ZoneInfo(zone)).isoformat() for name, instant in at.items() if instant}


def _talk_as_json(talk: Talk) -> dict[str, Any]:
    out = {"title": talk.title, **dict(_items(talk))}
    out["speakers"] = [{"name": s.name, "affiliations": [], **dict(_items(s))} for s in talk.speakers]
    if talk.slides:
        out["slides"] = dict(_items(talk.slides))
    return out


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    for f in fields(value):
        item = getattr(value, f.name)
        if item is None or item is False or item in ("", ()):
            continue
        if isinstance(item, datetime):
            yield f.name, item.isoformat()
        elif isinstance(item, tuple):
            yield f.name, list(item)
        elif isinstance(item, Status):
            yield f.name, str(item)
        else:
            yield f.name, item


def from_json(document: Mapping[str, Any]) -> Seminar:
    """The seminar that `as_json` wrote. Raises KeyError or ValueError on anything that it did not write."""
    head = dict(document["seminar"])
    head["organisers"] = tuple(head.get("organisers", ()))
    return Seminar(**head, sessions=tuple(_session_from_json(s) for s in document["sessions"]))


def _session_from_json(document: Mapping[str, Any]) -> Session:
    values = dict(document)
    zone = ZoneInfo(values["timezone"])
    for name in ("start", "end"):
        values[name] = _by_the_wall(values[name], zone)
    for name in ("created", "modified", "edited"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    values["status"] = Status(values.get("status", "confirmed"))
    values["room"] = Room(**values.get("room", {}))
    values["livestream"] = Livestream(**values.get("livestream", {}))
    values["talks"] = tuple(_talk_from_json(t, zone) for t in values.get("talks", ()))
    return Session(**values)


def _by_the_wall(text: str, zone: ZoneInfo) -> datetime:
    """The hour that people were told, in their zone as its law is now.

    Where a country has changed its law since, the hour on the wall stays and its instant moves; the offset that was
    written then only tells which of an hour lived through twice is meant.
    """
    written = datetime.fromisoformat(text)
    hours = [written.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    return next((hour for hour in hours if hour.utcoffset() == written.utcoffset()), hours[0])


def _talk_from_json(document: Mapping[str, Any], zone: ZoneInfo) -> Talk:
    values = dict(document)
    for name in ("start", "end"):
        if name in values:
            values[name] = _by_the_wall(values[name], zone)
    values["speakers"] = tuple(
        Speaker(**{**s, "affiliations": tuple(s.get("affiliations", ()))}) for s in values.get("speakers", ())
    )
    values["references"] = tuple(values.get("references", ()))
    if "slides" in values:
        values["slides"] = Link(**values["slides"])
    return Talk(**values)
