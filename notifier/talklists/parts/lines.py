"""A page as text or as HTML → its lines, each with its number in the source and the links it carries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Comment, Tag
from bs4.element import NavigableString, PreformattedString

from notifier.talklists.parts.labels import PROSE, Kind, find_label, kind_of


@dataclass(frozen=True, slots=True)
class Link:
    """The words of a link on the page and its absolute target, empty where that is lost."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line as people see it. `number` counts from 1 in the source; `links` are those that lie in it.

    An empty text is a blank line, one with `is_rule` a line drawn across the page. `is_heading` and `is_footer`
    tell where the page itself says so, `is_below` what stands below its last table of talks.
    """

    number: int
    text: str
    links: tuple[Link, ...] = ()
    is_rule: bool = False
    is_heading: bool = False
    is_footer: bool = False
    is_below: bool = False

    def with_text(self, text: str) -> Line:
        """A part of this line, with its links."""
        return replace(self, text=text)


_HTML = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body)\b|<html[\s>]|<body[\s>]", re.IGNORECASE)
_CLOSING_TAG = re.compile(r"</(?:p|div|table|tr|td|ul|ol|li|h[1-6]|strong|b|a|span|section|article)\s*>", re.IGNORECASE)
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_MARKDOWN_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,300})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()]{0,100}\)[^\s()<>]{0,1000})?)>?\s*\)"
)
_ANGLE_LINK = re.compile(r"<(https?://[^\s<>]{1,2000})>")
_HEADING = re.compile(r"#{1,6}\s+\S")
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)([^*_\n]{1,300}?)(?<=\S)\1")
_ITALICS = re.compile(r"(?<![^\s(（])([*_])(?=[^\s*_])([^*\n]{1,300}?)(?<=[^\s*_])\1(?![^\s.,;:!?)）])")
_RULE = re.compile(r"(?:[-*_=~—─━]\s?){3,}")
_BOLD_AND_SIGN = re.compile(r"\*\* (?=[,.;，。；)）])")
_WIDE_LINK = re.compile("ｈｔｔｐｓ?：／／[！-～]+")
_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff]")


def without_emphasis(text: str) -> str:
    """The text without the signs of bold type and italics around its words."""
    return _ITALICS.sub(r"\2", _EMPHASIS.sub(r"\2", text))


def is_html(text: str) -> bool:
    """Whether the text is HTML: a document, or a piece of one with at least two closing tags."""
    if _HTML.search(text[:4000]):
        return True
    return len([None for _, _ in zip(range(2), _CLOSING_TAG.finditer(text), strict=False)]) == 2


def lines_of_text(text: str) -> list[Line]:
    """The lines of a plain or Markdown text."""
    return [_line_of_text(number, line) for number, line in enumerate(text.split("\n"), 1)]


def _line_of_text(number: int, raw: str) -> Line:
    text = _tidy(raw)
    if _RULE.fullmatch(text) or text == "--":  # above the signature of a mail, RFC 3676 section 4.3
        return Line(number, "", is_rule=True)
    links: list[Link] = []
    if "](" in text:

        def words_of(found: re.Match[str]) -> str:
            links.append(Link(found[1].strip(), found[2]))
            return found[1] or found[2]

        text = _MARKDOWN_LINK.sub(words_of, text)
    if "<http" in text:
        text = _ANGLE_LINK.sub(r"\1", text)
    return Line(number, text, tuple(links), is_heading=_HEADING.match(text) is not None)


def _tidy(raw: str) -> str:
    """The text with runs of spaces made short: a TAB where one was among them, else at most two spaces."""
    if not raw.isascii():
        raw = _WIDE_LINK.sub(lambda found: unicodedata.normalize("NFKC", found.group()), _INVISIBLE.sub("", raw))
    return _SPACES.sub(_shorter, raw).strip()


def _shorter(found: re.Match[str]) -> str:
    run = found.group()
    return "\t" if "\t" in run else "  " if len(run) > 1 else " "


@dataclass(frozen=True, slots=True)
class Document:
    """An HTML page as lines, with what its head says of the whole."""

    lines: list[Line]
    title: str
    unread: tuple[tuple[int, str, str], ...] = ()  # where there are words that are in none of its lines, and why


_DROPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "nav",
        "form",
        "button",
        "select",
        "option",
        "svg",
        "iframe",
        "canvas",
        "audio",
        "object",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hgroup",
        "html",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_PARAGRAPHS = frozenset(
    [
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "ul",
        "ol",
        "dl",
        "blockquote",
        "pre",
        "section",
        "article",
        "header",
        "footer",
        "tr",
    ]
)
_BOXES = frozenset(["article", "div", "dl", "fieldset", "li", "ol", "p", "section", "table", "ul"])
_BOX_LINES = 3  # a box of so many lines is more than a field
_BOX_GAP = 3  # blank lines that its end counts for
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_ORDINAL = re.compile(r"(?:st|nd|rd|th|tm|®|™)", re.IGNORECASE)
_WEB = ("http", "https")


def lines_of_html(text: str, source: str) -> Document:
    """The lines of an HTML page. Relative links are made absolute by `<base>` or by the source, if that is a URL.

    `R<sup>d</sup>` becomes `R^d` and `x<sub>i</sub>` `x_i`, with brackets around more than a word: `2^(n+1)`.
    """
    # An XML declaration would make Beautiful Soup warn that this is XML; its line breaks keep the numbers right.
    text = re.sub(r"^\s*<\?xml[^>]{0,200}\?>", lambda found: "\n" * found.group().count("\n"), text)
    soup = BeautifulSoup(text, "html.parser")
    base = soup.find("base", href=True)
    address = urljoin(source, str(base["href"])) if isinstance(base, Tag) else source
    title = soup.title.get_text() if soup.title else ""
    unread = [(n, words, "is crossed out on the page, and was left out") for n, words in _struck_out(soup) if words]
    for table in soup.find_all("table"):
        unread += _label_cells(table) if not table.decomposed else ()
    return Document(_Writer(address).write(soup), _tidy(title.replace("\n", " ")), tuple(unread))


def _struck_out(soup: BeautifulSoup) -> Iterator[tuple[int, str]]:
    """Takes what is crossed out from the page: it is what does not hold any more."""
    for tag in soup.find_all(_is_struck):
        if not tag.decomposed:
            yield tag.sourceline or 0, " ".join(tag.get_text(" ").split())
            # Its line breaks stay, so that the numbers of the lines below stay right.
            tag.replace_with(NavigableString("\n" * str(tag).count("\n") or " "))


def _is_struck(tag: Tag) -> bool:
    return tag.name in ("del", "s", "strike") or "line-through" in str(tag.get("style", ""))


def _label_cells(table: Tag) -> Iterator[tuple[int, str, str]]:
    """Writes the label of a table's head row into each cell below it, so that a row reads like other pages.

    Yields what of the table is not read, with its line and why. A table of talks is marked as one.
    """
    rows = [row.find_all(["td", "th"], recursive=False) for row in table.find_all("tr")]
    heads = [cell.get_text(" ", strip=True) for cell in rows[0]] if rows else []
    kinds = [kind_of(head.rstrip(":：")) for head in heads]
    if len(list(filter(None, kinds))) < 2 or not {Kind.TITLE, Kind.SPEAKER} & set(kinds):
        return
    unknown = {place for place, head in enumerate(heads) if head and not kinds[place]}
    for place in unknown:
        yield rows[0][0].sourceline or 0, heads[place], "heads a column that is not known: not read"
    table["data-talks"] = ""
    spanning: dict[int, tuple[Tag, int]] = {}
    for row in rows[1:]:
        cells = [cell for cell in row if not cell.decomposed]  # one of a table within a cell that is not read
        if len(cells) == 1 and _span(cells[0], "colspan") >= len(heads) > 1 and not _is_above_others(cells[0]):
            yield cells[0].sourceline or 0, cells[0].get_text(" ", strip=True), "stands under no day: not read"
            cells[0].decompose()
            continue
        for column, cell in _columns(cells, spanning, len(heads)):
            if column in unknown:
                cell.decompose()
                continue
            across = range(column, min(column + _span(cell, "colspan"), len(heads)))
            # What goes across the speaker's column and the title's is nobody's name: a discussion, a holiday.
            column = next((place for place in across if len(across) > 1 and kinds[place] is Kind.TITLE), column)
            if heads[column]:
                cell.insert(0, NavigableString(f"{heads[column].rstrip(':：')}: "))
            cell.name = "div"
        if cells and cells[0].parent:
            cells[0].parent.insert(0, Tag(name="hr"))
    for cell in rows[0]:
        cell.decompose()


def _is_above_others(cell: Tag) -> bool:
    """Whether a cell across the whole table is a heading of the rows below: a day, a term."""
    return re.search(r"\d", cell.get_text()) is not None


def _columns(cells: list[Tag], spanning: dict[int, tuple[Tag, int]], count: int) -> Iterator[tuple[int, Tag]]:
    """The cells of a row with their columns; one that spans rows is copied into each of them."""
    waiting = list(cells)
    row = cells[0].parent if cells else None
    free = 0  # the first column that the cell before leaves free
    for column in range(count):
        if column < free:
            continue
        above, rows_left = spanning.get(column, (None, 0))
        if above is not None and rows_left and row is not None:
            spanning[column] = (above, rows_left - 1)
            cell = copy(above)
            row.insert(column, cell)
        elif waiting:
            cell = waiting.pop(0)
            spanning[column] = (copy(cell), _span(cell, "rowspan") - 1)
        else:
            return
        free = column + _span(cell, "colspan")
        yield column, cell


def _span(cell: Tag, name: str) -> int:
    span = str(cell.get(name, "1"))
    return max(1, min(int(span), 100)) if span.isascii() and span.isdigit() else 1


class _Writer:
    """Walks a document and writes down its lines as a browser would show them."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._lines: list[Line] = []
        self._pieces: list[str] = []
        self._links: list[Link] = []
        self._first_number = 0  # of the line that is being written
        self._number = 1  # where the walk is in the source
        self._inside: dict[str, int] = {}
        self._boxes: list[int] = []  # how many lines stood before each open one
        self._talks_end: int | None = None  # how many lines stand up to the end of the last table of talks

    def write(self, soup: BeautifulSoup) -> list[Line]:
        # A stack, not recursion: a page may nest its elements deeper than Python its calls.
        todo: list[tuple[Tag | NavigableString, bool, int]] = [(soup, False, 0)]
        while todo:
            node, leaving, mark = todo.pop()
            if isinstance(node, NavigableString):
                self._text(node)
            elif leaving:
                self._leave(node, mark)
            elif not _is_hidden(node):
                todo.append((node, True, self._enter(node)))
                todo += [
                    (child, False, 0) for child in reversed(node.contents) if isinstance(child, (Tag, NavigableString))
                ]
        self._break()
        end = len(self._lines) if self._talks_end is None else self._talks_end
        return [*self._lines[:end], *(replace(line, is_below=True) for line in self._lines[end:])]

    def _text(self, node: NavigableString) -> None:
        if not isinstance(node, PreformattedString):
            parts = node.split("\n") if self._inside.get("pre") else [" ".join(node.replace("\t", " ").split("\n"))]
            for index, part in enumerate(parts):
                if index:
                    self._break()
                self._add(_SPACES.sub(" ", part), self._number + self._blank_start(node) + index)
        if not isinstance(node, Comment) or "\n" in node:
            self._number += node.count("\n")

    def _blank_start(self, node: NavigableString) -> int:
        """How many lines of the source pass before the words of this text begin."""
        return 0 if self._inside.get("pre") else node[: len(node) - len(node.lstrip())].count("\n")

    def _add(self, text: str, number: int) -> None:
        if not self._pieces:
            text = text.lstrip(" ")
            self._first_number = number
        if text:
            self._pieces.append(text)

    def _enter(self, tag: Tag) -> int:
        """Takes note of an element's begin; the result is where its own text begins, for `_leave`."""
        self._number = max(self._number, tag.sourceline or 0)
        name = tag.name
        self._inside[name] = self._inside.get(name, 0) + 1
        if name in _BLOCKS:
            self._break()
        if name in _PARAGRAPHS:
            self._blank()
        if name in _BOXES:
            self._boxes.append(len(self._lines))
        if name == "br":
            self._break() if self._pieces else self._blank()  # two of them are a blank line
        elif name == "hr":
            self._break()
            self._lines.append(Line(self._number, "", is_rule=True))
        elif name in ("td", "th") and self._pieces:
            self._pieces.append("\t")
        if name in ("b", "strong", "th", "dt") and not self._pieces:
            self._add("**", self._number)
            return 1
        return len(self._pieces)

    def _leave(self, tag: Tag, mark: int) -> None:
        name = tag.name
        if name == "a":
            self._name_picture(tag, mark)
            self._link(tag, "".join(self._pieces[mark:]))
        elif name in ("sup", "sub"):
            self._raise(mark, "^" if name == "sup" else "_")
        elif name in ("b", "strong", "th", "dt") and mark == 1 and self._pieces[:1] == ["**"]:
            self._bold()
        if name in _BLOCKS:
            self._break()
        if name in _PARAGRAPHS:
            self._blank()
        if name == "table" and tag.has_attr("data-talks"):
            self._talks_end = len(self._lines)
        if name in _BOXES:
            self._end_box(self._lines[self._boxes.pop() :])
        self._inside[name] -= 1

    def _end_box(self, lines: list[Line]) -> None:
        """Parts what follows a box from it, more than its lines are parted: a page's talks often stand in one each.

        One that begins with the word Abstract holds no talk, but the middle of one.
        """
        full = [line.text for line in lines if line.text]
        label = find_label(full[0]) if full else None
        if len(full) >= _BOX_LINES and not (label and label.kind in PROSE):
            while any(line.text for line in self._lines[-_BOX_GAP:]):
                self._lines.append(Line(self._number, ""))

    def _link(self, tag: Tag, words: str) -> None:
        words = " ".join(words.replace("**", "").split())
        self._links.append(Link(words, _absolute(str(tag.get("href", "")), self._base)))

    def _name_picture(self, tag: Tag, mark: int) -> None:
        """Writes what a link without words is called for those who do not see its picture."""
        if any(map(str.isalnum, "".join(self._pieces[mark:]))):
            return
        pictures = [tag, *tag.find_all(["img", "i", "span"])]
        names = (str(t.get(key, "")).strip() for t in pictures for key in ("aria-label", "title", "alt"))
        if name := next(filter(None, names), ""):
            self._add(f" {name} ", self._number)

    def _raise(self, mark: int, sign: str) -> None:
        text = "".join(self._pieces[mark:]).strip()
        del self._pieces[mark:]
        if _ORDINAL.fullmatch(text):
            self._pieces.append(text)
        elif text:
            self._pieces.append(f"{sign}{text}" if text.isalnum() else f"{sign}({text})")

    def _bold(self) -> None:
        """Closes bold type that began the line, so that `<b>Time</b>` reads as a label."""
        text = "".join(self._pieces[1:])
        self._pieces = [f"**{text.strip()}** "] if text.strip() else []

    def _break(self) -> None:
        text = _SPACES.sub(lambda run: "\t" if "\t" in run.group() else " ", "".join(self._pieces)).strip()
        text = _BOLD_AND_SIGN.sub("**", text)
        if text.startswith("**") and "**" not in text[2:]:
            text = text[2:].lstrip()  # bold type that goes on over the end of the line
        if text:
            heading = any(self._inside.get(name) for name in _HEADINGS)
            self._lines.append(
                Line(
                    self._first_number,
                    _INVISIBLE.sub("", text),
                    tuple(self._links),
                    is_heading=heading,
                    is_footer=bool(self._inside.get("footer")),
                )
            )
        self._pieces, self._links = [], []

    def _blank(self) -> None:
        if self._lines and (self._lines[-1].text or self._lines[-1].is_rule):
            self._lines.append(Line(self._number, ""))


def _is_hidden(tag: Tag) -> bool:
    style = str(tag.get("style", "")).replace(" ", "").lower()
    return tag.name in _DROPPED or tag.has_attr("hidden") or "display:none" in style


def _absolute(href: str, base: str) -> str:
    """The target of a link, or nothing where it leads nowhere: a fragment, a script, or no known base."""
    href = href.strip()
    if not href or href.startswith("#"):
        return ""
    try:
        url = urljoin(base, href) if base.startswith(_WEB) else href
        parts = urlsplit(f"https:{url}" if url.startswith("//") else url)
    except ValueError:  # a bracket that opens no IPv6 address
        return ""
    return parts.geturl() if parts.scheme in _WEB and parts.netloc else ""
