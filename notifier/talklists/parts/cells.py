"""What stands in one cell of a list, and at the head of its column → fields, times, people, links, how to join."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from notifier.locations import is_web_address
from notifier.talklists.parts.dates import read_when
from notifier.talklists.parts.labels import Kind, find_label, kind_of
from notifier.talklists.parts.people import affiliations, is_nobody, people
from notifier.talks import Link, Livestream, Room, Session, Speaker, clean_line, clean_text

# A list that says when a session begins and not when it ends still has to be shown in calendars.
ASSUMED_LENGTH = timedelta(hours=2)
# 23:00-01:00 is a session over midnight; 11:30-9:30 is a slip of the pen.
LONGEST_OVER_MIDNIGHT = timedelta(hours=6)

# What a page says for each of them is in `_labels`; here is what only the head of a column or a record's key says.
_WORDS = {
    "id": "id, session, session id, 编号, 场次",
    "date": "date, day, 日期, 报告日期, talk date",
    "start": "start, start time, start date, begin, begins, starts, from, 开始, 开始时间",
    "end": "end, end time, end date, ends, until, to, 结束, 结束时间",
    "timezone": "timezone, time zone, tz, zone, 时区",
    "status": "status, 状态",
    "cancelled": "cancelled, canceled, is cancelled, 取消, 是否取消",
    "notice": "note, notes, remark, remarks, comment, comments, other, others, remarque, remarques, bemerkung",
    "speakers": "name, who, presenters, speaker names, full name, chairs, 姓名",
    "affiliations": "speaker institution",
    "title": "talk, name of talk",
    "title_zh": "title zh, chinese title, 中文题目, 中文标题",
    "abstract_zh": "abstract zh, chinese abstract, 中文摘要",
    "homepage": "speaker url, person url, speaker website",
    "references": "paper, papers, paper link, paper url, 论文",
    "slides": "slides link, slides url",
    "replay": "video url, youtube",
    "kind": "kind, type, talk type, 类型, 类别",
    "room": (
        "room, location, place, venue, where, online, 地点, 会议室, 报告地点, 讲座地点, 活动地点, 举办地点"
        ", salle, lieu, raum, ort"
    ),
    "url": "live link, room link, zoom link, 腾讯会议链接",
    "meeting_id": "zoom id",
    "livestream": "stream link",
}
_FIELD_OF_KIND = {
    Kind.TIME: "time",
    Kind.TITLE: "title",
    Kind.SPEAKER: "speakers",
    Kind.AFFILIATION: "affiliations",
    Kind.ABSTRACT: "abstract",
    Kind.BIO: "bio",
    Kind.REFERENCES: "references",
    Kind.SLIDES: "slides",
    Kind.REPLAY: "replay",
    Kind.HOMEPAGE: "homepage",
    Kind.MEETING: "url",
    Kind.DOWNLOAD: "download_url",
    Kind.MEETING_ID: "meeting_id",
    Kind.PASSCODE: "passcode",
    Kind.ALTERNATE_ID: "alternate_id",
    Kind.LIVESTREAM: "livestream",
    Kind.NOTICE: "notice",
}
FIELDS = frozenset(_WORDS) | frozenset(_FIELD_OF_KIND.values())


def _key(label: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", label)).casefold()


_FIELD_OF = {_key(name): name for name in FIELDS} | {
    _key(word): name for name, words in _WORDS.items() for word in words.split(",")
}


def field_of(label: str) -> str:
    """The field that this label names in Chinese or English, whatever its case and punctuation; "" for none."""
    if name := _FIELD_OF.get(_key(label)):
        return name
    kind = kind_of(label.replace("_", " "))
    return _FIELD_OF_KIND.get(kind, "") if kind else ""


# Of these a row has one: beside a column of the very name, another that may be meant by it (topics, online) is not it.
CALLED = FIELDS - {"date", "time", "speakers", "affiliations", "references", "notice"}


def is_called(label: str, name: str) -> bool:
    """Whether the label is the field's own name, and not only one that may be meant by it."""
    return _key(label) == _key(name)


_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_identifier(text: str) -> bool:
    """Whether the text can be a session's id, which stands in web addresses."""
    return _IDENTIFIER.fullmatch(text) is not None


def known(text: str) -> str:
    """The text, or "" where it only says that it is still to come."""
    return "" if is_nobody(text) else text


# Times ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class When:
    """A day and hours as far as a text gives them; `rest` was not understood, `doubt` says what contradicts itself."""

    day: date | None = None
    start: time | None = None
    end: time | None = None
    end_day: date | None = None
    zone: tzinfo | None = None
    rest: str = ""
    doubt: str = ""


_ISO = re.compile(
    r"\d{4}-?\d{2}-?\d{2}(?:T\S+| \d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[+-]\d{2}:?\d{2})?| \S+Z| \S+ UTC)", re.ASCII
)
_ZONE_KEY = re.compile(r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?\b")
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE | re.ASCII)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def parse_when(text: str) -> When:
    """The day and hours in a text such as `2021-11-27 9:30-11:30 (UTC+8)` or `2021-11-27T01:30:00Z`.

    Raises:
        ValueError: there is no such day or hour, or the text can be read as two days; its words say which.
    """
    if moment := _iso_moment(text.strip()):
        _check_year(moment.year)
        return When(moment.date(), moment.time(), zone=moment.tzinfo)
    key = next((found[0] for found in _ZONE_KEY.finditer(text) if zone_named(found[0])), "")
    if key:
        text = text.replace(key, " ")
    told = read_when(text.replace("24:00", "00:00"))
    if told.problem:
        raise ValueError(told.problem)
    if told.day is None:
        return When(None, told.start, told.end, None, zone_of(key or told.zone), told.rest)
    if told.day.year is None:
        raise ValueError(f"{clean_line(text)!r} names no year")
    _check_year(told.day.year)
    day = date(told.day.year, told.day.month, told.day.day)
    doubt = ""
    if told.weekday is not None and told.weekday != day.weekday():
        doubt = f"{day} is a {_WEEKDAYS[day.weekday()]}, not a {_WEEKDAYS[told.weekday]}"
    end_day = day + timedelta(days=1) if told.ends_next_day else None
    return When(day, told.start, told.end, end_day, zone_of(key or told.zone), told.rest, doubt)


def _iso_moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace(" UTC", "Z")) if _ISO.fullmatch(text) else None
    except ValueError:
        return None


def _check_year(year: int) -> None:
    if not 1900 <= year < 2200:
        raise ValueError(f"the year {year} is out of bounds")


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of this IANA name, or None where there is none."""
    if name.startswith("local"):  # whatever zone this machine happens to be in
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def zone_of(text: str) -> tzinfo | None:
    """The zone that this text names as a key or as an offset such as `+8`, `UTC+08:00` or `-0330`; else None."""
    text = text.strip()
    if text.upper() in ("UTC", "GMT", "Z"):
        return UTC
    found = _OFFSET.fullmatch(text)
    if found and int(found[2]) <= 14:
        size = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(-size if found[1] == "-" else size)
    return zone_named(text) if text else None


def span(when: When, zone: tzinfo, into: ZoneInfo) -> tuple[datetime, datetime | None]:
    """The instants of a `When` that has a day and a start, in `into`; where it names no zone, it is meant in `zone`.

    Raises:
        ValueError: it has neither, ends before it starts, or is at a time that clocks skip.
    """
    if when.day is None or when.start is None:
        raise ValueError("there is no day and time")
    at = when.zone or zone
    start = _moment(when.day, when.start, at)
    if when.end is None:
        return start.astimezone(into), None
    end = _moment(when.end_day or when.day, when.end, at)
    if end <= start and not when.end_day:
        end += timedelta(days=1)
        if end - start > LONGEST_OVER_MIDNIGHT:
            raise ValueError(f"it ends before it starts ({when.end:%H:%M} < {when.start:%H:%M})")
    if end <= start:
        raise ValueError(f"it ends before it starts ({end:%Y-%m-%d %H:%M} < {start:%Y-%m-%d %H:%M})")
    return start.astimezone(into), end.astimezone(into)


def _moment(day: date, shown: time, zone: tzinfo) -> datetime:
    """When the clocks of `zone` show this. Raises ValueError where they never do."""
    found = datetime.combine(day, shown, zone)
    if found.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != found.replace(tzinfo=None):
        raise ValueError(f"{found:%Y-%m-%d %H:%M} does not exist in {zone}: its clocks are put forward over it")
    return found


# People and links -----------------------------------------------------------------------------------------------


def speakers_in(text: str, places: str = "", homepage: str = "") -> tuple[tuple[Speaker, ...], list[str]]:
    """The people named in a text such as `许志钦 (Zhi-Qin John Xu), 上海交通大学`, and the pieces that name nobody.

    As many places as people are given out one by one; else each of them is everybody's.
    """
    links = links_in(text)
    found, left = people(without_links(known(text)))
    given = affiliations(places)
    shares = [[place] for place in given] if len(given) == len(found) else [given] * len(found)
    if len(found) == 1 and not homepage and links:
        homepage = links[0].url
    speakers = tuple(
        Speaker(person.name, tuple(dict.fromkeys((*person.affiliations, *share))), homepage if len(found) == 1 else "")
        for person, share in zip(found, shares, strict=True)
    )
    return speakers, left if found else [*left, *given]


_URL = r"https?://[^\s<>\"'）)，。；、|\]]+"
_MARKDOWN_LINK = re.compile(r"\[([^\]\[]*)\]\(\s*<?(https?://[^\s<>]+?)>?\s*\)")
_BARE_LINK = re.compile(_URL)


def links_in(text: str) -> list[Link]:
    """The links in a text that lead somewhere: `[slides](https://…)` and bare addresses, in order."""
    marked = [Link(found[2], found[1]) for found in _MARKDOWN_LINK.finditer(text)]
    bare = [Link(found[0].rstrip(".,;:")) for found in _BARE_LINK.finditer(_MARKDOWN_LINK.sub(" ", text))]
    return [link for link in marked + bare if is_web_address(link.url)]


def without_links(text: str) -> str:
    """The text without its links and the words that only name them; `[Ada](https://…)` leaves `Ada`."""
    return clean_line(_BARE_LINK.sub(" ", _MARKDOWN_LINK.sub(_words_of, text)))


def _words_of(found: re.Match[str]) -> str:
    return " " if field_of(found[1]) else f" {found[1]} "


def link_in(text: str) -> Link:
    """The first link of a text with its words; a text without one is all words."""
    links = links_in(text)
    if not links:
        return Link(label=text)
    return replace(links[0], label=links[0].label or without_links(text))


# How to join ----------------------------------------------------------------------------------------------------

_MEETING_HOST = re.compile(
    r"https?://(?:[\w-]+\.)*(?:meeting\.tencent\.com|voovmeeting\.com|zoom\.(?:us|com|com\.cn)|zoomgov\.com|"
    r"teams\.(?:microsoft|live)\.com|meet\.google\.com|webex\.com|meeting\.dingtalk\.com|vc\.feishu\.cn|"
    r"bbb\.[\w.-]+|meet\.jit\.si|whereby\.com)/",
    re.IGNORECASE,
)
_STREAM_HOST = re.compile(r"https?://(?:live\.bilibili\.com|(?:www\.)?youtube\.com/live)/", re.IGNORECASE)
_REPLAY_HOST = re.compile(
    r"https?://(?:(?:www\.|m\.)?bilibili\.com/video|b23\.tv|(?:www\.)?youtube\.com/watch|youtu\.be|vimeo\.com)\b",
    re.IGNORECASE,
)
_DIGITS = r"(\d[\d -]{7,14}\d)(?!\d)"
_ASIDE = r"(?:\s*[(（][^()（）\n]*[)）])?\s*"
_ALTERNATE_ID = re.compile(rf"(?:备用|Alternate|Backup)[^\n:：]*[:：]\s*{_DIGITS}", re.IGNORECASE)
_MEETING_ID = re.compile(
    r"(?:会议\s*(?:号码?|ID)|(?:腾讯|Tencent|Voov|Zoom)\s*(?:会议|Meeting)?\s*(?:号码?|ID)?|Meeting\s*(?:ID|number|No\.?))"
    rf"{_ASIDE}[#:：]?\s*{_DIGITS}",
    re.IGNORECASE,
)
_PASSCODE = re.compile(
    rf"(?:会议密码|入会密码|密码|Pass\s?code|Password|Pwd){_ASIDE}"
    r"(?:\s*[:：=]\s*(?P<any>[^\s,;，；。<>()（）]{1,64})|\s*(?P<digits>\d{4,10})\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Joining:
    """How to take part, as a free text tells it."""

    room: Room = field(default_factory=Room)
    livestream: Livestream = field(default_factory=Livestream)
    replay: str = ""

    def completed_by(self, other: Joining) -> Joining:
        """With what it lacks taken from the other."""
        stream = self.livestream if self.livestream != Livestream() else other.livestream
        return Joining(merged(self.room, other.room), stream, self.replay or other.replay)

    def given_to(self, session: Session) -> Session:
        """The session with this way to take part, where it has none of its own."""
        has_own = session.room != Room() or session.livestream != Livestream()
        return session if has_own else replace(session, room=self.room, livestream=self.livestream)

    def cut_from(self, text: str) -> str:
        """The text without the lines that told it, so that a passcode is not read as part of an abstract."""
        room = self.room
        told = (room.url, room.meeting_id, room.passcode, room.alternate_id, room.download_url)
        marks = {_squeezed(value) for value in (*told, self.livestream.url, self.replay) if value}
        return clean_text("\n".join(line for line in text.split("\n") if not any(m in _squeezed(line) for m in marks)))


_NOTHING = Joining()


def joining_in(text: str) -> Joining:
    """The meeting link, ID, passcode, spare ID, livestream and replay in a text of any layout."""
    if not text.strip():
        return _NOTHING
    urls = [link.url for link in links_in(text)]
    alternate = _ALTERNATE_ID.search(text)
    shorn = _ALTERNATE_ID.sub("", text)
    # The `pwd=` of a link is for the program that opens it, and not what a person types.
    meeting, passcode = _MEETING_ID.search(shorn), _PASSCODE.search(_BARE_LINK.sub(" ", shorn))
    room = Room(
        url=_first(urls, is_meeting),
        meeting_id=meeting[1] if meeting else "",
        passcode=plain_passcode(passcode["any"] or passcode["digits"]) if passcode else "",
        alternate_id=alternate[1] if alternate else "",
        download_url=_first(urls, is_download),
    )
    return Joining(room, Livestream(_first(urls, is_livestream)), _first(urls, is_replay))


def is_meeting(url: str) -> bool:
    """Whether the address is one of an online meeting."""
    return bool(_MEETING_HOST.match(url)) and not is_download(url)


def is_download(url: str) -> bool:
    """Whether the address is where a meeting's program is downloaded."""
    return bool(_MEETING_HOST.match(url)) and "download" in url


def is_livestream(url: str) -> bool:
    """Whether the address is one where talks are watched live."""
    return bool(_STREAM_HOST.match(url))


def is_replay(url: str) -> bool:
    """Whether the address is one of a recorded video."""
    return bool(_REPLAY_HOST.match(url))


def plain_passcode(text: str) -> str:
    """The passcode as it is typed: no meeting's passcode has the full-width figures that a Chinese text may show."""
    return unicodedata.normalize("NFKC", text)


def _first(urls: Iterable[str], is_wanted: Callable[[str], bool]) -> str:
    return next(filter(is_wanted, urls), "")


def _squeezed(text: str) -> str:
    return re.sub(r"[ -]", "", text)


def merged(room: Room, other: Room) -> Room:
    """The room with what it lacks taken from the other."""
    return Room(
        room.url or other.url,
        room.meeting_id or other.meeting_id,
        room.passcode or other.passcode,
        room.alternate_id or other.alternate_id,
        room.download_url or other.download_url,
    )


# Talks told line by line ----------------------------------------------------------------------------------------

PROSE = frozenset({"abstract", "abstract_zh", "bio", "references"})
TOLD_OF_TALKS = PROSE | {"speakers", "affiliations", "title", "title_zh", "homepage", "slides", "replay", "kind"}


def labelled_talks(text: str) -> tuple[list[dict[str, str]], str]:
    """The talks that a text tells line by line, as `Speaker: …` and `Title: …`, and the lines that belong to none.

    A second title or speaker begins the next talk. An abstract goes on up to the next label.
    """
    talks: list[dict[str, str]] = []
    rest: list[str] = []
    prose = ""
    for line in text.split("\n"):
        label = find_label(line)
        name = field_of(label.words) if label and label.is_firm else ""
        if label and name in TOLD_OF_TALKS:
            if not talks or (name in talks[-1] and name in ("speakers", "title")):
                talks.append({})
            talks[-1][name] = f"{talks[-1].get(name, '')}\n{label.value}".strip()
            prose = name if name in PROSE else ""
        elif prose and not name:
            talks[-1][prose] += f"\n{line}"
        else:
            rest.append(line)
    return talks, clean_text("\n".join(rest))
