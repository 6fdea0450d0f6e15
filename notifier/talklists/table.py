"""A table or list of talks → a `Seminar`: CSV with commas, semicolons or TABs, a Markdown table, or Markdown items.

Date,Time,Speaker,Title            | 日期 | 报告人 | 题目 |       ## 2021-11-27 9:30-11:30
2021-11-27,9:30-11:30,Ada,On …     |---|---|---|              - Speaker: Ada
- Title: On …
- 2021-11-27 9:30-11:30 Ada Lovelace (Oxford): On … [slides](https://…)
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from markdown_it import MarkdownIt
from markdown_it.token import Token

from notifier.errors import Problem, TalkListError
from notifier.locations import did_you_mean
from notifier.talklists import Context, Reading
from notifier.talklists.parts import cells as cells
from notifier.talklists.parts import rows as rows
from notifier.talklists.parts.dates import Order, zone_in
from notifier.talklists.parts.items import DAY, Item, are_listed, rows_of, with_days_first, with_years
from notifier.talklists.parts.lines import without_emphasis
from notifier.talklists.parts.terms import Term, Usual, agreed, is_term, term_in, usual_among, usual_in
from notifier.talks import Seminar, clean_line, clean_text

_DELIMITERS = ",;\t，；"
_HEADING = re.compile(rf"^#{{1,6}} .*{DAY}", re.MULTILINE)
_ITEM = re.compile(rf"^ {{0,3}}(?:[-*+]|\d{{1,3}}[.)]) +[*_\[（(<]{{0,3}}{DAY}", re.MULTILINE)
_RULE = re.compile(r"^ {0,3}\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?\s*)?$", re.MULTILINE)
# A seminar's page begins its sessions so; its archive may well be a list of days.
# A label that begins a line, plain or bold, is a page's; in Markdown items the fields stand behind a bullet.
_PAGE = re.compile(
    r"^(?:\*\*|__)?(?P<label>Time|Date|Speaker|Reporter|Title|时间|日期|报告时间|报告人|主讲人|题目)\s*(?:\*\*|__)?\s*[:：]",
    re.MULTILINE | re.IGNORECASE,
)
_HEADS = "Date/日期, Time/时间, Speaker/报告人, Affiliation/单位, Title/题目, Abstract/摘要, Slides/幻灯片, Replay/回放"
_DATED = ("date", "time", "start", "end")
_LONGEST_HEAD = 4000  # characters
_MOST_LINES = 2000
_LATEST_HEAD = 3  # a spreadsheet may say what it is above its head


def fits(text: str) -> bool:
    """Whether the text is a table with a head that is known, or Markdown items or headings that begin with days."""
    if text.lstrip().startswith("<"):
        return False
    if _tokens_of_table(text) or _delimiter(text):
        return True
    if _ITEM.search(text) or _HEADING.search(text):
        return not _PAGE.search(text)
    labels = (found for found in _PAGE.finditer(text) if found["label"].casefold() not in ("title", "题目"))
    is_page = any(not usual_in(text[found.start() : found.start() + 200].split("\n")[0]) for found in labels)
    return not is_page and _is_listed(text)


def _is_listed(text: str) -> bool:
    """Whether the text names its year once, and has lines that begin with a day and go on with who speaks on what."""
    lines = (without_emphasis(line) for line in text.split("\n", _MOST_LINES)[:_MOST_LINES] if line.strip())
    return are_listed(with_years(Item(0, line.lstrip(" -*+#")) for line in lines))


def read(text: str, context: Context) -> Reading:
    """The seminar in the table; a row that cannot be used is left out and told of with its line.

    Raises:
        TalkListError: the table has no head that is known, or no row that can be used.
    """
    table = _Table()
    if tokens := _tokens_of_table(text):
        _read_markdown_table(text, tokens, table)
    elif delimiter := _delimiter(text):
        _read_delimited(text, delimiter, table)
    else:
        _read_items(text, table)
    return _reading(table, context)


@dataclass(slots=True)
class _Table:
    """Rows as they are found, what was doubtful on the way, and what the text calls itself."""

    rows: list[rows.Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    name: str = ""
    zone: str = ""  # of all times, where a head or a line above them names one
    usual: Usual | None = None
    joining: cells.Joining = field(default_factory=cells.Joining)
    usuals: list[Usual] = field(default_factory=list)
    terms: list[tuple[int, Term]] = field(default_factory=list)  # that the lines around the rows name

    def term_at(self, line: int | None) -> Term | None:
        """The term that was named last above this line, or else the first that is named at all."""
        above = bisect_left(self.terms, line or 0, key=lambda named: named[0])
        return self.terms[max(0, above - 1)][1] if self.terms else None

    def usual_at(self, line: int | None) -> Usual | None:
        """The hours named last above this line; None where two are named with no row between them."""
        above = bisect_left(self.usuals, line or 0, key=lambda usual: usual.line)
        if not above:
            return None
        last = self.usuals[above - 1]
        row_before = bisect_left(self.rows, last.line, key=lambda row: row.line or 0)
        between = self.rows[row_before - 1].line or 0 if row_before else 0
        return agreed(usual for usual in self.usuals[:above] if usual.line > between)

    def take_preface(self, lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        """Takes what the lines around the rows say of every session, and gives back those that say nothing of it."""
        self.usual = usual_among(lines)
        self.usuals = [usual for number, words in lines if (usual := usual_in(words, number))]
        self.zone = next(filter(None, (zone_in(words) for _, words in lines)), "")
        self.joining = cells.joining_in("\n".join(words for _, words in lines))
        return [(number, words) for number, words in lines
                if not (usual_in(words) or is_term(words)) and cells.joining_in(words) == cells.Joining()]  # fmt: skip

    def warn(self, message: str, advice: str, line: int | None) -> None:
        self.problems.append(Problem(message, advice, line=line))


def _reading(table: _Table, context: Context) -> Reading:
    zone = cells.zone_of(table.zone)
    plain = _with_plain_dates(table)
    is_any_off = any(row.get("status") or row.get("cancelled") for row in plain)
    common = rows.common_hours(plain) if is_any_off else None
    sessions = rows.Sessions(ZoneInfo(context.timezone), zone, table.usual, table.joining, common)
    for row in plain:
        sessions.add(row if table.usual else replace(row, usual=table.usual_at(row.line)))
    found = rows.unique(sessions.sessions())
    told = (*table.problems, *sessions.problems, *context.doubts_of_zone(sessions.unzoned))
    problems = sorted(told, key=lambda p: p.line or 0)
    if not found:
        none = Problem("there is no row that can be used", f"write a head such as {_HEADS} and a row for each talk")
        raise TalkListError((*problems, none))
    seminar = Seminar(id=context.id, name=table.name or context.name, timezone=context.timezone, sessions=found)
    return Reading(seminar, tuple(problems), has_ids=all(row.get("id") for row in table.rows))


def _with_plain_dates(table: _Table) -> list[rows.Row]:
    """The rows with dates such as 3/12/2026 made plain, where the others show which figure is the month."""
    dated = [_with_year(row, table.term_at(row.line)) for row in table.rows]
    order = Order.of(text for row in dated for name in _DATED if (text := row.get(name)))
    if order is None:
        return dated
    plain = [_plain_dated(row, order, table.term_at(row.line)) for row in dated]
    changed = next((row for row, other in zip(dated, plain, strict=True) if row.values != other.values), None)
    if changed:
        table.warn(f"{order}", "write dates as 2021-11-27", changed.line)
    return plain


def _plain_dated(row: rows.Row, order: Order, term: Term | None) -> rows.Row:
    dates = {n: order.made_plain(row.get(n), term.year_of if term else None) for n in _DATED if row.get(n)}
    return replace(row, values=dict(row.values) | dates)


def _with_year(row: rows.Row, term: Term | None) -> rows.Row:
    """The row with the year of its term in a day such as `Jan 10` or 9月12日."""
    if term is None:
        return row
    return replace(row, values=dict(row.values) | {n: term.dated(row.get(n)) for n in _DATED if row.get(n)})


# Columns --------------------------------------------------------------------------------------------------------


def _add_rows(heads: Sequence[str], lines: Iterable[tuple[int, Sequence[str]]], line: int, table: _Table) -> None:
    """Adds the cells below these heads as rows. Raises TalkListError where the heads are not known."""
    names = _names(heads, line, table)
    for number, texts in lines:
        if not any(map(str.strip, texts)):
            continue
        if len(texts) > len(names) and any(map(str.strip, texts[len(names) :])):
            told = f"the row has {len(texts)} cells, but the head has {len(names)}: what is too many is not read"
            table.warn(told, "put texts that hold the separator in quotes", number)
        if len(texts) < len(names):
            table.warn(f"the row has {len(texts)} cells, but the head has {len(names)}", "fill it up", number)
        table.rows.append(rows.Row(rows.with_notice(_by_name(names, texts)), number))


def _names(heads: Sequence[str], line: int, table: _Table) -> list[str]:
    names = [cells.field_of(head) for head in heads]
    if not {"date", "time", "start"} & set(names):
        advice = f"the first row names the columns: {_HEADS}"
        told = f'no column is known to hold dates in the row that begins with "{clean_line(heads[0])}"'
        raise TalkListError(Problem(told, advice, line=line))
    zones = (zone_in(head) for head, name in zip(heads, names, strict=True) if name in _DATED)
    table.zone = next(filter(None, zones), table.zone)
    for head, name in zip(heads, names, strict=True):
        if not name and head.strip():
            hint = did_you_mean(head.strip(), cells.FIELDS) or f"known are {_HEADS}"
            table.warn(f'the column "{clean_line(head)}" is not known: not read', hint, line)
    for place, (head, name) in enumerate(zip(heads, names, strict=True)):
        if name == "speakers" and cells.is_called(head, "name") and names.count(name) > 1 and "title" not in names:
            names[place] = "title"  # as in an export of Notion
        if cells.is_called(head, "paper") and "title" not in names:
            names[place] = "title"  # of a reading group
        if name in cells.CALLED and not cells.is_called(head, name) and any(cells.is_called(h, name) for h in heads):
            told = f'the column "{clean_line(head)}" stands beside one that is called {name}: not read'
            table.warn(told, "", line)
            names[place] = ""
    for name in sorted({name for name in names if name and names.count(name) > 1} - {"date", "time"}):
        table.warn(f"{names.count(name)} columns say the {name}: their texts are put together", "drop one", line)
    return names


def _by_name(names: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, text in zip(names, texts, strict=False):
        if name and text.strip():
            separator = "; " if name in ("speakers", "affiliations") else " "
            values[name] = separator.join(filter(None, (values.get(name, ""), clean_text(text))))
    return values


# Delimited text -------------------------------------------------------------------------------------------------


def _delimiter(text: str) -> str:
    """The separator by which the text falls into columns that are known, or that begin with a day in most rows."""
    for line in itertools.islice(filter(str.strip, text.split("\n")), _LATEST_HEAD):
        if len(line) > _LONGEST_HEAD:
            continue
        found = [mark for mark in _DELIMITERS if _is_head(next(csv.reader([line], delimiter=mark), []))]
        if found:
            return max(found, key=line.count)
    return next((mark for mark in _DELIMITERS if _is_headless(text, mark)), "")


def _is_head(texts: Sequence[str]) -> bool:
    heads = [text for text in texts if text.strip()]
    known = [name for text in heads if len(text) <= 40 and (name := cells.field_of(text))]
    return len(known) >= 2 and len(known) * 2 >= len(heads)


def _is_headless(text: str, mark: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    dated = [line for line in lines if re.match(rf"\s*\"?{DAY}[^{mark}]{{0,20}}{mark}.*{mark}", line)]
    return len(dated) > len(lines) // 2


def _read_delimited(text: str, delimiter: str, table: _Table) -> None:
    numbered = _numbered(csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True), table)
    above = []
    for line, texts in itertools.islice(numbered, _LATEST_HEAD):
        above.append((line, texts))
        if _is_head(texts):
            break
    (line, heads), *before = reversed(above) if _is_head(above[-1][1]) else above[:1]
    for number, _ in before:
        table.warn("this row above the head is not read", "", number)
    _add_rows(heads, numbered, line, table)


def _numbered(reader: Any, table: _Table) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    before = 0
    while True:
        try:
            texts = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TalkListError(
                Problem(f"the row cannot be read: {error}", "close its quotes", line=before + 1)
            ) from error
        line, before = before + 1, reader.line_num
        if before - line > 100:
            table.warn(f"a cell goes on for {before - line} lines", "close its quotes, if that is not meant", line)
        if any(map(str.strip, texts)):
            yield line, texts


# Markdown -------------------------------------------------------------------------------------------------------


def _tokens_of_table(text: str) -> list[Token]:
    """The parts of a Markdown text that holds a table; none of any other text."""
    if "|" not in text or not _RULE.search(text):
        return []
    tokens = _tokens(text)
    return tokens if any(token.type == "table_open" for token in tokens) else []


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def _read_markdown_table(text: str, tokens: list[Token], table: _Table) -> None:
    source = text.split("\n")
    table.name = _title(tokens)
    grid: list[tuple[int, list[str]]] = []
    around: list[tuple[int, str]] = []
    for before, token in itertools.pairwise(tokens):
        if token.type == "table_close":
            (line, heads), *below = grid
            if _is_head(heads):
                _add_rows(heads, [(n, _ragged(texts, source[n - 1])) for n, texts in below], line, table)
            else:
                table.warn(f'the table that begins with "{clean_line(heads[0])}" tells of no talks: not read', "", line)
            grid = []
        elif token.type == "tr_open":
            grid.append((_line(token), []))
        elif token.type == "inline" and before.type in ("th_open", "td_open"):
            grid[-1][1].append(_plain(token))
            _tell_of_struck(token, table, grid[-1][0])
        elif token.type == "inline":
            around += [(_line(token) + n, words) for n, words in enumerate(_plain(token).split("\n")) if words.strip()]
    if not table.rows:
        _add_rows(heads, [], line, table)  # which says what is missing
    table.terms = [(number, term) for number, words in around if (term := term_in(words))]
    for number, words in table.take_preface(around):
        if words != table.name:
            table.warn("this text beside the table is not read", "", number)


def _tell_of_struck(token: Token, table: _Table, line: int) -> None:
    parts = token.children or []
    for before, part in itertools.pairwise(parts):
        if before.type == "s_open" and part.content:
            table.warn(f'"{clean_line(part.content)}" is crossed out: not read', "", line)


def _ragged(texts: list[str], source: str) -> list[str]:
    """The cells as many as were written: Markdown drops those beyond the head, and fills up the others."""
    written = re.split(r"(?<!\\)\|", source.strip().removeprefix("|").removesuffix("|"))
    return texts[: len(written)] + written[len(texts) :]


def _title(tokens: Sequence[Token]) -> str:
    """The first heading, where it is no session's."""
    pairs = itertools.pairwise(tokens)
    found = next((_plain(token) for before, token in pairs if before.type == "heading_open"), "")
    return "" if re.search(DAY, found) else clean_line(found)


def _plain(token: Token) -> str:
    """The words of a line as people see them, without those crossed out, with the links as `[words](target)`."""
    pieces: list[str] = []
    targets: list[tuple[int, str]] = []
    for part in token.children or ():
        if part.type == "link_open":
            targets.append((len(pieces), str(part.attrs.get("href", ""))))
        elif part.type == "link_close":
            start, target = targets.pop()
            words = "".join(pieces[start:]).strip("[]")
            pieces[start:] = [target if words == target else f"[{words}]({target})"]
        elif part.type == "s_open":
            targets.append((len(pieces), ""))
        elif part.type == "s_close":
            start, _ = targets.pop()
            del pieces[start:]
        elif part.type in ("softbreak", "hardbreak") or re.fullmatch(r"<br\s*/?>", part.content, re.IGNORECASE):
            pieces.append("\n")
        elif part.type in ("text", "code_inline"):
            pieces.append(part.content)
    return "".join(pieces)


def _read_items(text: str, table: _Table) -> None:
    tokens = _tokens(text)
    table.name = _title(tokens)
    items = with_days_first(list(with_years(_items(tokens), [table.name])))
    for token in tokens:
        _tell_of_struck(token, table, _line(token))
    first = next((place for place, item in enumerate(items) if item.begins_day), len(items))
    above = [(item.line, item.words) for item in items[:first] if item.words != table.name]
    if above and not table.name:
        table.name = above.pop(0)[1].removeprefix("#+TITLE:").strip()  # as in a file of Emacs' org mode
    for number, _ in table.take_preface(above):
        table.warn("this text stands under no day: not read", "begin it with a day such as 2021-11-27", number)
    table.rows += rows_of(items[first:], table.warn)


def _items(tokens: Sequence[Token]) -> Iterator[Item]:
    """Every line of the text."""
    for before, token in itertools.pairwise(tokens):
        if token.type != "inline":
            continue
        level = int(before.tag[1:]) if before.type == "heading_open" else 0
        for offset, words in enumerate(_plain(token).split("\n")):
            if words.strip():
                yield Item(_line(token) + offset, words.strip(), level, "\n" if offset else "\n\n")
