"""TOML text + pydantic models → what they describe, with the line and column of everything that is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from notifier.errors import NotifierError, Problem
from notifier.talks import clean_line

KeyPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRETS = frozenset({"password", "passcode"})
_WIDE_MARKS = re.compile("[“”„‘’＂＇「」＝［］｛｝]")
_SYNTAX_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_SYNTAX_ADVICE = {
    "Cannot overwrite a value": "a key stands once in its table; drop one of the two",
    "Cannot declare": "a table is opened once; [[two brackets]] begin the next one of a list",
    "Cannot mutate": "a table is opened once; [[two brackets]] begin the next one of a list",
    "Expected '=' after a key": "write KEY = VALUE; text over several lines stands between ''' and '''",
    "Expected newline or end": "one KEY = VALUE a line; text stands in quotes, and a quote inside it as \\\"",
    "Invalid value": "text and times stand in quotes, like \"09:30-11:30\"; dates do not, like 2021-11-27",
    "Invalid date": "write dates as 2021-11-27 and times in quotes, like \"09:30\"",
    "Invalid statement": "a line is KEY = VALUE, a [table], or a # comment",
    "Unescaped '\\' in a string": "write text with backslashes, like LaTeX, between ''' and '''",
    "Invalid hex value": "write text with backslashes, like LaTeX, between ''' and '''",
    "Illegal character": "close the quotes in the same line, or write the text between ''' and '''",
    "Unterminated string": "close the text with the quotes that opened it",
    "Expected \"'''\"": "close the text with '''",
    "Expected \"'\"": "close the text with a single quote",
    "Unclosed array": "close the list with ]; its items are parted by commas",
    "Unclosed inline table": "close the table with } in the same line",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a document, said of the path to it: `("session", 3, "talk", 0, "title")`."""

    path: KeyPath
    message: str
    advice: str = ""


def load(text: str, refuse: type[NotifierError]) -> dict[str, Any]:
    """The tables of a TOML text. Raises `refuse` with the place of the first break of TOML's own rules."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise refuse(Problem("the values are nested too deeply", "write them flat")) from error
    except ValueError as error:
        raise refuse(_syntax_problem(str(error), text)) from error


def checked(
    model: type[Model], tables: Any, at: KeyPath = (), context: Any = None, vital: frozenset[str] = frozenset()
) -> tuple[Model | None, list[Fault]]:
    """The model of these tables, and every fault in their shape; the faults' paths begin with `at`.

    Where there are faults, the model is made of what is sound, so that the checks that need a whole can still run and
    all problems are told at once. It is None where nothing is left to check: a key in `vital` is faulty.
    """
    try:
        return model.model_validate(tables, context=context), []
    except ValidationError as error:
        # Its own text shows inputs, and they may be secrets: here `_value` says what may be shown.
        details = error.errors(include_url=False)
    faults = [_fault(model, detail, at) for detail in details]
    if not isinstance(tables, dict) or any(not d["loc"] or d["loc"][0] in vital for d in details):
        return None, faults
    try:
        return model.model_validate(_without(tables, [d["loc"] for d in details]), context=context), faults
    except ValidationError:
        return None, faults


def refusal(message: str, advice: str = "") -> PydanticCustomError:
    """What a validator of ours raises: it becomes a fault with these words. They must hold no secret."""
    return PydanticCustomError("refused", "{message}", {"message": message, "advice": advice})


def is_web_address(text: str) -> bool:
    """Whether the text is one http(s) link with a host, so that it can stand in a page without harm."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\s<>\"]", text)
    except ValueError:
        return False


def _web_address(text: str) -> str:
    if text and not is_web_address(text.strip()):
        raise refusal(f"{_value(text, '')} is no web link", 'write it like "https://seminar.example.org"')
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        near = did_you_mean(name, available_timezones(), nearness=0.75)
        raise refusal(f"{_value(name, '')} is no time zone", near or 'write a name like "Asia/Shanghai"') from error
    return name


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise refusal(f"{_value(text, '')} cannot stand in a web address", "use up to 64 of A-Z a-z 0-9 . _ -")
    return text


# What a config and a talk list both hold.
WebAddress = Annotated[str, AfterValidator(_web_address)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Identifier = Annotated[str, AfterValidator(_identifier)]


def problems(faults: Iterable[Fault], text: str) -> tuple[Problem, ...]:
    """The faults with their lines and columns in the text, from its top to its end."""
    faults = list(faults)
    if not faults:
        return ()
    places = locate(text)
    found = [Problem(f.message, f.advice, "", *_nearest(places, f.path)) for f in faults]
    return tuple(sorted(found, key=lambda p: (p.line or 0, p.column or 0)))


def did_you_mean(word: str, known: Iterable[str], nearness: float = 0.6) -> str:
    """`did you mean "speaker"?`, or nothing where no known word is near."""
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=nearness)
    return f'did you mean "{lower[near[0]]}"?' if near else ""


def locate(text: str) -> dict[KeyPath, tuple[int, int]]:
    """The line and column of every key, table and list item of a valid TOML text, by its path."""
    scan = _Scan(text)
    scan.document()
    places = {}
    line, line_start, last = 1, 0, 0
    for path, offset in sorted(scan.offsets.items(), key=lambda item: item[1]):
        breaks = scan.text.count("\n", last, offset)
        if breaks:
            line += breaks
            line_start = scan.text.rindex("\n", last, offset) + 1
        last = offset
        places[path] = (line, offset - line_start + 1)
    return places


class _Scan:
    """Finds where things stand in a text that tomllib has already accepted, so it only has to find their ends."""

    _GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
    _KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
    _DOT = re.compile(r"[ \t]*\.[ \t]*")
    _EQUALS = re.compile(r"[ \t]*=[ \t]*")
    # Triple quotes may be followed by two more that belong to the text: TOML 1.0, "String".
    _SCALAR = re.compile(
        r'''"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*'|[^,\]}#\n]+''', re.DOTALL
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[KeyPath, int] = {}
        self._last_index: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._peek():
            table = self._header() if self._peek() == "[" else self._pair(table)

    def _peek(self) -> str:
        self._skip(self._GAP)
        return self.text[self.at : self.at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"expected {pattern.pattern} at offset {self.at} of a text that tomllib accepted")
        self.at = match.end()
        return match[0]

    def _header(self) -> KeyPath:
        start = self.at
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.at += brackets
        keys = [key for key, _ in self._keys()]
        self._skip(self._GAP)
        self.at += brackets
        path: KeyPath = ()
        for depth, key in enumerate(keys, start=1):
            path += (key,)
            if brackets == 2 and depth == len(keys):
                self.offsets.setdefault(path, start)
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path += (self._last_index[path],)
            self.offsets.setdefault(path, start)
        return path

    def _keys(self) -> Iterator[tuple[str, int]]:
        while True:
            self._skip(self._GAP)
            start = self.at
            word = self._skip(self._KEY)
            yield (next(iter(tomllib.loads(f"{word}=0"))) if word[0] in "\"'" else word), start
            if not self._DOT.match(self.text, self.at):
                return
            self._skip(self._DOT)

    def _pair(self, table: KeyPath) -> KeyPath:
        """Passes over one `key = value`, and returns the table that it stands in."""
        path = table
        for key, start in self._keys():
            path += (key,)
            self.offsets.setdefault(path, start)
        self._skip(self._EQUALS)
        self._value(path)
        return table

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening not in "[{":
            self._skip(self._SCALAR)
            return
        self.at += 1
        index = 0
        while self._peek() not in "]}":
            if opening == "[":
                self.offsets[*path, index] = self.at
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            if self._peek() == ",":
                self.at += 1
        self.at += 1


def _nearest(places: Mapping[KeyPath, tuple[int, int]], path: KeyPath) -> tuple[int, int] | tuple[None, None]:
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (None, None))


def _syntax_problem(error: str, text: str) -> Problem:
    match = _SYNTAX_PLACE.fullmatch(error)
    what, line, column = match.groups() if match else (error, None, None)
    lines = text.split("\n")
    number = int(line) if line else _last_line(what, text)
    advice = next((a for start, a in _SYNTAX_ADVICE.items() if what.startswith(start)), "mend the line")
    wide = _WIDE_MARKS.search(lines[number - 1])
    if wide:
        advice = f"{wide[0]} is no mark of TOML; use plain \" ' = [ ]"
    return Problem(f"this is not TOML: {what}", advice, "", number, int(column) if column else None)


def _last_line(what: str, text: str) -> int:
    """The line of what is still open at the end of the text, else its last line."""
    quotes = next((quotes for quotes in ("'''", '"""') if quotes in what), "")
    end = text.rfind(quotes) if quotes else len(text.rstrip())
    return text.count("\n", 0, end) + 1


def _fault(model: type[BaseModel], detail: ErrorDetails, at: KeyPath) -> Fault:
    path = (*at, *detail["loc"])
    kind = detail["type"]
    if kind == "refused":
        return Fault(path, detail["ctx"]["message"], detail["ctx"]["advice"])
    key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        return Fault(path, f'unknown key "{key}" {_where(path[:-1])}', _unknown_advice(model, detail["loc"], at))
    if kind == "missing":
        return Fault(path[:-1], f"{_table(path[:-1])} has no {key}", f"write {key} = …")
    wanted, advice = _wanted(kind, detail, path)
    return Fault(path, f"{key} is {_value(detail['input'], key)}, expected {wanted}", advice)


def _wanted(kind: str, detail: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    key = path[-1] if path else ""
    match kind:
        case "string_type" | "string_sub_type":
            return "text", "write it in quotes"
        case "bool_type":
            return "true or false", "write it without quotes"
        case "int_type" | "int_from_float":
            return "a whole number", "write it without quotes"
        case "date_type" | "date_from_datetime_inexact":
            return "a date", "write it as 2021-11-27, without quotes"
        case "time_type":
            return "a time of day", 'write it in quotes, like "09:00"'
        case "list_type" if isinstance(detail["input"], dict):
            return "a list of tables", f"begin each with two brackets: {_table((*path, 0))}"
        case "list_type" | "tuple_type":
            return "a list", f'write {key} = ["…"]'
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a table", f"write it under {_table(path)}"
        case "greater_than_equal" | "less_than_equal":
            bound = " ".join(f"{'at least' if name == 'ge' else 'at most'} {n}" for name, n in detail["ctx"].items())
            return bound, f"write a number of {bound}"
        case "literal_error":
            choices = detail["ctx"]["expected"]
            return choices, did_you_mean(str(detail["input"]), re.findall(r"'([^']*)'", choices)) or f"write {choices}"
    return f"otherwise ({detail['msg']})", "mend it"


def _value(value: Any, key: str) -> str:
    """A value as it is shown in a message: short, as TOML writes it, and never a secret."""
    if key in _SECRETS or isinstance(value, SecretStr):
        return "not in quotes" if isinstance(value, int | float) else "something else"
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = clean_line(value)
            return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'
        case date() | time():
            return value.isoformat()
        case list():
            return "a list"
        case dict():
            return "a table"
    return str(value)


def _table(path: KeyPath) -> str:
    """How the table at this path is headed: `[smtp]`, `[[session.talk]]`."""
    name = ".".join(part for part in path if isinstance(part, str))
    if not path:
        return "the top of the file"
    return f"[[{name}]]" if isinstance(path[-1], int) else f"[{name}]"


def _where(path: KeyPath) -> str:
    return f"{'in' if path else 'at'} {_table(path)}"


def _unknown_advice(model: type[BaseModel], loc: KeyPath, at: KeyPath) -> str:
    """The known key that an unknown one looks like, or the table further up where it would be known."""
    *ancestors, (place, table) = _models_along(model, loc[:-1])
    word, keys = str(loc[-1]), table.model_fields
    for upper, ancestor in reversed(ancestors):
        if word in ancestor.model_fields:
            return f"it belongs to {_table((*at, *upper))}: write it above {_table((*at, *place))}"
    return did_you_mean(word, keys) or f"known here: {', '.join(sorted(keys))}"


def _models_along(model: type[BaseModel], loc: KeyPath) -> list[tuple[KeyPath, type[BaseModel]]]:
    """The models that lie on the way to this place in a model's tables, each with its own place."""
    chain: list[tuple[KeyPath, type[BaseModel]]] = [((), model)]
    for depth, part in enumerate(loc, start=1):
        current = chain[-1][1]
        if isinstance(part, str):
            chain.append((loc[:depth], next(_models_in(current.model_fields[part].annotation))))
        else:
            chain[-1] = (loc[:depth], current)
    return chain


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _without(tables: dict[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """A copy of the tables without the keys that these paths lead to or through."""
    out: dict[str, Any] = _copy(tables)
    for path in paths:
        node: Any = out
        holder, key = out, path[0]
        for part in path:
            try:
                inner = node[part]
            except (KeyError, IndexError, TypeError):
                break
            if isinstance(node, dict):
                holder, key = node, part
            node = inner
        holder.pop(str(key), None)
    return out


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(item) for item in node] if isinstance(node, list) else node
