"""JSON or YAML → records that know their lines; in YAML all that is written stays text: NO, 9:30 and 007, too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from notifier.errors import Problem, TalkListError

_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*(?:\{\s*["}]|\]\s*$))')
# The first line that says something is a key, or the key of a list's first record. TOML has `=` and `[` there.
_YAML = re.compile(r"(?:[^\S\n]*(?:#[^\n]*|---[^\n]*|%[^\n]*)?\n)*(?:-\s+)?['\"]?[^\W\d][^:=\n\[\]|]{0,60}:(?:\s|$)")
_EMPTY = frozenset({"", "~", "null", "Null", "NULL"})
_MOST_VALUES = 500_000  # an alias of an alias of an alias would fill the memory
_DEEPEST = 100
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Record(dict[str, Any]):
    """A mapping that knows in which line it begins, and each of its keys."""

    line: int | None = None
    lines: dict[str, int]

    def line_of(self, key: str) -> int | None:
        """The line of this key, else of the record."""
        return getattr(self, "lines", {}).get(key, self.line)

    def without(self, key: str) -> Record:
        """The record without this key."""
        rest = Record({name: value for name, value in self.items() if name != key})
        rest.line, rest.lines = self.line, getattr(self, "lines", {})
        return rest


def looks_like_records(text: str, lists: Iterable[str]) -> bool:
    """Whether the text begins as JSON does, or is YAML that holds records, be it broken further down."""
    if _JSON.match(text):
        return True
    if not _YAML.match(text):
        return False
    try:
        document, _ = parse(text)
    except TalkListError:
        names = "|".join(map(re.escape, lists))
        return re.search(rf"^(?:{names}):[^\S\n]*(?:#[^\n]*)?\n(?:[^\S\n]*\n)*\s*- ", text, re.MULTILINE) is not None
    return any(isinstance(one, Record) for found in _lists(document, lists) for one in found)


def _lists(document: Any, names: Iterable[str]) -> Iterator[list[Any]]:
    if isinstance(document, list):
        # `- Title: …` lines below each other are a page's list of fields, not records of one key each.
        yield [one for one in document if isinstance(one, Record) and len(one) > 1]
    elif isinstance(document, Record):
        yield from (document[name] for name in names if isinstance(document.get(name), list))


def parse(text: str) -> tuple[Any, list[Problem]]:
    """The document and what is doubtful in it. Raises TalkListError where it is broken."""
    try:
        return _from_json(text) if _JSON.match(text) else _from_yaml(text)
    except RecursionError as error:
        raise TalkListError(Problem("the values are nested too deeply", "write them flat")) from error


def _from_json(text: str) -> tuple[Any, list[Problem]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise TalkListError(
            Problem(f"this is no JSON: {error.msg}", "mend it here", "", error.lineno, error.colno)
        ) from error
    except ValueError as error:
        raise TalkListError(Problem(f"this is no JSON: {error}", "mend it")) from error
    try:
        node = _compose(text).get_single_node()
    except (yaml.YAMLError, ValueError):
        node = None
    return _with_lines(document, node), []


def _compose(text: str) -> Any:
    """A loader for a text that is not nested too deeply: the C library would take the whole process with it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError
    return _Loader(text)


def _with_lines(value: Any, node: Any) -> Any:
    """The value with the lines of the node, which is the same document as YAML sees it."""
    if isinstance(value, list):
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [None] * len(value)
        return [_with_lines(one, below) for one, below in zip(value, nodes, strict=True)]
    if not isinstance(value, dict):
        return value
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    below = {key.value: (key, child) for key, child in pairs}
    record = Record({key: _with_lines(one, below.get(key, (None, None))[1]) for key, one in value.items()})
    record.line = node.start_mark.line + 1 if node else None
    record.lines = {key: found.start_mark.line + 1 for key, (found, _) in below.items()}
    return record


def _from_yaml(text: str) -> tuple[Any, list[Problem]]:
    try:
        loader = _compose(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        told = getattr(error, "problem", None) or "it holds a character that YAML does not allow"
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise TalkListError(Problem(f"this is no YAML: {told}", "mend it here", "", *place)) from error
    tree = _Tree(loader)
    return tree.value(node), tree.problems


class _Tree:
    def __init__(self, loader: Any) -> None:
        self.problems: list[Problem] = []
        self._loader = loader
        self._count = 0

    def value(self, node: Any) -> Any:
        """The node as records, lists and texts."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise TalkListError(Problem(f"the text holds more than {_MOST_VALUES} values", "drop its aliases"))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one) for one in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._record(node)
        return None if node is None or (not node.style and node.value in _EMPTY) else node.value

    def _record(self, node: Any) -> Record:
        self._merge(node)
        record = Record()
        record.line, record.lines = node.start_mark.line + 1, {}
        for key_node, child in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in record.lines and record.lines[key] >= record.line:
                told = f'"{key}" stands twice in one record: the later is read'
                self.problems.append(Problem(told, "drop one of the two", line=line))
            record[key], record.lines[key] = self.value(child), line
        return record

    def _merge(self, node: Any) -> None:
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError as error:
            raise TalkListError(Problem(f"this is no YAML: {error}", line=node.start_mark.line + 1)) from error
