"""The fields of a page in order → one block of fields for each talk.

Pages write the time before, between or behind the other fields, for each talk or once for several; a talk may lack any
field, and a line without a label may be its title. So no single field marks where a talk begins. Of all ways to cut the
fields this takes the cheapest: a talk without title or speaker costs most, then a field that a talk has twice, then
blank lines that fall otherwise than elsewhere, then a change of the order in which fields come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from notifier.talklists.parts.fields import RULE_GAP, URL, Field, is_sentence_end
from notifier.talklists.parts.labels import PROSE, ROOM, Kind
from notifier.talklists.parts.people import has_cjk

_MISSING = 10  # a title or a speaker; every other price is seen against it
_TWICE = 12  # another abstract in the same script, or another speaker apart from the first
_AGAIN = 3  # another homepage, replay, …: two speakers may have one each
_BESIDE = 4  # two titles or two speakers one right after the other
_TIME_MOVED = 2  # a time behind the talk's fields, where the times before stood in front
_TIME_BEHIND_ROOM = 24  # … and behind how to join, which ends a session: dearer than a time without a talk
_FARTHEST = 16  # places at which a talk may end; a longer one costs more than any cut

_OPENERS = frozenset({Kind.TIME, Kind.TITLE, Kind.SPEAKER, Kind.TEXT, Kind.TALK, Kind.NOTICE})
_FRAME = ROOM | {Kind.TIME, Kind.TALK, Kind.NOTICE, Kind.UNKEPT}  # what may stand around a talk's own fields


@dataclass
class Block:
    """The fields of one talk, in order."""

    fields: list[Field] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[Field]:
        """The fields of these kinds."""
        return [entry for entry in self.fields if entry.kind in kinds]

    @property
    def number(self) -> int:
        """The line at which the block begins."""
        return self.fields[0].number


def cut(fields: list[Field]) -> list[Block]:
    """The blocks of these fields, each with at most one bare title, made a TITLE without words."""
    fields = list(_with_tails_apart(fields))
    blocks: list[Block] = []
    for start, end in _cheapest(fields):
        block = Block()
        for entry in _with_title(fields[start:end]):
            if entry.is_loose and entry.kind is Kind.TEXT:
                _give_back(entry, block if block.fields else blocks[-1])
            else:
                block.fields.append(entry)
        if block.fields:
            blocks.append(block)
    return blocks


def looks_like_title(text: str) -> bool:
    """Whether a line without a label could be a title: short, no link, no statement."""
    return 3 < len(text) <= 250 and not URL.search(text) and (not is_sentence_end(text) or text.endswith(("?", "？")))


def _with_tails_apart(fields: list[Field]) -> Iterator[Field]:
    """The fields with the last line of an abstract made a TEXT of its own where it could be the next talk's title."""
    for index, entry in enumerate(fields):
        tail = _tail(entry) if entry.kind in PROSE and index + 1 < len(fields) else None
        if tail is None:
            yield entry
            continue
        line = entry.lines[tail]
        gap = sum(not before.text for before in entry.lines[max(0, tail - RULE_GAP) : tail])
        entry.lines = entry.lines[:tail]
        yield entry
        yield Field(Kind.TEXT, "", line.number, gap=gap, lines=[line], is_loose=True)


def _tail(entry: Field) -> int | None:
    full = [index for index, line in enumerate(entry.lines) if line.text]
    if len(full) < 2 or not looks_like_title(entry.lines[full[-1]].text):
        return None
    is_paragraph = full[-1] - full[-2] > 1
    return full[-1] if is_paragraph or is_sentence_end(entry.lines[full[-2]].text) else None


def _give_back(entry: Field, block: Block) -> None:
    owner = next((f for f in reversed(block.fields) if f.kind in PROSE), None)
    if owner is not None:
        owner.lines += entry.lines
    else:
        block.fields.append(entry)


def _with_title(fields: list[Field]) -> Iterator[Field]:
    """The fields with the line that serves as title made one."""
    index = _bare_title(fields)
    for place, entry in enumerate(fields):
        if place == index:
            entry.kind = Kind.TITLE
        yield entry


def _bare_title(fields: list[Field]) -> int | None:
    if any(entry.kind is Kind.TITLE for entry in fields):
        return None
    for place, entry in enumerate(fields):
        is_free = not entry.is_loose or _is_front(fields[:place])
        if entry.kind is Kind.TEXT and is_free and looks_like_title(entry.text):
            return place
    return None


def _is_front(before: list[Field]) -> bool:
    return all(entry.kind in _FRAME for entry in before)


class _Style(NamedTuple):
    """How a talk is written: what it begins with, and whether its time stands before the rest, where it has one."""

    opener: Kind | None = None
    time_leads: bool | None = None
    time_follows_room: bool = False


@dataclass(slots=True)
class _Path:
    """The cheapest way to cut everything before a place, ending in a talk of a given style."""

    price: int
    start: int
    style: _Style
    before: _Path | None


def _cheapest(fields: list[Field]) -> list[tuple[int, int]]:
    """Where each talk begins and ends, of the cheapest way to cut these fields."""
    count = len(fields)
    usual_gap = Counter(entry.gap for entry in fields[1:]).most_common(1)[0][0] if count > 1 else 0
    may_begin = [*_may_begin(fields, usual_gap), True]
    paths: list[dict[_Style, _Path]] = [{} for _ in range(count + 1)]
    paths[0] = {_Style(): _Path(0, 0, _Style(), None)}
    for start in range(count):
        if paths[start]:
            for end, price, style in _candidates(fields, start, usual_gap, may_begin):
                _extend(paths, start, end, price, style)
    path: _Path | None = min(paths[count].values(), key=lambda path: path.price) if count else None
    cuts: list[tuple[int, int]] = []
    end = count
    while path is not None and path.before is not None:
        cuts.append((path.start, end))
        end, path = path.start, path.before
    return cuts[::-1]


def _may_begin(fields: list[Field], usual_gap: int) -> Iterator[bool]:
    """For each field whether a talk may begin with it: the usual ones, the page's first, any behind a wide gap."""
    first = next((entry.kind for entry in fields if entry.kind not in _FRAME), None)
    for entry in fields:
        yield entry.kind in _OPENERS or entry.kind is first or (entry.gap > usual_gap and entry.kind not in ROOM)


def _extend(paths: list[dict[_Style, _Path]], start: int, end: int, price: int, style: _Style) -> None:
    for before, path in paths[start].items():
        total = path.price + price + _change(before, style)
        # A talk without a time does not change where times stand.
        reached = _Style(style.opener, before.time_leads if style.time_leads is None else style.time_leads)
        known = paths[end].get(reached)
        if known is None or total < known.price:
            paths[end][reached] = _Path(total, start, reached, path)


def _change(before: _Style, after: _Style) -> int:
    """What it costs that a talk comes in another order than the one before it."""
    price = 0
    if after.opener is not before.opener:
        price += 1
    if None not in (before.time_leads, after.time_leads) and before.time_leads != after.time_leads:
        price += _TIME_MOVED + (_TIME_BEHIND_ROOM if after.time_follows_room else 0)
    return price


def _candidates(
    fields: list[Field], start: int, usual_gap: int, may_begin: list[bool]
) -> Iterator[tuple[int, int, _Style]]:
    """Every talk that could begin here: where it ends, its price, and its style."""
    talk = _Candidate(_price_of_beginning(fields[start], start, usual_gap))
    ends = 0
    for place in range(start, len(fields)):
        entry = fields[place]
        if place > start and entry.gap > usual_gap:
            talk.price += 6 if entry.gap >= RULE_GAP else 1
        if ends == _FARTHEST or not talk.takes(entry):
            return
        if may_begin[place + 1]:
            ends += 1
            yield place + 1, talk.total(), talk.style


def _price_of_beginning(entry: Field, start: int, usual_gap: int) -> int:
    price = {Kind.TALK: -6, Kind.NOTICE: 2}.get(entry.kind, 0)
    if start and entry.gap >= RULE_GAP:
        price -= 4
    elif start and entry.gap != usual_gap:
        price += 3 if entry.gap < usual_gap else -2
    return price


class _Candidate:
    """A talk that grows field by field, with its price so far."""

    def __init__(self, price: int) -> None:
        self.price = price
        self._seen: dict[Kind, Field] = {}
        self._last: Field | None = None
        self._opener: Kind | None = None
        self._has_bare_title = False
        self._time_leads: bool | None = None
        self._time_follows_room = False
        self._unused_texts = 0

    @property
    def style(self) -> _Style:
        opener = Kind.TITLE if self._opener is Kind.TEXT else self._opener
        return _Style(opener, self._time_leads, self._time_follows_room)

    def total(self) -> int:
        """The price, were the talk to end here."""
        price = self.price + self._unused_texts
        missing = (Kind.TITLE not in self._seen and not self._has_bare_title) + (Kind.SPEAKER not in self._seen)
        if missing == 2 and Kind.NOTICE in self._seen and Kind.TIME in self._seen:
            price += 6  # a session that was called off needs no talk
        else:
            price += missing * _MISSING
        if Kind.TITLE not in self._seen and self._has_bare_title:
            price += 2
        return price + (Kind.TIME not in self._seen)

    def takes(self, entry: Field) -> bool:
        """Adds a field; False where no talk can have it."""
        kind = entry.kind
        has_content = self._opener is not None
        if kind is Kind.TALK and has_content:
            return False
        if kind is Kind.TEXT:
            self._take_text(entry, has_content)
        elif kind is Kind.TIME:
            if not self._take_time(entry, has_content):
                return False
        elif kind in self._seen and kind not in _FRAME:
            price = self._price_of_another(entry)
            if price is None:
                return False
            self.price += price
        if not has_content and kind not in _FRAME and not (kind is Kind.TEXT and not self._has_bare_title):
            self._opener = kind
        self._seen[kind] = entry
        self._last = entry
        return True

    def _take_text(self, entry: Field, has_content: bool) -> None:
        usable = (not entry.is_loose or not has_content) and looks_like_title(entry.text)
        if usable and not self._has_bare_title and Kind.TITLE not in self._seen:
            self._has_bare_title = True
            self.price += 2 if has_content else 0
        elif not (entry.is_loose and has_content):
            self._unused_texts += 4 if entry.is_loose else 1

    def _take_time(self, entry: Field, has_content: bool) -> bool:
        if Kind.TIME in self._seen:
            # A slot of one's own below the session's time.
            return not has_content and entry.when is not None and entry.when.day is None
        self._time_leads = not has_content
        self._time_follows_room = has_content and not ROOM.isdisjoint(self._seen)
        return True

    def _price_of_another(self, entry: Field) -> int | None:
        kind, before = entry.kind, self._seen[entry.kind]
        is_beside = self._last is before
        is_other_script = has_cjk(before.text[:40]) != has_cjk(entry.text[:40])
        if kind is Kind.TITLE:
            return (1 if is_other_script else _BESIDE) if is_beside else None
        if kind is Kind.SPEAKER:
            is_numbered = entry.words[-1:].isdigit() and entry.words[-1:] != "1"  # Speaker 2
            return _BESIDE if is_beside or is_numbered else _TWICE + _AGAIN
        if kind is Kind.ABSTRACT:
            return 1 if is_other_script else _TWICE
        return 1 if is_beside else _AGAIN
