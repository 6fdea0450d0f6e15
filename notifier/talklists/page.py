"""The seminar's page as published, plain text or HTML → a `Seminar`, with a warning for all that is doubtful or lost.

The way of a page: `lines` → `fields` → `blocks`, one for each talk → `sessions`; `ending` refuses a torn one. An HTML
page without labels, whose lines begin with days, goes `lines` → `items` → `rows`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from notifier.errors import Problem, TalkListError
from notifier.talklists import Context, Reading
from notifier.talklists.parts.blocks import cut, looks_like_title
from notifier.talklists.parts.cells import Joining, joining_in, zone_of
from notifier.talklists.parts.dates import Order, read_when, zone_in
from notifier.talklists.parts.ending import torn_html, torn_text
from notifier.talklists.parts.fields import URL, Field, is_sentence_end, read_fields, with_hours
from notifier.talklists.parts.items import Item, rows_of, with_days_first, with_years
from notifier.talklists.parts.labels import ROOM, Kind, known_labels
from notifier.talklists.parts.lines import Line, is_html, lines_of_html, lines_of_text, without_emphasis
from notifier.talklists.parts.people import has_cjk, split_outside_parentheses
from notifier.talklists.parts.rows import Sessions as Rows
from notifier.talklists.parts.rows import unique
from notifier.talklists.parts.sessions import Customs, Zones, agreed_livestream, agreed_room, sessions_of
from notifier.talklists.parts.speakers import shortened
from notifier.talklists.parts.terms import Term, is_term, term_in, usual_among, usual_in
from notifier.talks import Seminar, Session

_BEGINNINGS = frozenset(
    {Kind.TIME, Kind.TITLE, Kind.SPEAKER, Kind.TALK, Kind.AFFILIATION}
    | {Kind.ABSTRACT, Kind.SLIDES, Kind.REPLAY, Kind.REFERENCES}
)
_OF_SEMINAR = frozenset(
    {Kind.TEXT, Kind.HOMEPAGE, Kind.BIO, Kind.UNKEPT, Kind.NOTICE}
)  # where they stand before all talks
_SERIES = re.compile(
    r"\b(?:seminars?|colloqui(?:um|a)|workshop|symposium|webinar|forum|lecture series|reading group)\b"
    r"|讨论班|研讨班|研讨会|论坛|系列|报告会|讲座|沙龙|学术报告",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:see|click|visit)(?:\s+it)?\s+here\b|\bplease (?:see|visit|click)\b|点击|见(?:这里|此处)", re.IGNORECASE
)
_BETWEEN_NAMES = re.compile(r"[,;，；、\n]\s?(?:and\s)?|\sand\s")
_ABOUT_ZONE = re.compile(r"\btimes?\b|\btime ?zone\b|时间|时区", re.IGNORECASE)
_BEIJING = "Asia/Shanghai"
_LABELLED = frozenset({Kind.TIME, Kind.TITLE, Kind.SPEAKER})  # with their labels a page is no mere list of days
_OF_ALL = frozenset({Kind.TEXT, Kind.UNKEPT, Kind.BIO, Kind.NOTICE})  # where a page may say when sessions usually are
_HERE = Line(0, "")  # of a field without any
_LONGEST_NAME = 80  # characters
_HEAD_LINES = 800  # a page shows what it is before its first eight hundred lines are over


def fits(text: str) -> bool:
    """Whether the text is HTML, or has a time and a title or a speaker, in any of the known words."""
    if is_html(text):
        return True
    lines = lines_of_text("\n".join(text.split("\n", _HEAD_LINES)[:_HEAD_LINES]))
    kinds = {entry.kind for entry in read_fields(lines)}
    return Kind.TIME in kinds and not kinds.isdisjoint({Kind.TITLE, Kind.SPEAKER})


def read(text: str, context: Context) -> Reading:
    """The seminar on this page. The ids of its sessions are their dates, so they are no one's own words.

    Raises:
        TalkListError: no session is on the page, or it seems cut off; with the line and what to do.
    """
    return _Page(text, context).read()


class _Page:
    """One page on its way to a `Reading`."""

    def __init__(self, text: str, context: Context) -> None:
        self._text = text
        self._context = context
        self._title = ""
        self._is_html = is_html(text)
        self._lines: list[Line] = []  # of an HTML page
        self._warnings: list[Problem] = []
        self._used: set[int] = set()  # the fields that say how to take part in all sessions
        self._unzoned: list[Field] = []  # the first time of a page that names no zone
        self._foreign: list[tuple[Field, str]] = []  # the first time of a page in another zone than ours, and which

    def read(self) -> Reading:
        fields = self._fields()
        self._make_dates_plain(fields)
        is_labelled = any(entry.kind in _LABELLED and entry.words for entry in fields)
        if not is_labelled and (items := _items(self._lines)):
            return self._listed(fields, items)
        head, body, terms = _parted(fields)
        if title := term_in(self._title):
            terms.setdefault(0, title)
        body, joining = self._joining(head, body)
        blocks = cut(body)
        if blocks and not self._is_html:
            _refuse(torn_text(self._text, fields, blocks))
        zone, written = self._zone(head, body)
        usual = usual_among((entry.number, entry.text) for entry in fields if entry.kind in _OF_ALL)
        sessions = sessions_of(blocks, Zones(zone, written), Customs(terms, usual), self._warn)
        sessions = [joining.given_to(session) for session in sessions]
        if not sessions:
            raise TalkListError([*self._warnings, _nothing_found()])
        for first in self._unzoned:
            self._warnings += self._context.doubts_of_zone(first.number)
        for first, foreign in self._foreign:
            self._warn(first.number, *_turned(foreign, zone))
        return self._reading(self._seminar(head, zone, sessions))

    def _make_dates_plain(self, fields: list[Field]) -> None:
        """Reads dates such as 3/12/2026, where others show which figure is the month."""
        times = [entry for entry in fields if entry.kind is Kind.TIME and entry.when and entry.when.problem]
        order = Order.of(entry.text for entry in fields if entry.kind is Kind.TIME) if times else None
        if order is None:
            return
        for entry in times:
            entry.when = read_when(order.made_plain(entry.text))
        fields[:] = with_hours(fields)
        self._warn(times[0].number, f"{order}", "write dates as 2021-11-27")

    def _joining(self, head: list[Field], body: list[Field]) -> tuple[list[Field], Joining]:
        """The fields of the talks, and how to take part as it is said of all: above them, or below their table."""
        first = next((place for place, entry in enumerate(body) if entry.kind in _BEGINNINGS), 0)
        below = next(
            (place for place, entry in enumerate(body) if all(line.is_below for line in entry.lines or [_HERE])),
            len(body),
        )
        if any(entry.kind in _BEGINNINGS for entry in body[below:]):
            below = len(body)
        of_all = [entry for entry in (*body[:first], *body[below:]) if entry.kind in ROOM]
        said = [entry for entry in (*head, *body[below:]) if entry.kind in _OF_ALL and _joining_of(entry) != Joining()]
        self._used |= {id(entry) for entry in said}
        room, livestream = agreed_room(of_all, self._warn), agreed_livestream(of_all, self._warn)
        found = Joining(room, livestream)
        for entry in said:
            found = found.completed_by(_joining_of(entry))
        taken = {id(entry) for entry in (*of_all, *said)}
        return [entry for entry in body if id(entry) not in taken], found

    def _listed(self, fields: list[Field], items: list[Item]) -> Reading:
        """The page as a list of days, each with who and what in its own line."""
        above = [line for line in self._lines if line.number < items[0].line]
        head = [entry for entry in fields if entry.number < items[0].line and not is_term(entry.text)]
        remarks = [entry for entry in head if _is_about_zone(entry)]
        zone = ours = self._context.timezone
        for remark in remarks[:1]:
            zone = zone_in(remark.text[:300])
            if not any(_agreements(ours, zone)):
                self._warn(remark.number, *_turned(zone, ours))
        usual = usual_among((line.number, line.text) for line in above)
        joining = joining_in("\n".join(map(_with_targets, above)))
        found = Rows(ZoneInfo(ours), zone_of(zone) if remarks else None, usual, joining)
        for row in rows_of(items, lambda told, advice, line: self._warn(line, told, advice)):
            found.add(row)
        self._warnings += (*found.problems, *self._context.doubts_of_zone(found.unzoned))
        sessions = list(unique(found.sessions()))
        if not sessions:
            raise TalkListError([*self._warnings, _nothing_found()])
        return self._reading(self._seminar(head, ours, sessions))

    def _reading(self, seminar: Seminar) -> Reading:
        return Reading(seminar, tuple(sorted(self._warnings, key=lambda warning: warning.line or 0)))

    def _warn(self, line: int, message: str, advice: str = "") -> None:
        self._warnings.append(Problem(message, advice, line=line))

    def _fields(self) -> list[Field]:
        if not self._is_html:
            return read_fields(lines_of_text(self._text))
        _refuse(torn_html(self._text))
        document = lines_of_html(self._text, self._context.source)
        self._title, self._lines = document.title, [line for line in document.lines if not line.is_footer]
        for number, words, why in document.unread:
            self._warn(number, f"{shortened(words)!r} {why}")
        return read_fields(document.lines)

    def _zone(self, head: list[Field], body: list[Field]) -> tuple[str, str]:
        """The seminar's zone, and the one in which times are written that name none themselves.

        A page in Beijing time is a seminar there; any other zone is converted to the context's.
        """
        ours = self._context.timezone
        times = [entry for entry in body if entry.kind is Kind.TIME]
        remarks = [entry for entry in (*head, *body) if _is_about_zone(entry)]
        for_all = next((zone for entry in remarks if (zone := zone_in(entry.text[:300]))), "")
        said = {for_all, *(zone_in(f"{entry.words} {entry.text[:300]}") for entry in times)} - {""}
        if not said:
            self._unzoned = times[:1]
        if said and said <= {_BEIJING, "+08:00"}:
            return (ours, ours) if _agree(ours, _BEIJING) else (_BEIJING, _BEIJING)
        zones = ((entry, zone_in(f"{entry.words} {entry.text[:300]}") or for_all) for entry in times)
        self._foreign = [(entry, zone) for entry, zone in zones if zone and not any(_agreements(ours, zone))][:1]
        return ours, for_all or ours

    def _seminar(self, head: list[Field], zone: str, sessions: list[Session]) -> Seminar:
        organisers = [entry for entry in head if entry.kind is Kind.ORGANISERS]
        texts = [entry for entry in head if entry.kind is Kind.TEXT]
        paragraphs = [entry for entry in head if entry.kind is Kind.BIO or _is_paragraph(entry)]
        lines = [entry for entry in texts if not _is_paragraph(entry)]
        name, name_zh, used = self._name([entry for entry in lines if _could_be_name(entry)])
        for entry in lines:
            if (
                entry not in used
                and id(entry) not in self._used
                and not _is_about_zone(entry)
                and not usual_in(entry.text)
            ):
                self._warn(entry.number, f"the line {shortened(entry.text)!r} was not understood and left out")
        for entry in head:
            is_used = id(entry) in self._used or usual_in(entry.text)
            if entry.kind in (Kind.UNKEPT, Kind.NOTICE) and not entry.is_empty and not is_used:
                self._warn(entry.number, f"a seminar has no place for {shortened(entry.text)!r}; it was left out")
        return Seminar(
            id=self._context.id,
            name=name,
            name_zh=name_zh,
            timezone=zone,
            description="\n\n".join(self._paragraph(entry) for entry in paragraphs),
            organisers=tuple(name for entry in organisers for name in _names(entry.text)),
            homepage=self._homepage(head),
            sessions=tuple(sessions),
        )

    def _name(self, lines: list[Field]) -> tuple[str, str, set[Field]]:
        """The series' name, its Chinese one beside another, and the lines that they stand on."""
        series = [entry for entry in lines if _SERIES.search(entry.text)]
        first = next(iter(series or ([] if self._context.name else lines)), None)
        if first is None:
            return self._name_elsewhere(), "", set()
        other = next((entry for entry in series if has_cjk(entry.text) != has_cjk(first.text)), None)
        # What stands on the page more than once, as its title and above its talks, is one name.
        used = {entry for entry in lines if entry.text == first.text or entry is other}
        if other is None:
            return _undecorated(first.text), "", used
        chinese, english = sorted((first, other), key=lambda entry: has_cjk(entry.text), reverse=True)
        return _undecorated(english.text), _undecorated(chinese.text), used

    def _name_elsewhere(self) -> str:
        name = self._context.name or _first_part(self._title)
        if not name:
            self._warn(1, f"the page does not name the seminar; {self._context.id!r} was taken", "set its name")
        return name or self._context.id

    def _paragraph(self, entry: Field) -> str:
        if not self._is_html and _POINTER.search(entry.text):
            self._warn(entry.number, "the description points to a link whose target is lost", "add the address by hand")
        return entry.text

    def _homepage(self, head: list[Field]) -> str:
        for entry in head:
            if entry.kind is Kind.HOMEPAGE:
                linked = [link.url for line in entry.lines for link in line.links if link.url]
                found = linked or URL.findall(entry.text)
                if found:
                    return found[0]
        return ""


def _turned(foreign: str, ours: str) -> tuple[str, str]:
    told = f"times are written in {foreign} here; they were turned into those of {ours}"
    return told, "give --timezone with the seminar's own zone to keep them as they are"


def _items(lines: list[Line]) -> list[Item]:
    """The lines from the first on that begins with a day."""
    items = [Item(line.number, _with_targets(line), 2 if line.is_heading else 0) for line in lines if line.text]
    items = with_days_first(list(with_years(items)))
    return items[next((place for place, item in enumerate(items) if item.begins_day), len(items)) :]


def _with_targets(line: Line) -> str:
    """The words of the line, without emphasis, with its links as `[words](target)`."""
    text = without_emphasis(line.text)
    for link in line.links:
        words = re.escape(link.words)
        if link.url and link.words and (found := re.search(rf"\[{words}\]|{words}", text)):
            text = f"{text[: found.start()]}[{link.words}]({link.url}){text[found.end() :]}"
    return text


def _joining_of(entry: Field) -> Joining:
    return joining_in("\n".join(map(_with_targets, entry.lines)))


def _refuse(torn: Problem | None) -> None:
    if torn:
        raise TalkListError(torn)


def _nothing_found() -> Problem:
    return Problem(
        f"no session was found: looked for a time and a title or a speaker, labelled {known_labels()}",
        "write for example: Time: 2021-11-27 9:30-11:30, then Title: … and Reporter: …",
    )


def _parted(fields: list[Field]) -> tuple[list[Field], list[Field], dict[int, Term]]:
    """The fields of the seminar, those of its talks, and the terms that stand as headings, by line."""
    terms = {entry.number: term for entry in fields if _is_heading(entry) and (term := term_in(entry.text))}
    fields = [entry for entry in fields if entry.number not in terms or entry.kind is not Kind.TEXT]
    first = next((i for i, entry in enumerate(fields) if entry.kind in _BEGINNINGS), len(fields))
    # A notice right above the first talk, without a blank line, is that talk's.
    is_talks_notice = first < len(fields) and fields[first].gap == 0
    of_seminar = _OF_SEMINAR - {Kind.NOTICE} if is_talks_notice else _OF_SEMINAR
    head: list[Field] = []
    body: list[Field] = []
    for place, entry in enumerate(fields):
        is_head = entry.kind is Kind.ORGANISERS or (place < first and entry.kind in of_seminar)
        (head if is_head else body).append(entry)
    if (title := _title_above(head, body)) is not None:
        head.remove(title)
        body.insert(0, title)
    for entry in head:
        if entry.kind is Kind.TEXT and len(entry.text) < _LONGEST_NAME and (term := term_in(entry.text)):
            terms.setdefault(entry.number, term)
    return head, body, terms


def _title_above(head: list[Field], body: list[Field]) -> Field | None:
    """The last line before the first talk, where that talk has no other title."""
    texts = [entry for entry in head if entry.kind is Kind.TEXT]
    if len(texts) < 2 or not body or body[0].gap > 1 or not _could_be_title(texts[-1].text):
        return None
    blocks = cut([replace(entry, lines=[*entry.lines]) for entry in body[:12]])  # cutting changes what it cuts
    return None if blocks[0].of(Kind.TITLE) or not blocks[0].of(Kind.SPEAKER) else texts[-1]


def _could_be_title(text: str) -> bool:
    return looks_like_title(text) and not _SERIES.search(text) and not _POINTER.search(text)


def _is_heading(entry: Field) -> bool:
    return entry.kind is Kind.TEXT and len(entry.text) < 40 and is_term(entry.text)


def _is_about_zone(entry: Field) -> bool:
    """Whether a line says in which zone the page's times are."""
    return (
        entry.kind in (Kind.TEXT, Kind.NOTICE, Kind.UNKEPT)
        and _ABOUT_ZONE.search(entry.text[:300]) is not None
        and bool(zone_in(entry.text[:300]))
    )


def _could_be_name(entry: Field) -> bool:
    if entry.text.endswith((",", "，")):  # Dear all,
        return False
    return looks_like_title(entry.text) or (len(entry.text) < 40 and _SERIES.search(entry.text) is not None)


def _is_paragraph(entry: Field) -> bool:
    text = entry.text
    return entry.kind is Kind.TEXT and len(text) >= (20 if has_cjk(text) else 40) and is_sentence_end(text)


def _undecorated(text: str) -> str:
    return text.strip("#*_ \t")


def _first_part(title: str) -> str:
    return re.split(r"\s+[|–—-]\s+", title)[0]


def _names(text: str) -> list[str]:
    pieces = (piece.strip(" .。•·-*") for piece in split_outside_parentheses(_BETWEEN_NAMES, text))
    return [piece for piece in pieces if piece]


def _agree(zone: str, other: str) -> bool:
    """Whether two zones are as far from Greenwich in winter and in summer."""
    return all(_agreements(zone, other))


def _agreements(zone: str, other: str) -> list[bool]:
    """Whether two zones, or offsets like `-05:00`, are as far from Greenwich in winter, and whether in summer."""
    days = [datetime(2021, month, 1, tzinfo=UTC) for month in (1, 7)]
    return [day.astimezone(zone_of(zone)).utcoffset() == day.astimezone(zone_of(other)).utcoffset() for day in days]
