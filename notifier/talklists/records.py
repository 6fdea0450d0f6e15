"""Records in JSON or YAML → a `Seminar`: what `export --json` writes, or a list of talks in anybody's keys.

A record is a session where it has `talks`; else it is one talk, and the talks of one day are a session. Its keys may
be Chinese or English: date/日期, time/时间, speaker/报告人, affiliation/单位, title/题目, abstract/摘要 and their like,
or those of researchseminars.org (start_time, speaker_name, live_link, slides_link, video_link).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from notifier.errors import Problem, TalkListError
from notifier.locations import did_you_mean, is_web_address
from notifier.talklists import Context, Reading
from notifier.talklists.parts import cells as cells
from notifier.talklists.parts import rows as rows
from notifier.talklists.parts.contents import plain_text
from notifier.talklists.parts.trees import Record, looks_like_records, parse
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk, clean_line

# Under these a document keeps its records.
_LISTS = ("sessions", "talks", "seminars", "events", "records", "items", "results", "data", "报告", "讲座", "日程")
_SEMINAR_KEYS = frozenset(
    {"id", "name", "name_zh", "description", "description_zh", "timezone", "organisers", "homepage"}
)
_SESSION_KEYS = frozenset({"quiet", "uid", "revision", "created", "modified", "edited", "talks"})
_OF_MOMENT = frozenset({"date", "time", "tz"})  # what Indico writes for startDate
_TIMES = frozenset({"time", "start", "end"})


def fits(text: str) -> bool:
    """Whether the text is JSON, or YAML that holds records."""
    return looks_like_records(text, _LISTS)


def read(text: str, context: Context) -> Reading:
    """The seminar in the records; a record that cannot be used is left out and told of.

    Raises:
        TalkListError: the text is broken, or no record in it can be used.
    """
    document, problems = parse(text)
    reader = _Reader(context, problems)
    seminar = reader.seminar(document)
    reader.tell_of_unknown_keys()
    problems = sorted(reader.problems, key=lambda p: p.line or 0)
    if not seminar.sessions and reader.lost:
        raise TalkListError(problems)
    return Reading(seminar, tuple(problems), has_ids=reader.has_ids)


@dataclass(slots=True)
class _Unknown:
    line: int | None
    count: int = 0


class _Reader:
    def __init__(self, context: Context, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        self.lost = 0
        self.has_ids = False
        self._context = context
        self._zone = ZoneInfo(context.timezone)
        self._unzoned: int | None = None  # the line of the first time that names no zone
        self._unknown: dict[tuple[str, frozenset[str]], _Unknown] = {}

    def _warn(self, message: str, advice: str, line: int | None) -> None:
        self.problems.append(Problem(message, advice, line=line))

    def tell_of_unknown_keys(self) -> None:
        """One warning for every key that was not understood, however many records have it."""
        for (key, known), found in self._unknown.items():
            more = f" (in {found.count} records)" if found.count > 1 else ""
            self._warn(f'the key "{key}" is not known: not read{more}', did_you_mean(key, known), found.line)

    def _not_known(self, record: Record, key: str, known: Iterable[str]) -> None:
        self._unknown.setdefault((key, frozenset(known)), _Unknown(record.line_of(key))).count += 1

    # The document ---------------------------------------------------------------------------------------------

    def seminar(self, document: Any) -> Seminar:
        """The series with its sessions. Raises TalkListError where the document holds no list of records."""
        head, records = self._parts(document)
        values = self._head(head)
        self._zone = ZoneInfo(values.get("timezone", self._context.timezone))
        sessions = self._sessions(records)
        if "timezone" not in values:
            self.problems += self._context.doubts_of_zone(self._unzoned)
        if not records:
            self._warn("the list has no session", "add one", head.line)
        if not (values.get("name") or self._context.name):
            self._warn("the seminar has no name", "add a name", head.line)
        return Seminar(
            id=values.get("id") or self._context.id,
            name=values.get("name") or self._context.name,
            timezone=self._zone.key,
            name_zh=values.get("name_zh", ""),
            description=values.get("description", ""),
            description_zh=values.get("description_zh", ""),
            organisers=self._organisers(head),
            homepage=self._address(head, "homepage", values.get("homepage", "")),
            sessions=rows.unique(sessions),
        )

    def _parts(self, document: Any) -> tuple[Record, list[Any]]:
        """What is said of the whole, and the list of records."""
        if isinstance(document, list):
            return Record(), document
        if isinstance(document, Record):
            name = next((name for name in _LISTS if isinstance(document.get(name), list)), "")
            if name:
                head = document.get("seminar")
                inner = head if isinstance(head, Record) else document.without(name)
                for key in document.keys() - {name, "seminar", "warnings"} if inner is head else ():
                    self._not_known(document, key, {"seminar", "sessions"})
                return inner, document[name]
        raise TalkListError(
            (*self.problems, Problem("there is no list of sessions or talks", "put them in a list under sessions:"))
        )

    def _head(self, head: Record) -> dict[str, str]:
        values = {}
        for key, value in head.items():
            if key in _SEMINAR_KEYS - {"organisers"}:
                values[key] = self._text(head, key, value)
            elif key not in ("organisers", "organizers", "warnings", "seminar"):
                self._not_known(head, key, _SEMINAR_KEYS)
        if values.get("id") and not cells.is_identifier(values["id"]):
            self._warn(f'the id "{values.pop("id")}" cannot stand in a web address', "", head.line_of("id"))
        if values.get("timezone") and not cells.zone_named(values["timezone"]):
            told = f'"{values.pop("timezone")}" is no time zone: times are read in {self._context.timezone}'
            self._warn(told, 'write a name like "Asia/Shanghai"', head.line_of("timezone"))
        return {name: value for name, value in values.items() if value}

    def _organisers(self, head: Record) -> tuple[str, ...]:
        given = head.get("organisers") or head.get("organizers") or ()
        names = re.split(r"\s*[,;，；、]\s*", given) if isinstance(given, str) else given
        return tuple(clean_line(str(name)) for name in names) if isinstance(names, (list, tuple)) else ()

    def _sessions(self, records: list[Any]) -> list[Session]:
        table = rows.Sessions(self._zone)
        found = []
        self.has_ids = bool(records) and all(isinstance(one, Record) and one.get("id") for one in records)
        for number, record in enumerate(records, 1):
            if not isinstance(record, Record):
                self.lost += 1
                self._warn(f"entry {number} of the list is no record: left out", "write it as key: value", None)
                continue
            if isinstance(record.get("talks"), list):
                found += self._session(record)
            else:
                table.add(self._row(record))
        found += table.sessions()
        self.problems += table.problems
        self._unzoned = self._unzoned or table.unzoned
        self.lost += table.lost
        return found

    # One session ----------------------------------------------------------------------------------------------

    def _session(self, record: Record) -> list[Session]:
        values = self._values(record, _SESSION_KEYS)
        zone = cells.zone_named(values.get("timezone", "")) or self._zone
        try:
            when = rows.when_of(values)
            start, end = cells.span(when, zone, zone)
        except ValueError as error:
            self.lost += 1
            self._warn(f"{error}: the session is left out", "mend its time", record.line)
            return []
        if not (when.zone or values.get("timezone")):
            self._unzoned = self._unzoned or record.line
        if end is None:
            self._warn(
                f"the session of {start:%Y-%m-%d %H:%M} has no end: read as two hours", "add an end", record.line
            )
            end = start + cells.ASSUMED_LENGTH
        talks = tuple(talk for given in record["talks"] for talk in self._talk(given, start, zone))
        session = Session(
            id=self._id(record, values, start),
            start=start,
            end=end,
            timezone=zone.key,
            talks=talks,
            status=self._status(record, values, talks),
            notice=values.get("notice", ""),
            room=self._room(record, values),
            livestream=self._livestream(record, values),
            quiet=str(record.get("quiet", "")).lower() == "true",
            **self._stamps(record),
        )
        return [session]

    def _id(self, record: Record, values: Mapping[str, str], start: datetime) -> str:
        given = values.get("id", "")
        if given and not cells.is_identifier(given):
            told = f'the id "{given}" cannot stand in a web address: not kept'
            self._warn(told, "use up to 64 of A-Z a-z 0-9 . _ -", record.line_of("id"))
            return f"{start:%Y-%m-%d}"
        return given or f"{start:%Y-%m-%d}"

    def _status(self, record: Record, values: Mapping[str, str], talks: Iterable[Talk]) -> Status:
        if values.get("cancelled", "").casefold() in rows.YES:
            return Status.CANCELLED
        text = values.get("status", "").strip()
        status = rows.STATUSES.get(text.casefold())
        if text and not status:
            told = f'the status "{text}" is not known'
            self._warn(told, "write confirmed, tentative or cancelled", record.line_of("status"))
        return status or rows.status_of(talks)

    def _stamps(self, record: Record) -> dict[str, Any]:
        """What an exported document says of a session's past; `revisions` has the last word on it."""
        stamps: dict[str, Any] = {"uid": str(record.get("uid") or "")}
        if re.fullmatch(r"[0-9]{1,18}", str(record.get("revision", ""))):
            stamps["revision"] = int(str(record["revision"]))
        for name in ("created", "modified", "edited"):
            try:
                moment = datetime.fromisoformat(str(record.get(name, "")))
            except ValueError:
                continue
            if moment.tzinfo:
                stamps[name] = moment
        return stamps

    def _room(self, record: Record, values: Mapping[str, str]) -> Room:
        room, _ = rows.room_of(values)
        if place := rows.place_in(values):
            told = f"a session has no place beside its online room: {place!r} was left out"
            self._warn(told, "", record.line_of("room"))
        given = record.get("room")
        if not isinstance(given, Record):
            return room
        own = self._values(given, frozenset())
        texts = {name: own.get(name, "") for name in rows.ROOM_FIELDS}
        for name in ("url", "download_url"):
            texts[name] = self._address(given, name, texts[name])
        return cells.merged(Room(**texts), room)

    def _livestream(self, record: Record, values: Mapping[str, str]) -> Livestream:
        given = record.get("livestream")
        if not isinstance(given, Record):
            return rows.room_of(values)[1]
        link = self._link(given)
        return Livestream(link.url, link.label)

    def _link(self, given: Record) -> Link:
        for key in given.keys() - {"url", "label"}:
            self._not_known(given, key, ("url", "label"))
        return Link(self._address(given, "url", given.get("url")), self._text(given, "label", given.get("label")))

    # One talk -------------------------------------------------------------------------------------------------

    def _row(self, record: Record) -> rows.Row:
        values = rows.with_notice(self._values(record, frozenset()))
        if (url := record.get("url")) and values.get("url") == url and not cells.is_meeting(str(url)):
            told = '"url" leads to no meeting that is known: not read'
            self._warn(told, 'if it is one, call it "meeting_link"', record.line_of("url"))
            del values["url"]
        talk, doubts = rows.talk_of(values)
        for doubt in doubts:
            self._warn(doubt, "", record.line)
        room, livestream = self._room(record, values), self._livestream(record, values)
        talk = self._with_nested(record, talk)
        return rows.Row(values, record.line, talk, room, livestream)

    def _talk(self, given: Any, day: datetime, zone: ZoneInfo) -> list[Talk]:
        if not isinstance(given, Record):
            return [Talk(title=str(given))] if given else []
        values = self._values(given, frozenset())
        talk, doubts = rows.talk_of(values)
        for doubt in doubts:
            self._warn(doubt, "", given.line)
        # A column's title may hold links to slides; that of a talk with fields of its own says what it says.
        talk = replace(talk, title=cells.known(values.get("title", "")))
        return [self._with_slot(given, self._with_nested(given, talk), values, day, zone)]

    def _with_slot(self, given: Record, talk: Talk, values: Mapping[str, str], day: datetime, zone: ZoneInfo) -> Talk:
        times = {name: values[name] for name in _TIMES if values.get(name)}
        if not times:
            return talk
        try:
            when = rows.when_of(times)
            start, end = cells.span(when if when.day else replace(when, day=day.date()), zone, zone)
        except ValueError as error:
            self._warn(f"{error}: the talk has the session's time", "mend its time", given.line)
            return talk
        return replace(talk, start=start, end=end)

    def _with_nested(self, record: Record, talk: Talk) -> Talk:
        """The talk with the speakers, slides and references that are records or lists of their own."""
        for key, value in record.items():
            field = cells.field_of(key)
            if field == "speakers" and (speakers := self._nested_speakers(value)):
                talk = replace(talk, speakers=speakers)
            elif field == "slides" and isinstance(value, Record):
                talk = replace(talk, slides=self._link(value))
        return talk

    def _nested_speakers(self, value: Any) -> tuple[Speaker, ...]:
        given = value if isinstance(value, list) else [value]
        if not any(isinstance(one, Record) for one in given):
            return ()
        return tuple(speaker for one in given for speaker in self._nested_speaker(one))

    def _nested_speaker(self, given: Any) -> tuple[Speaker, ...]:
        if not isinstance(given, Record):
            return cells.speakers_in(str(given or ""))[0]
        values = self._values(given, frozenset())
        places = next((v for k, v in given.items() if cells.field_of(k) == "affiliations"), "")
        affiliations = tuple(map(str, places)) if isinstance(places, list) else (values.get("affiliations", ""),)
        homepage = self._address(given, "homepage", values.get("homepage") or values.get("url", ""))
        if not values.get("speakers"):
            self._warn("a speaker has no name: left out", "give the name", given.line)
            return ()
        return (Speaker(values["speakers"], tuple(filter(None, affiliations)), homepage),)

    # Values ---------------------------------------------------------------------------------------------------

    def _values(self, record: Record, others: frozenset[str]) -> dict[str, str]:
        """The record's texts by field, those that are records themselves left to whoever knows them."""
        values: dict[str, str] = {}
        # Of title and topics, or of room and online, the one that is called like the field is it.
        for key, value in sorted(
            record.items(), key=lambda item: not cells.is_called(item[0], cells.field_of(item[0]))
        ):
            field = cells.field_of(key)
            if key in others:
                continue
            if key.startswith("_"):  # a program's own, such as Indico's _type
                field = ""
            if not field:
                self._not_known(record, key, cells.FIELDS | others)
            elif isinstance(value, Record) and field in _TIMES and value.keys() <= _OF_MOMENT:
                values[field] = " ".join(self._text(value, key, value.get(key)) for key in sorted(value))
            elif isinstance(value, Record):
                self._take_bilingual(record, field, value, values)
            elif values.get(field):
                self._warn(f'"{key}" says again what another key says: not read', "drop one", record.line_of(key))
            else:
                values[field] = self._text(record, key, value, field)
        return values

    def _take_bilingual(self, record: Record, field: str, value: Record, values: dict[str, str]) -> None:
        if value and value.keys() <= {"en", "zh"}:
            texts = {name: self._text(value, name, value.get(name)) for name in ("en", "zh")}
            values[field] = texts["en"] or texts["zh"]
            if texts["en"] and f"{field}_zh" in cells.FIELDS:
                values[f"{field}_zh"] = texts["zh"]
        elif field not in ("room", "livestream", "slides", "speakers"):
            self._warn(f'"{field}" holds a record, not a text: not read', "write it as text", record.line)

    def _text(self, record: Record, key: str, value: Any, field: str = "") -> str:
        line = record.line_of(key)
        if value is None or isinstance(value, Record):
            return ""
        if isinstance(value, bool) and field == "cancelled":
            return "yes" if value else ""
        if isinstance(value, bool):
            told = f'"{key}" is {str(value).lower()}, not a text: not read'
            self._warn(told, "write it in quotes; YAML takes NO and off for false", line)
            return ""
        if isinstance(value, list):
            return _SEPARATORS.get(field, ", ").join(str(one) for one in value if not isinstance(one, Record))
        if field == "passcode" and isinstance(value, int):
            self._warn("the passcode is a number: zeros at its start are lost", "write it in quotes", line)
        if field in _TIMES and re.fullmatch(r"[0-9]{2,5}", str(value)):
            return self._recovered(key, int(value), line)
        return plain_text(str(value)) if field in cells.PROSE and "</" in str(value) else str(value)

    def _recovered(self, key: str, number: int, line: int | None) -> str:
        """The time of day that YAML made this number of: it takes 9:30 for 570, and 9:30:00 for 34200."""
        minutes = number if number < 24 * 60 else number // 60
        if (100 <= number < 2400 and number % 100 < 60) or minutes >= 24 * 60:
            return str(number)
        text = f"{minutes // 60}:{minutes % 60:02}"
        self._warn(f'"{key}" is the number {number}: read as {text}', f'write it in quotes: "{text}"', line)
        return text

    def _address(self, record: Record, key: str, value: Any) -> str:
        text = clean_line(str(value or ""))
        if text and not is_web_address(text):
            self._warn(f'"{key}" is no web link: not read', 'write it like "https://example.org"', record.line_of(key))
            return ""
        return text


_SEPARATORS = {"speakers": "; ", "affiliations": "; ", "references": "\n", "abstract": "\n\n"}
