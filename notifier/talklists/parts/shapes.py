"""What may stand in our TOML talk list: its tables, their keys, and the forms in which people write the values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from notifier.locations import Identifier, WebAddress, ZoneName, refusal
from notifier.talks import Status, Talk

UNKNOWN = frozenset({"tba", "tbd", "tbc", "to be announced", "to be determined", "待定", "未定"})
DAY = timedelta(days=1)
_RANGE = re.compile(r"(\d{1,2})[:：](\d{2})\s*(?:[-–—~～至到－]|--)\s*(\d{1,2})[:：](\d{2})", re.ASCII)
_WALL = re.compile(r"(\d{1,2})[:：](\d{2})", re.ASCII)


def status_of(talks: Iterable[Talk]) -> Status:
    """What a session is as long as the organiser does not say."""
    is_known = any(talk.title and talk.speakers for talk in talks)
    return Status.CONFIRMED if is_known else Status.TENTATIVE


def _words(value: Any) -> Any:
    if isinstance(value, str):
        return {"en": value}
    if not isinstance(value, dict):
        raise refusal(f"{value} is no text", 'write it in quotes, or in two languages as { en = "…", zh = "…" }')
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _speaker(value: Any) -> Any:
    if isinstance(value, list):
        raise refusal("one speaker was expected, not a list", "write speakers = [ … ] for several")
    return {"name": value} if isinstance(value, str) or _is_bilingual(value) else value


def _is_bilingual(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() <= {"en", "zh"}


def _link(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _or_false(value: Any) -> Any:
    if value is True:
        raise refusal("true says nothing here", "write a table, or false for none")
    return None if value is False else value


def _day(value: Any) -> Any:
    if isinstance(value, datetime):
        raise refusal(f"{value} is a date with a time", f"write date = {value.date()}, and the time as time or start")
    if isinstance(value, date):
        _check_year(value)
    return value


def _check_year(day: date) -> None:
    if not 1900 <= day.year < 2200:
        raise refusal(f"the year {day.year} is out of bounds", "write a year from 1900 to 2199")


def _range(value: Any) -> Any:
    match = _RANGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise refusal(f'"{value}" is no range of time', 'write it like "09:30-11:30"')
    start, end = _since_midnight(match[1], match[2]), _since_midnight(match[3], match[4])
    if end <= start:
        told = f'it ends before it starts ("{value}")'
        raise refusal(told, "put the earlier time first; over midnight, write start and end with their dates")
    return start, end


def _since_midnight(hours: str, minutes: str) -> timedelta:
    span = timedelta(hours=int(hours), minutes=int(minutes))
    if span > DAY or int(minutes) > 59:
        raise refusal(f'"{hours}:{minutes}" is no time of day', "write hours from 00 to 24 and minutes from 00 to 59")
    return span


def _moment(value: Any) -> Any:
    """A wall-clock time as the span since midnight, or a date with a time as it is."""
    if isinstance(value, str) and (match := _WALL.fullmatch(value.strip())):
        return _since_midnight(match[1], match[2])
    if isinstance(value, time):
        return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    if isinstance(value, datetime):
        _check_year(value)
        return value
    raise refusal(f'"{value}" is no time', 'write it like "09:30", or with its date like 2021-11-27T09:30:00')


def _passcode(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise refusal("the passcode is a number, so leading zeros are lost", 'write it in quotes: passcode = "…"')
    return value


Day = Annotated[date | None, BeforeValidator(_day)]
Texts = Annotated[list[str], BeforeValidator(_one_or_more)]
Range = Annotated[tuple[timedelta, timedelta] | None, BeforeValidator(_range)]
Moment = Annotated[timedelta | datetime | None, BeforeValidator(_moment)]


class Table(BaseModel):
    """What every table has in common: no key that is not known, and no value of another kind than it should be."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Wording(Table):
    """A text in one language, or in two; one that only says that it is to come counts as empty."""

    en: str | None = None
    zh: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """The text, and its Chinese form where it has two."""
        return (_known(self.zh), "") if self.en is None else (_known(self.en), _known(self.zh))

    @property
    def name(self) -> str:
        """Both forms in one line: `朱通 (Tong Zhu)`."""
        en, zh = _known(self.en or ""), _known(self.zh)
        return f"{zh} ({en})" if en and zh else en or zh


def _known(text: str) -> str:
    # No text of that length says only that it is to come, and looking at every abstract would take its time.
    return "" if len(text) < 40 and text.strip(" .…\t\n").casefold() in UNKNOWN else text


Words = Annotated[Wording, BeforeValidator(_words)]


class SpeakerTable(Table):
    """A speaker; a bare text or `{ en, zh }` is its name."""

    name: Words
    affiliations: Texts = Field(default_factory=list)
    homepage: WebAddress = ""


class LinkTable(Table):
    """A link; a bare text is its URL."""

    url: WebAddress = ""
    label: str = ""


class RoomTable(Table):
    """How to take part; None is a field that the session leaves to the defaults."""

    url: WebAddress | None = None
    meeting_id: str | None = None
    passcode: Annotated[str | None, BeforeValidator(_passcode)] = None
    alternate_id: str | None = None
    download_url: WebAddress | None = None


class LivestreamTable(Table):
    """Where to watch; None as in a room."""

    url: WebAddress | None = None
    label: str | None = None


class TalkTable(Table):
    """A `[[session.talk]]`."""

    title: Words = Field(default_factory=Wording)
    speaker: Annotated[SpeakerTable | None, BeforeValidator(_speaker)] = None
    speakers: list[Annotated[SpeakerTable, BeforeValidator(_speaker)]] = Field(default_factory=list)
    affiliation: Texts = Field(default_factory=list)
    homepage: WebAddress = ""
    abstract: Words = Field(default_factory=Wording)
    bio: str = ""
    references: Texts = Field(default_factory=list)
    slides: Annotated[LinkTable | None, BeforeValidator(_link)] = None
    replay: WebAddress = ""
    kind: str = ""
    time: Range = None
    start: Moment = None
    end: Moment = None
    tba: bool = False


class SessionTable(Table):
    """A `[[session]]`; its room or livestream is None where the organiser says that there is none."""

    id: Identifier
    date: Day = None
    time: Range = None
    start: Moment = None
    end: Moment = None
    timezone: ZoneName = ""
    status: Literal["confirmed", "tentative", "cancelled"] | None = None
    notice: str = ""
    quiet: bool = False
    room: Annotated[RoomTable | None, BeforeValidator(_or_false)] = Field(default_factory=RoomTable)
    livestream: Annotated[LivestreamTable | None, BeforeValidator(_or_false)] = Field(default_factory=LivestreamTable)
    talk: list[TalkTable] = Field(default_factory=list)


class DefaultsTable(Table):
    """`[defaults]`."""

    time: Range = None
    since: Day = None
    room: RoomTable = Field(default_factory=RoomTable)
    livestream: LivestreamTable = Field(default_factory=LivestreamTable)


class SeminarTable(Table):
    """`[seminar]`."""

    id: Identifier = ""
    name: Words = Field(default_factory=Wording)
    description: Words = Field(default_factory=Wording)
    timezone: ZoneName = ""
    organisers: list[str] = Field(default_factory=list)
    homepage: WebAddress = ""


class Document(Table):
    """A whole list."""

    seminar: SeminarTable = Field(default_factory=SeminarTable)
    defaults: DefaultsTable = Field(default_factory=DefaultsTable)
    # Each is checked by itself, so that one bad session hides nothing that is wrong with the others.
    session: list[Any] = Field(default_factory=list)
