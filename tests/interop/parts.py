"""iCalendar bytes → components and their lines (RFC 5545 section 3.1), with what is wrong in how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Where(NamedTuple):
    """A fault and the line at which it begins."""

    line: int
    fault: str


def read(data: bytes) -> tuple[Part | None, list[Where]]:
    """The calendar, None where there is none, and every fault in octets, folds, lines and nesting."""
    found = [*_octets(data)]
    return _tree(_content_lines(data, found), found), found


def _octets(data: bytes) -> Iterator[Where]:
    if data.startswith(b"\xef\xbb\xbf"):
        yield Where(1, "a byte order mark")
    if not data.endswith(b"\r\n"):
        yield Where(data.count(b"\n") + 1, "the last line has no end")
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), start=1):
        body = line.removesuffix(b"\r")
        if body == line and number <= data.count(b"\n"):
            yield Where(number, "ends without a carriage return")
        if len(body) > 75:
            yield Where(number, f"{len(body)} octets and not 75 at most")
        if not body.strip():
            yield Where(number, "empty")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            yield Where(number, "no UTF-8 by itself: folded inside a character, or in another encoding")
            continue
        if odd := re.search(
            "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\u202a-\u202e\u2066-\u2069]", text
        ):
            yield Where(number, f"holds U+{ord(odd[0]):04X}, which is to be seen by nobody")
        if (len(body) - len(body.rstrip(b"\\"))) % 2:
            yield Where(number, "folded inside an escape")


@dataclass
class Line:
    """A content line, unfolded; a parameter's values are a list."""

    number: int
    name: str
    parameters: dict[str, list[str]]
    value: str


_PARAMETER = r';([A-Za-z0-9-]+)=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)'
_CONTENT = re.compile(rf"([A-Za-z0-9-]+)((?:{_PARAMETER})*):(.*)", re.DOTALL)


def _content_lines(data: bytes, found: list[Where]) -> Iterator[Line]:
    unfolded: list[tuple[int, str]] = []
    for number, raw in enumerate(data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n"), start=1):
        text = raw.decode(errors="replace")
        if text[:1] in (" ", "\t") and unfolded:
            unfolded[-1] = unfolded[-1][0], unfolded[-1][1] + text[1:]
        else:
            unfolded.append((number, text))
    for number, text in unfolded:
        if not (match := _CONTENT.fullmatch(text)):
            found.append(Where(number, f"no content line: {text[:40]!r}"))
            continue
        parameters: dict[str, list[str]] = {}
        for name, values in re.findall(_PARAMETER, match[2]):
            if name.upper() in parameters:
                found.append(Where(number, f"{name} twice on one line"))
            parameters[name.upper()] = [value.strip('"') for value in re.findall(r'"[^"]*"|[^,]+', values)]
        yield Line(number, match[1].upper(), parameters, match[5])


@dataclass
class Part:
    """A component: its own lines and what is nested in it."""

    name: str
    number: int
    lines: list[Line] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def all(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def value(self, name: str) -> str:
        return next((line.value for line in self.all(name)), "")


def _tree(lines: Iterable[Line], found: list[Where]) -> Part | None:
    roots: list[Part] = []
    open_parts: list[Part] = []
    number = 1
    for line in lines:
        number = line.number
        if line.name == "BEGIN":
            part = Part(line.value, number)
            (open_parts[-1].parts if open_parts else roots).append(part)
            open_parts.append(part)
        elif line.name == "END":
            if not open_parts or open_parts.pop().name != line.value:
                found.append(Where(number, f"END:{line.value} ends nothing that was begun"))
        elif open_parts:
            open_parts[-1].lines.append(line)
        else:
            found.append(Where(number, "outside the calendar"))
    found += [Where(number, f"END:{part.name} is missing") for part in open_parts]
    if [root.name for root in roots] != ["VCALENDAR"]:
        found.append(Where(1, "is not one VCALENDAR"))
    return roots[0] if roots else None
