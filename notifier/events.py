"""A stamped `Session`, as its readers may see it → the bytes of its VEVENT, and the words in it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from icalendar import Alarm, Event, Parameters, vCategory, vDDDTypes, vInt, vText, vUri

from notifier.contentlines import serialised
from notifier.links import uri
from notifier.mathtext import plain_math
from notifier.talks import Link, Session, Talk, grouped
from notifier.timezones import told

LONGEST_SUMMARY = 255
LONGEST_DESCRIPTION = 8000  # Google's limit
# calcurse keeps so many octets of a value, and refuses the whole event where they end in half an escape.
_KEPT = 8191 - len("DESCRIPTION:")
LONGEST_PART = 1000  # of anything but an abstract, so that how to join is never pushed out
CANCELLED = "[已取消 Cancelled]"
END_EVENT = b"END:VEVENT\r\n"

_MOST_EVENTS, _MOST_ABOUT = 8192, 16
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

# By the very object that a session is, since of thousands nearly all are those of the last time; each is kept alive
# here, so that no other can have its number. Whatever is dropped is found by its value still.
_made: dict[tuple[str, str, str], dict[int, tuple[Session, bytes]]] = {}


def events_of(sessions: Iterable[Session], seminar_name: str, base_url: str, language: str) -> list[bytes]:
    """The events of these sessions, of which nearly all were made before. `language` is `zh`, `en` or "" for both."""
    about = seminar_name, base_url, language
    if about not in _made and len(_made) >= _MOST_ABOUT:
        _made.clear()
    made = _made.setdefault(about, {})
    if len(made) > _MOST_EVENTS:
        made.clear()

    def event(session: Session) -> tuple[Session, bytes]:
        one = made[id(session)] = session, event_of(session, *about)
        return one

    return [(made.get(id(session)) or event(session))[1] for session in sessions]


def forget() -> None:
    """Drops all events that were made already."""
    _made.clear()
    event_of.cache_clear()


# A session that did not change is the same value, and so its event is the same bytes. Room for two languages of a
# feed of thousands; the bytes of one are some kilobytes.
@functools.lru_cache(maxsize=_MOST_EVENTS)
def event_of(session: Session, seminar_name: str, base_url: str, language: str) -> bytes:
    """The event of this session."""
    page = f"{uri(base_url)}/sessions/{quote(session.id, safe='')}"
    modified = vDDDTypes((session.modified or session.start).astimezone(UTC))
    # Of ready values, since finding the type of each by its name takes as long as writing it.
    event = Event(
        {
            "UID": vText(_typed(session.uid or session.id)),
            "DTSTAMP": modified,
            "LAST-MODIFIED": modified,
            "CREATED": vDDDTypes((session.created or session.modified or session.start).astimezone(UTC)),
            "SEQUENCE": vInt(session.revision),
            "DTSTART": vDDDTypes(told(session.start, session.timezone)),
            "DTEND": vDDDTypes(told(session.end, session.timezone)),
            "SUMMARY": vText(summary(session, seminar_name, language)),
            "DESCRIPTION": vText(_description(session, page, language)),
            "URL": vUri(page),
            "STATUS": vText(session.status.upper()),
            "TRANSP": vText("TRANSPARENT" if session.is_cancelled else "OPAQUE"),
            "CLASS": vText("PUBLIC"),
            "CATEGORIES": vCategory([line(seminar_name)]),
        }
    )
    if location := _location(session, language):
        event["LOCATION"] = vText(location)
    _add_conferences(event, session, language)
    return serialised(event)


def _add_conferences(event: Event, session: Session, language: str) -> None:
    # Not icalendar's Conference, which writes the features as one quoted string.
    if meeting := uri(session.room.url):
        label = _label(_provider(meeting, language))
        event.add("CONFERENCE", vUri(meeting), parameters=_conference(["AUDIO", "VIDEO", "SCREEN"], label))
    if stream := uri(session.livestream.url):
        label = _label(session.livestream.label) or _say("livestream", language)
        event.add("CONFERENCE", vUri(stream), parameters=_conference(["FEED"], label))


def _conference(features: list[str], label: str) -> Parameters:
    return Parameters(VALUE="URI", FEATURE=features, LABEL=label)


def alarm(session: Session, before: timedelta, text: str) -> bytes:
    """What rings so long before the session, for its event."""
    alarm = Alarm()
    alarm.add("UID", f"alarm-{before // timedelta(minutes=1)}-{_typed(session.uid or session.id)}")
    alarm.add("ACTION", "DISPLAY")
    alarm.add("TRIGGER", -before)
    alarm.add("DESCRIPTION", text)
    return serialised(alarm)


@functools.lru_cache(maxsize=_MOST_EVENTS)
def split(session: Session) -> tuple[Session, ...]:
    """The session as one for each talk, with an identity that lasts while the talks keep their order."""
    if len(session.talks) < 2:
        return (session,)
    local, _, domain = session.uid.rpartition("@")
    return tuple(
        replace(session, uid=f"{local}-talk-{number}@{domain}", talks=(talk,), start=start, end=end)
        for number, talk in enumerate(session.talks, start=1)
        for start, end in [_span(talk, session)]
    )


def _span(talk: Talk, session: Session) -> tuple[datetime, datetime]:
    """When the talk is: in its slot, or in the session's time where that is not known or is none."""
    start, end = talk.start or session.start, talk.end or session.end
    return (start, end) if start < end else (session.start, session.end)


def summary(session: Session, seminar_name: str, language: str) -> str:
    """Who talks about what, on one line; the seminar's name where nothing is known yet."""
    talks = [_headline(talk, language) for talk in session.talks]
    known = any(talk.title or talk.title_zh or talk.speakers for talk in session.talks)
    text = " · ".join(talks) if known else f"{line(seminar_name)}: {_say('tba', language)}"
    return trim(f"{CANCELLED} {text}" if session.is_cancelled else text, LONGEST_SUMMARY)


def _headline(talk: Talk, language: str) -> str:
    speakers = ", ".join(filter(None, (line(speaker.name) for speaker in talk.speakers)))
    title = _title(talk, language)
    return f"{speakers}: {title}" if speakers else title


def _title(talk: Talk, language: str) -> str:
    return line(talk.title_in(language) or talk.title_zh) or _say("tba", language)


def _location(session: Session, language: str) -> str:
    room = session.room
    meeting = _link(room.url)
    if meeting or room.meeting_id:
        return " ".join(filter(None, (_provider(meeting, language), _typed(grouped(room.meeting_id)), meeting)))
    return " ".join(filter(None, (line(session.livestream.label), _link(session.livestream.url))))


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
    head = [trim(_text(session.notice), LONGEST_PART), _joining(session, page, language)]
    parts = [_talk_parts(talk, number, session, language) for number, talk in enumerate(session.talks, start=1)]
    abstracts = [_text(talk.abstract_in(language) or talk.abstract_zh) for talk in session.talks]
    used = len("\n\n".join(filter(None, head))) + sum(len(top) + len(links) + 4 for top, links in parts)
    shares = _shares([len(abstract) for abstract in abstracts], LONGEST_DESCRIPTION - 1 - used)
    talks = (
        "\n".join(filter(None, (top, trim(abstract, share), links)))
        for (top, links), abstract, share in zip(parts, abstracts, shares, strict=True)
    )
    return _with_whole_escapes(trim("\n\n".join(filter(None, (*head, *talks))), LONGEST_DESCRIPTION))


def _with_whole_escapes(text: str) -> str:
    """The text, with a space where calcurse would cut an escape in two."""
    if len(text) * 4 < _KEPT:
        return text
    escaped = vText(text).to_ical()
    if len(escaped) <= _KEPT or escaped[_KEPT - 1 : _KEPT] != b"\\":
        return text
    before = len(re.sub(r"\\.", "_", escaped[: _KEPT - 1].decode()))
    return trim(f"{text[:before]} {text[before:]}", LONGEST_DESCRIPTION)


def _joining(session: Session, page: str, language: str) -> str:
    room, stream = session.room, session.livestream
    values = {
        "join": _link(room.url),
        "meeting_id": _typed(grouped(room.meeting_id)),
        "passcode": _typed(room.passcode),
        "alternate_id": _typed(grouped(room.alternate_id)),
        "livestream": _link(stream.url) or line(stream.label),
        "download_url": _link(room.download_url),
        "details": page,
    }
    return _labelled(values, language)


def _talk_parts(talk: Talk, number: int, session: Session, language: str) -> tuple[str, str]:
    """What stands above a talk's abstract, and what below."""
    place = f"{number}. " if len(session.talks) > 1 else ""
    lines = [f"{place}{_slot(talk, session.timezone)}{_title(talk, language)}"]
    for speaker in talk.speakers:
        affiliations = "; ".join(map(line, speaker.affiliations))
        lines.append(" ".join(filter(None, (line(speaker.name), affiliations and f"({affiliations})"))))
        if speaker.homepage:
            lines.append(_labelled({"homepage": _link(speaker.homepage)}, language))
    slides = talk.slides or Link()
    links = {"slides": _link(slides.url) or line(slides.label), "replay": _link(talk.replay)}
    return trim("\n".join(lines), LONGEST_PART), trim(_labelled(links, language), LONGEST_PART)


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


def line(text: str) -> str:
    """The text as one line for a calendar."""
    return " ".join(_text(text).split())


def _label(text: str) -> str:
    """The text as a parameter's value: what RFC 6868 would escape with a circumflex kills sabre 2.1."""
    return re.sub(r"[\"^\n]", "", line(text))


def trim(text: str, longest: int) -> str:
    """The text, with an ellipsis for what is beyond so many characters."""
    return text if len(text) <= longest else text[: max(0, longest - 1)].rstrip() + "…" * (longest > 0)


def _link(url: str) -> str:
    """The link as it stands in a text; one that is cut short or odd is still better than none."""
    return uri(url) or line(url)
