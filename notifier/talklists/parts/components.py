"""The text of a calendar → its components with their properties, each with the line it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from icalendar.parser import Contentline
from icalendar.prop import TypesFactory

from notifier.errors import Problem

_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*[;:]")
_TEXTS = frozenset({"SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT"})


@dataclass(frozen=True, slots=True)
class Property:
    """One property, its text unescaped."""

    name: str
    params: Mapping[str, str]
    value: str
    line: int


@dataclass(slots=True)
class Component:
    """One component, such as VEVENT, and those inside it."""

    name: str
    line: int
    properties: list[Property] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Property]:
        """The properties of these names, in order."""
        return (prop for prop in self.properties if prop.name in names)

    def first(self, *names: str) -> Property | None:
        """The first property of these names."""
        return next(self.all(*names), None)

    def text(self, *names: str) -> str:
        """The first text of these names that is not empty."""
        return next((prop.value for prop in self.all(*names) if prop.value.strip()), "")


@dataclass(slots=True)
class Source:
    """A calendar's text, taken apart as far as it can be; `cut` says that it ends too soon."""

    components: list[Component] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    cut: Problem | None = None
    _open: list[Component] = field(default_factory=list)


def take_apart(text: str) -> Source:
    """Every component of the text in one flat list, and what could not be read."""
    source = Source()
    number = 1
    for number, line in _content_lines(text, source.problems):
        _take(source, number, line)
    if source._open:
        names = " and ".join(part.name for part in source._open)
        source.cut = Problem(f"the text ends inside {names}: it is cut off", "fetch or export it again", line=number)
    return source


def _content_lines(text: str, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    """The lines that hold a property, with their numbers; others are more of the text before them, or told of."""
    start, pieces = 0, [""]
    for number, line in _unfolded(text):
        if _is_property(line) or not start:
            if start:
                yield start, "".join(pieces)
            start, pieces = number, [line]
        else:
            # Text that was never escaped: its line breaks look like the ends of properties.
            _continue(number, line, pieces, problems)
    if start:
        yield start, "".join(pieces)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """The lines as RFC 5545 section 3.1 folds them, also over blank lines, with the number of the first of each."""
    start, pieces = 0, [""]
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if line[0] in " \t" and start:
            pieces.append(line[1:])
        else:
            if start:
                yield start, "".join(pieces).strip()
            start, pieces = number, [line]
    if start:
        yield start, "".join(pieces).strip()


def _is_property(line: str) -> bool:
    found = _NAME.match(line)
    return found is not None and (found[1].isupper() or found[1].upper() in TypesFactory.types_map)


def _continue(number: int, line: str, pieces: list[str], problems: list[Problem]) -> None:
    found = _NAME.match(pieces[0])
    name = found[1].upper() if found else ""
    if name in _TEXTS:
        pieces.append(f"\\n{line}")
        told = f"this is no property: read as more of the {name} above"
    else:
        told = "this is no property: not read"
    problems.append(Problem(told, "fold long lines with a space before the rest", line=number))


def _take(source: Source, number: int, line: str) -> None:
    try:
        name, params, value = Contentline(line).parts()  # type: ignore[no-untyped-call]
    except ValueError:
        source.problems.append(Problem("this property cannot be read", "write NAME:VALUE", line=number))
        return
    name = name.upper()
    if name == "BEGIN":
        _begin(source, number, value.strip().upper())
    elif name == "END":
        _end(source, number, value.strip().upper())
    elif source._open:
        flat = {key: value if isinstance(value, str) else ",".join(value) for key, value in params.items()}
        source._open[-1].properties.append(Property(name, flat, value, number))


def _begin(source: Source, number: int, name: str) -> None:
    if source._open and source._open[-1].name == name == "VEVENT":
        _close(source, number)
    component = Component(name, number)
    if source._open:
        source._open[-1].parts.append(component)
    source._open.append(component)
    source.components.append(component)


def _end(source: Source, number: int, name: str) -> None:
    if all(part.name != name for part in source._open):
        source.problems.append(Problem(f"END:{name} ends nothing", line=number))
        return
    while source._open[-1].name != name:
        _close(source, number)
    source._open.pop()


def _close(source: Source, number: int) -> None:
    part = source._open.pop()
    told = f"the {part.name} of line {part.line} has no end: read as if it ended here"
    source.problems.append(Problem(told, f"write END:{part.name}", line=number))
