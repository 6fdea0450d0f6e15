"""Two states of one `Session` → what differs, whether people must be told of it, and how to say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from notifier.recognition import names_of, paired_talks
from notifier.talks import Session, Status, Talk, grouped

Times = tuple[datetime, datetime]


class Field(StrEnum):
    """What of a session differs; the join fields are called as in `talks.JOIN_FIELDS`."""

    TIME = "time"
    STATUS = "status"
    URL = "url"
    MEETING_ID = "meeting_id"
    PASSCODE = "passcode"
    ALTERNATE_ID = "alternate_id"
    DOWNLOAD_URL = "download_url"
    LIVESTREAM = "livestream"
    SPEAKER = "speaker"
    TITLE = "title"
    ABSTRACT = "abstract"
    SLIDES = "slides"
    REPLAY = "replay"
    NOTICE = "notice"
    OTHER = "other"


_ROOM = (Field.URL, Field.MEETING_ID, Field.PASSCODE, Field.ALTERNATE_ID, Field.DOWNLOAD_URL)
_NUMBERS = frozenset((Field.MEETING_ID, Field.ALTERNATE_ID))
_JOINING = frozenset((Field.URL, Field.MEETING_ID, Field.PASSCODE, Field.ALTERNATE_ID, Field.LIVESTREAM))
_TALK_TEXTS: Mapping[Field, Callable[[Talk], tuple[str, ...]]] = {
    Field.TITLE: lambda talk: (talk.title, talk.title_zh),
    Field.ABSTRACT: lambda talk: (talk.abstract, talk.abstract_zh),
    Field.SLIDES: lambda talk: (talk.slides.url or talk.slides.label if talk.slides else "",),
    Field.REPLAY: lambda talk: (talk.replay,),
}
_NOT_SHOWN = frozenset(("id", "quiet", "uid", "revision", "created", "modified", "edited"))
_shown: Callable[[Session], tuple[Any, ...]] = attrgetter(
    *(f.name for f in fields(Session) if f.name not in _NOT_SHOWN)
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs, empty where unknown: start and end of a TIME, elsewhere words.

    A SPEAKER difference has those who no longer speak and those who now do. OTHER stands alone, where nothing differs
    that readers look for.
    """

    field: Field
    before: str | Times
    after: str | Times


def differences(old: Session, new: Session) -> tuple[Difference, ...]:
    """What differs between two states of one session, in the order in which it matters."""
    if _shown(old) == _shown(new):
        return ()
    return tuple(_differences(old, new)) or (Difference(Field.OTHER, "", ""),)


def _differences(old: Session, new: Session) -> Iterator[Difference]:
    if _by_the_clock(old) != _by_the_clock(new):
        yield Difference(Field.TIME, times_of(old), times_of(new))
    for field, before, after in _texts(old, new):
        if _plain(field, before) != _plain(field, after):
            yield Difference(field, before, after)


def _texts(old: Session, new: Session) -> Iterator[tuple[Field, str, str]]:
    yield Field.STATUS, str(old.status), str(new.status)
    for field in _ROOM:
        yield field, getattr(old.room, field), getattr(new.room, field)
    yield Field.LIVESTREAM, old.livestream.url, new.livestream.url
    yield Field.SPEAKER, _who_left(old, new), _who_left(new, old)
    talks = paired_talks(old.talks, new.talks)
    for field, texts_of in _TALK_TEXTS.items():
        for before, after in talks:
            for pair in zip(texts_of(before), texts_of(after), strict=True):
                yield field, *pair
    yield Field.NOTICE, old.urgent, new.urgent
    yield Field.NOTICE, old.notice, new.notice


def _plain(field: Field, text: str) -> str:
    """The text as it is compared: how a meeting's number is grouped is no difference."""
    return re.sub(r"[\s-]", "", text) if field in _NUMBERS else text


def times_of(session: Session) -> Times:
    """The session's start and end as the clock in its zone shows them."""
    zone = ZoneInfo(session.timezone)
    return session.start.astimezone(zone), session.end.astimezone(zone)


def _by_the_clock(session: Session) -> tuple[datetime | timedelta | None, ...]:
    """The same for two zones with different names but one clock."""
    start, end = times_of(session)
    return start.replace(tzinfo=None), end.replace(tzinfo=None), start.utcoffset(), end.utcoffset()


def _who_left(old: Session, new: Session) -> str:
    still = names_of(new.speakers)
    names = [speaker.name for speaker in old.speakers if names_of([speaker]).isdisjoint(still)]
    return ", ".join(dict.fromkeys(names))


def is_schedule(difference: Difference) -> bool:
    """Whether it is about when the session takes place, or whether it does at all."""
    is_cancellation = Status.CANCELLED in (difference.before, difference.after)
    return difference.field is Field.TIME or (difference.field is Field.STATUS and is_cancellation)


def is_material(difference: Difference, *, reminded: bool = False) -> bool:
    """Whether people who were told the old state must be told: time, cancellation, how to join, another speaker.

    To fill in what was unknown is not material, but for how to join where they were reminded without it.
    """
    if difference.field in _JOINING:
        return bool(difference.before) or reminded
    if difference.field is Field.SPEAKER:
        return bool(difference.before)
    return is_schedule(difference)


_LABELS = {
    Field.URL: ("meeting link", "会议链接"),
    Field.MEETING_ID: ("meeting ID", "会议号"),
    Field.PASSCODE: ("passcode", "会议密码"),
    Field.ALTERNATE_ID: ("alternate meeting ID", "备用会议号"),
    Field.DOWNLOAD_URL: ("download link", "客户端下载链接"),
    Field.LIVESTREAM: ("livestream", "直播"),
    Field.SPEAKER: ("speaker", "报告人"),
    Field.TITLE: ("title", "题目"),
    Field.ABSTRACT: ("abstract", "摘要"),
    Field.SLIDES: ("slides", "幻灯片"),
    Field.REPLAY: ("replay", "回放"),
    Field.NOTICE: ("notice", "通知"),
    Field.OTHER: ("details", "其他细节"),
}
_STATUSES = {
    Status.CONFIRMED: ("confirmed", "已确认"),
    Status.TENTATIVE: ("no longer certain", "待确认"),
    Status.CANCELLED: ("cancelled", "已取消"),
}
_RESTORED = ("takes place after all", "恢复举行")
_MOVED = ("moved from {before} to {after}", "时间由 {before} 改为 {after}")
_REPLACED = ("{label} changed from {before} to {after}", "{label}由 {before} 改为 {after}")
_FILLED_IN = ("{label} added: {after}", "{label}已补充：{after}")
_REMOVED = ("{label} removed: {before}", "{label}已移除：{before}")
# For what is too long to be quoted, or too secret.
_REPLACED_UNQUOTED = ("{label} changed", "{label}已更改")
_FILLED_IN_UNQUOTED = ("{label} added", "{label}已补充")
_REMOVED_UNQUOTED = ("{label} removed", "{label}已移除")
_UNQUOTED = frozenset((Field.ABSTRACT, Field.PASSCODE, Field.OTHER))
_LINKS = frozenset((Field.URL, Field.DOWNLOAD_URL, Field.LIVESTREAM, Field.SLIDES, Field.REPLAY))


def describe(difference: Difference, language: str = "en", *, with_links: bool = True) -> str:
    """The difference in words of English or, for `zh`, Chinese; a passcode and an abstract are not quoted."""
    chinese = language == "zh"
    before, after = difference.before, difference.after
    if not isinstance(before, str) or not isinstance(after, str):
        then, now = (spell_times(times, language) for times in (before, after) if not isinstance(times, str))
        return _MOVED[chinese].format(before=then, after=now)
    if difference.field is Field.STATUS:
        return (_RESTORED if before == Status.CANCELLED else _STATUSES[Status(after)])[chinese]
    if difference.field in _NUMBERS:
        before, after = grouped(before), grouped(after)
    if difference.field is Field.SPEAKER and chinese:
        before, after = (re.sub(r"(?<=[\u4e00-\u9fff]), ", "、", names) for names in (before, after))
    phrase = _phrase(difference, quoted=difference.field not in (_UNQUOTED if with_links else _UNQUOTED | _LINKS))
    return phrase[chinese].format(label=_LABELS[difference.field][chinese], before=before, after=after)


def _phrase(difference: Difference, *, quoted: bool) -> tuple[str, str]:
    if difference.before and not difference.after:
        return _REMOVED if quoted else _REMOVED_UNQUOTED
    if difference.after and not difference.before:
        return _FILLED_IN if quoted else _FILLED_IN_UNQUOTED
    return _REPLACED if quoted else _REPLACED_UNQUOTED


def spell_times(times: Times, language: str = "en") -> str:
    """Start and end for people, in the zone they are in: `Sat 27 Nov 2021 9:30–11:30 (UTC+8)`."""
    # Imported late: only a list in which something changed needs words, and locales take long to load.
    from notifier.moments import clock

    start, end = times
    zone = str(start.tzinfo)
    shown = clock(start, end, zone, "zh" if language == "zh" else "en", home=zone)
    return f"{shown.day} {shown.hours} ({shown.offset})"
