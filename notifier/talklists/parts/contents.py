"""What an event says in free text → its talks, and how to take part."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from notifier.locations import is_web_address
from notifier.talklists.parts import cells as cells
from notifier.talklists.parts import rows as rows
from notifier.talklists.parts.components import Component, Property
from notifier.talklists.parts.lines import is_html, lines_of_html
from notifier.talklists.parts.people import is_proper_name, people
from notifier.talklists.parts.standings import status_in, without_notice
from notifier.talks import Link, Livestream, Room, Speaker, Status, Talk, clean_line, clean_text

_MEETING_LINKS = (
    "CONFERENCE",
    "X-GOOGLE-CONFERENCE",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
    "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
)
_ONLINE = re.compile(
    r"[\s,;:：，。()（）-]|腾讯会议|Tencent Meeting|VooV Meeting|Zoom|Microsoft Teams|Google Meet|Meeting|会议号?|ID"
    r"|线上|在线|网络|Online",
    re.IGNORECASE,
)
_HONORIFIC = re.compile(r"^(?:Prof(?:essor)?|Dr)\b\.?\s|(?:教授|博士|研究员|老师|院士)$", re.IGNORECASE)
_WHO_WHAT = re.compile(r"(?P<who>.{2,120}?)\s*[:：]\s*(?P<what>\S.*)")
_WHO_DASH_WHAT = re.compile(r"(?P<who>.{2,120}?)\s+[-–—]\s+(?P<what>\S.*)")
_WHAT_WHO = re.compile(r"(?P<what>.*\S)\s+[-–—]\s+(?P<who>.{2,120})")
_GATHERING = re.compile("[会班课组场期讲]$")  # 周会 is no Mr Zhou
_BY = re.compile(r"^by (.+?) as part of .+$", re.MULTILINE)  # a line of researchseminars.org
# The lines of our own feed.
_ANY_LIVESTREAM = ("直播", "Livestream", "直播 Livestream")
_NUMBERED = re.compile(r"(\d{1,2})\. (.+)")
_SLOT = re.compile(r"(\d{1,2}:\d\d)(?:–(\d{1,2}:\d\d))? (.+)")


@dataclass(frozen=True, slots=True)
class Contents:
    """What an event says of its session; `doubts` tell in words what of it has no place in a talk list."""

    talks: tuple[Talk, ...] = ()
    room: Room = field(default_factory=Room)
    livestream: Livestream = field(default_factory=Livestream)
    notice: str = ""
    status: Status | None = None
    doubts: tuple[str, ...] = ()


def contents_of(event: Component, calendar: str) -> Contents:
    """The contents of anybody's event in the calendar of this name.

    People and titles are parted only where it is certain which is which.
    """
    summary, notice = without_notice(clean_line(event.text("SUMMARY")))
    description, location = plain_text(event.text("DESCRIPTION")), clean_text(event.text("LOCATION"))
    conferences = [clean_line(prop.value) for prop in event.all(*_MEETING_LINKS)]
    told = cells.joining_in("\n".join([*conferences, location, event.text("URL"), description]))
    room, livestream = _conference(event, told.room), told.livestream
    records, rest = cells.labelled_talks(_BY.sub(r"Speaker: \1", told.cut_from(description)))
    talks, doubts = _talks(records, summary, rest, calendar)
    if told.replay and len(talks) == 1 and not talks[0].replay:
        talks = (replace(talks[0], replay=told.replay),)
    talks, unplaced = _with_attachments(talks, event)
    doubts += [*unplaced, *_unplaced(event, told, location, description)]
    return Contents(talks, room, livestream, notice if " " in notice else "", status_in(notice), tuple(doubts))


def plain_text(text: str) -> str:
    """A text, its HTML as people see it, with the targets of the links."""
    if is_html(text) or re.search(r"<(?:br|a|p|b|i|u|ul|ol|li|span|div)\b[^<>]*>", text, re.IGNORECASE):
        lines = lines_of_html(text, "").lines
        text = "\n".join(
            " ".join([line.text, *(k.url for k in line.links if k.url not in line.text)]) for line in lines
        )
    return clean_text("\n".join(" ".join(line.split()) for line in text.split("\n")))


def _conference(event: Component, room: Room) -> Room:
    """The room, with the link of a conference that has sound or pictures where none of a known provider was found."""
    seen = (prop for prop in event.all("CONFERENCE") if {"AUDIO", "VIDEO"} & set(_features(prop)))
    url = next((prop.value for prop in seen if is_web_address(prop.value)), "")
    return room if room.url else replace(room, url=url)


def _features(prop: Property) -> list[str]:
    return prop.params.get("FEATURE", "").upper().split(",")


def _talks(records: list[dict[str, str]], summary: str, rest: str, calendar: str) -> tuple[tuple[Talk, ...], list[str]]:
    if len(records) > 1:
        found = [rows.talk_of(record) for record in records]
        doubts = [doubt for _, doubts in found for doubt in doubts]
        if summary and all(talk.title not in summary for talk, _ in found):
            doubts.append(f'the title "{summary}" is not kept: the description names several talks')
        return tuple(talk for talk, _ in found), doubts + _left(rest)
    record = records[0] if records else {}
    who, what, series = ("", summary, "") if "speakers" in record else _who_and_what(summary)
    told = {"speakers": who, "title": what, "abstract": rest, "kind": "" if series == calendar else series}
    told |= {name: text for name, text in record.items() if text}
    talk, doubts = rows.talk_of(told)
    if record.get("title") and summary not in ("", talk.title) and talk.title not in summary:
        doubts.append(f'the title "{summary}" is not kept: the description calls it "{talk.title}"')
    if record.get("abstract"):
        doubts += _left(rest)
    return (talk,) if talk != Talk() else (), doubts


def _left(rest: str) -> list[str]:
    return ["the description says more than the talks: not kept"] if rest else []


def _who_and_what(summary: str) -> tuple[str, str, str]:
    """Speaker, title and series of a summary such as `Series: Ada Byron (Bath) - Engines` or `Ada Byron: Engines`.

    All of it is the title where nothing makes certain who is a person.
    """
    series, _, rest = (part.strip() for part in summary.partition(":"))
    if rest and not _are_certainly_people(series):
        for form in (_WHO_DASH_WHAT, _WHO_WHAT, _WHAT_WHO):
            if (found := form.fullmatch(rest)) and _are_certainly_people(found["who"]):
                return found["who"], found["what"], series
    for form in (_WHO_WHAT, _WHO_DASH_WHAT, _WHAT_WHO):
        if (found := form.fullmatch(summary)) and _are_certainly_people(found["who"], form is _WHO_WHAT):
            return found["who"], found["what"], ""
    return "", summary, ""


def _are_certainly_people(text: str, is_before_colon: bool = False) -> bool:
    """Whether an affiliation or an honorific shows that these are people, or the very shape of a name does."""
    found, left = people(text)
    return (
        bool(found)
        and not left
        and all(
            _HONORIFIC.search(person.name)
            or (is_proper_name(_without_script(person.name)) and (person.affiliations or is_before_colon))
            for person in found
        )
    )


def _without_script(name: str) -> str:
    if _GATHERING.search(name):
        return ""
    return re.sub(r"\s*[(（].*?[)）]", "", name)


def _with_attachments(talks: tuple[Talk, ...], event: Component) -> tuple[tuple[Talk, ...], list[str]]:
    files = [prop for prop in event.all("ATTACH") if is_web_address(clean_line(prop.value))]
    if files and len(talks) == 1 and not talks[0].slides:
        first = files.pop(0)
        talks = (replace(talks[0], slides=Link(first.value, first.params.get("FILENAME", ""))),)
    return talks, [f"the attachment {clean_line(prop.value)} is not kept" for prop in files]


def _unplaced(event: Component, told: cells.Joining, location: str, description: str) -> Iterator[str]:
    place = cells.without_links(told.cut_from(location))
    if _ONLINE.sub("", place):
        yield f'the place "{clean_line(place)}" is not kept: a talk list has no field for it'
    url = clean_line(event.text("URL"))
    if url and told.cut_from(url) and url not in description:
        yield f"the link {url} is not kept: it leads to no meeting, livestream or replay that is known"
    if event.text("CLASS").strip().upper() in ("PRIVATE", "CONFIDENTIAL"):
        yield f"the event is marked {event.text('CLASS').strip().upper()}, and will be published like the others"


# Our own feed ---------------------------------------------------------------------------------------------------


def own_contents_of(event: Component, start: datetime) -> Contents:
    """The contents of an event that this program wrote: its description says everything line by line."""
    summary, said = event.text("SUMMARY"), ""
    if event.text("STATUS").strip().upper() == "CANCELLED":
        summary, said = without_notice(summary)
    lines = clean_text(event.text("DESCRIPTION")).split("\n")
    head, body = _parted(lines, event.text("URL").strip())
    values, notice = _joining_lines(head)
    room, livestream = rows.room_of(values)
    livestream = replace(livestream, label=livestream.label or _feed_label(event))
    talks = tuple(_own_talks(body, summary, start))
    doubts = ("the text was cut short when the feed was written",) if any(line.endswith("…") for line in body) else ()
    return Contents(talks, _ungrouped(room), livestream, notice, status_in(said), doubts)


def _feed_label(event: Component) -> str:
    """The livestream's own words, where they are not just what every livestream is called."""
    labels = (prop.params.get("LABEL", "") for prop in event.all("CONFERENCE") if "FEED" in _features(prop))
    return next((label for label in labels if label not in _ANY_LIVESTREAM), "")


def _parted(lines: list[str], page: str) -> tuple[list[str], list[str]]:
    """What stands up to the line with the session's page, and what below."""
    border = next((n for n, line in enumerate(lines) if page and line.endswith(page)), len(lines) - 1)
    return lines[: border + 1], lines[border + 1 :]


def _joining_lines(lines: list[str]) -> tuple[dict[str, str], str]:
    values: dict[str, str] = {}
    notice = []
    for line in lines[:-1]:
        label, _, value = line.partition(": ")
        name = cells.field_of(label)
        if name in rows.ROOM_FIELDS or name == "livestream":
            values[name] = value
        else:
            notice.append(line)
    return values, clean_text("\n".join(notice))


def _ungrouped(room: Room) -> Room:
    squeezed = room.meeting_id.replace(" ", "")
    return replace(room, meeting_id=squeezed) if re.fullmatch(r"[0-9]{9,11}", squeezed) else room


def _own_talks(lines: list[str], summary: str, start: datetime) -> Iterator[Talk]:
    starts = _talk_starts(lines, summary)
    for (number, first), (end, _) in itertools.pairwise([*starts, (len(lines), "")]):
        found = _SLOT.fullmatch(first)
        title = found[3] if found else first
        names, summary = _names(summary, title)
        talk = _own_talk(title, names, lines[number + 1 : end])
        yield replace(talk, start=_slot(start, found[1]), end=_slot(start, found[2])) if found else talk


def _talk_starts(lines: list[str], summary: str) -> list[tuple[int, str]]:
    """The lines with which talks begin, and the rest of each: numbered, and in the summary, where there are several."""
    first = next((n for n, line in enumerate(lines) if line), None)
    if first is None:
        return []
    starts: list[tuple[int, str]] = []
    for number in range(first, len(lines)):
        found = _NUMBERED.fullmatch(lines[number])
        if found and int(found[1]) == len(starts) + 1 and not lines[number - 1]:
            slot = _SLOT.fullmatch(found[2])
            if (slot[3] if slot else found[2]) in summary or summary.endswith("…"):
                starts.append((number, found[2]))
    return starts if len(starts) > 1 else [(first, lines[first])]


def _names(summary: str, title: str) -> tuple[str, str]:
    """The names before this title in a summary `names: title · names: title`, and the summary from the next talk on."""
    if summary.startswith(title):
        return "", summary[len(title) :].removeprefix(" · ")
    names, _, rest = summary.partition(f": {title}")
    return names, rest.removeprefix(" · ")


def _slot(day: datetime, text: str | None) -> datetime | None:
    if not text:
        return None
    hour, minute = map(int, text.split(":"))
    moment = day.replace(hour=hour % 24, minute=minute, second=0)
    return moment if moment >= day else moment + timedelta(days=1)


def _own_talk(title: str, names: str, lines: list[str]) -> Talk:
    lines, links = _links_below(lines)
    speakers, lines = _speakers_above(lines, names)
    return Talk(
        title=cells.known(title),
        speakers=tuple(speakers),
        abstract="\n".join(lines),
        slides=_own_link(links["slides"]) if "slides" in links else None,
        replay=links.get("replay", ""),
    )


def _own_link(text: str) -> Link:
    return Link(text) if is_web_address(text) else Link(label=text)


def _links_below(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    lines, links = clean_text("\n".join(lines)).split("\n"), {}
    while lines:
        label, colon, value = lines[-1].partition(": ")
        name = cells.field_of(label)
        if not colon or name not in ("slides", "replay") or name in links:
            break
        links[name] = value
        lines.pop()
    return lines, links


def _speakers_above(lines: list[str], names: str) -> tuple[list[Speaker], list[str]]:
    """The speakers in the lines under a title, as long as the summary names them, and the lines after them."""
    speakers: list[Speaker] = []
    for number, line in enumerate(lines):
        label, _, address = line.partition(": ")
        if speakers and is_web_address(address) and cells.field_of(label) == "homepage":
            speakers[-1] = replace(speakers[-1], homepage=address)
            continue
        name = _name_before(line, names)
        if not name:
            return speakers, lines[number:]
        names = names[len(name) :].removeprefix(", ")
        places = line[len(name) :].strip()[1:-1]
        speakers.append(Speaker(name, tuple(filter(None, places.split("; ")))))
    return speakers, []


def _name_before(line: str, names: str) -> str:
    """The name with which both the line, `Name (Place; Place)`, and the rest of the summary's names begin."""
    cuts = [len(line), *(found.start() for found in re.finditer(r" \(", line))]
    for cut in sorted(cuts, reverse=True):
        name = line[:cut]
        if name and (names == name or names.startswith(f"{name}, ")) and line[cut:].endswith(")" if line[cut:] else ""):
            return name
    return ""
