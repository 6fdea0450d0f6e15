"""A `Seminar` → our TOML talk list, as a person would have written it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from notifier.errors import Problem
from notifier.talklists.parts.shapes import DAY, status_of
from notifier.talks import Link, Seminar, Session, Speaker, Talk, clean_line

_LONGEST_LINE = 110
_HEADER = """\
# The talk list: from it come the calendar feed, the pages and every mail.
# `notifier check` tells what is wrong with it, and `notifier diff` what a change of it would do.
# An id is never changed once published: calendars and reminders know the session by it.
"""


def write(seminar: Seminar, warnings: Sequence[Problem] = ()) -> str:
    """The text that `read` turns back into this seminar, newest session first, the warnings as comments on top.

    What `revisions` adds to a session (uid, revision and the like) is not the organiser's, and is left out.
    """
    doubtful = ["# To be looked at:", *(f"#   {clean_line(str(w))}" for w in warnings)] if warnings else []
    blocks = [_written_session(session, seminar.timezone) for session in reversed(seminar.sessions)]
    return "\n".join(
        [_HEADER, *doubtful, *([""] if doubtful else []), *_written_head(seminar), *map("\n".join, blocks), ""]
    )


def _written_head(seminar: Seminar) -> Iterator[str]:
    yield "[seminar]"
    yield f"id = {_text(seminar.id)}"
    yield from _two_languages("name", seminar.name, seminar.name_zh)
    if seminar.description_zh:
        yield f"description.en = {_block(seminar.description)}"
        yield f"description.zh = {_block(seminar.description_zh)}"
    else:
        yield from _prose("description", seminar.description)
    yield f"timezone = {_text(seminar.timezone)}"
    yield from _texts("organisers", seminar.organisers)
    yield from _if_known("homepage", seminar.homepage)


def _written_session(session: Session, zone: str) -> Iterator[str]:
    yield ""
    yield "[[session]]"
    yield f"id = {_text(session.id)}"
    yield from _written_times(session)
    if session.timezone != zone:
        yield f"timezone = {_text(session.timezone)}"
    # Said only where it must be: so a session becomes confirmed when its talks are filled in.
    if session.status != status_of(session.talks):
        yield f"status = {_text(session.status)}"
    yield from _prose("notice", session.notice)
    if session.quiet:
        yield "quiet = true"
    # Dotted keys, not tables: a key of the session that is added below them still belongs to the session.
    for kind in ("room", "livestream"):
        value = getattr(session, kind)
        for field in fields(value):
            yield from _if_known(f"{kind}.{field.name}", getattr(value, field.name))
    for talk in session.talks:
        yield "  [[session.talk]]"
        yield from (f"  {line}" for line in _written_talk(talk, session))


def _written_talk(talk: Talk, session: Session) -> Iterator[str]:
    if talk == Talk():
        yield "tba = true"
    yield from _two_languages("title", talk.title, talk.title_zh)
    yield from _written_speakers(talk.speakers)
    yield from _written_slot(talk, session)
    yield from _if_known("kind", talk.kind)
    yield from _if_known("replay", talk.replay)
    if talk.slides:
        yield f"slides = {_written_link(talk.slides)}"
    if talk.abstract_zh:
        yield f"abstract.en = {_block(talk.abstract)}"
        yield f"abstract.zh = {_block(talk.abstract_zh)}"
    else:
        yield from _prose("abstract", talk.abstract)
    yield from _prose("bio", talk.bio)
    yield from _texts("references", talk.references)


def _written_speakers(speakers: Sequence[Speaker]) -> Iterator[str]:
    if len(speakers) == 1:
        [one] = speakers
        yield f"speaker = {_text(one.name)}"
        yield from _texts("affiliation", one.affiliations)
        yield from _if_known("homepage", one.homepage)
    elif speakers:
        yield "speakers = ["
        yield from (f"  {_written_speaker(one)}," for one in speakers)
        yield "]"


def _written_speaker(speaker: Speaker) -> str:
    items = [f"name = {_text(speaker.name)}"]
    items += _texts("affiliations", speaker.affiliations)
    items += _if_known("homepage", speaker.homepage)
    return f"{{ {', '.join(items)} }}"


def _written_link(link: Link) -> str:
    if link.url and not link.label:
        return _text(link.url)
    return f"{{ {', '.join([*_if_known('url', link.url), *_if_known('label', link.label)])} }}"


def _written_times(session: Session) -> Iterator[str]:
    zone = ZoneInfo(session.timezone)
    start, end = _wall(session.start, zone), _wall(session.end, zone)
    if start and end and (span := _written_range(start.date(), start, end)):
        yield f"date = {start.date()}"
        yield f"time = {span}"
    else:
        # In UTC where the zone's clocks show one of the two twice.
        yield f"start = {(start if start and end else session.start.astimezone(UTC)).isoformat()}"
        yield f"end = {(end if start and end else session.end.astimezone(UTC)).isoformat()}"


def _written_slot(talk: Talk, session: Session) -> Iterator[str]:
    zone = ZoneInfo(session.timezone)
    start, end = (_wall(moment, zone) if moment else None for moment in (talk.start, talk.end))
    span = _written_range(session.start.astimezone(zone).date(), start, end) if start and end else ""
    if span:
        yield f"time = {span}"
    else:
        yield from (f"start = {_written_moment(moment, zone)}" for moment in (talk.start,) if moment)
        yield from (f"end = {_written_moment(moment, zone)}" for moment in (talk.end,) if moment)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime | None:
    """What the zone's clocks show at that moment, or None where they show it twice."""
    local = moment.astimezone(zone)
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        return None
    return local.replace(tzinfo=None)


def _written_range(day: date, start: datetime, end: datetime) -> str:
    """`"09:30-11:30"`, or nothing where whole minutes of that one day cannot say it."""
    midnight = datetime.combine(day, time.min)
    spans = (start - midnight, end - midnight)
    if not timedelta(0) <= spans[0] < spans[1] <= DAY or any(span % timedelta(minutes=1) for span in spans):
        return ""
    texts = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (span // timedelta(minutes=1) for span in spans))
    return f'"{"-".join(texts)}"'


def _written_moment(moment: datetime, zone: ZoneInfo) -> str:
    return (_wall(moment, zone) or moment.astimezone(UTC)).isoformat()


def _two_languages(key: str, text: str, text_zh: str) -> Iterator[str]:
    if text_zh:
        yield f"{key} = {{ en = {_text(text)}, zh = {_text(text_zh)} }}"
    elif text:
        yield f"{key} = {_text(text)}"


def _if_known(key: str, text: str) -> Iterator[str]:
    if text:
        yield f"{key} = {_text(text)}"


def _texts(key: str, texts: Sequence[str]) -> Iterator[str]:
    if len(texts) == 1 and key != "organisers":
        yield f"{key} = {_text(texts[0])}"
    elif sum(map(len, texts)) > _LONGEST_LINE:
        yield f"{key} = [{''.join(f'{chr(10)}    {_text(text)},' for text in texts)}\n  ]"
    elif texts:
        yield f"{key} = [{', '.join(map(_text, texts))}]"


def _prose(key: str, text: str) -> Iterator[str]:
    if text:
        yield f"{key} = {_block(text)}"


def _block(text: str) -> str:
    """Text of some length, as it reads, between triple quotes; in one line where it is short or holds such quotes."""
    if ("\n" in text or len(text) > _LONGEST_LINE) and "'''" not in text:
        return f"'''\n{text}\n'''"
    return _text(text)


def _text(text: str) -> str:
    """The text as a TOML string in one line: literal where backslashes or quotes would need escapes, if it can be."""
    if "'" not in text and "\n" not in text and ("\\" in text or '"' in text):
        return f"'{text}'"
    # JSON's escapes are TOML's too, but for DEL, which no text of the model holds.
    return json.dumps(text, ensure_ascii=False)
