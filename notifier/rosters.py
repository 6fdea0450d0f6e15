"""Subscribers ↔ CSV: bad lines by number, and an import that says nothing of what it does not name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from notifier.errors import AddressError, Problem
from notifier.subscribers import COLUMNS, State, Subscriber, comparable, subscriber, written

_HEADINGS = {
    "email": "address",
    "e-mail": "address",
    "mail": "address",
    "邮箱": "address",
    "姓名": "name",
    "lang": "language",
}


def read_csv(
    text: str, known: Mapping[str, Subscriber] = MappingProxyType({}), home: str = "UTC"
) -> Iterator[tuple[int, Subscriber | AddressError]]:
    """Each row's line number with its subscriber, or with what is wrong with it.

    The first row names the columns (`COLUMNS`, in any order, others are passed over); where it holds an address
    instead, the rows are addresses and names. `known` has subscribers by their comparable addresses: what the columns
    leave unsaid of them stays, and a list that somebody kept never brings back who left or is blocked. `home` is the
    seminar's zone.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    columns: tuple[str, ...] = ()
    first_lines: dict[str, int] = {}
    line = 1
    for row in rows:
        first_line, line = line, rows.line_num + 1
        if not any(cell.strip() for cell in row):
            continue
        if not columns:
            names = tuple(_HEADINGS.get(cell.strip().lower(), cell.strip().lower()) for cell in row)
            columns = names if "address" in names else COLUMNS[:2]
            if "address" in names:
                continue
        try:
            one = _read(dict(zip(columns, row, strict=False)), known, home)
            earlier = first_lines.setdefault(comparable(one.address), first_line)
            if earlier != first_line:
                raise AddressError(Problem(f"'{one.address}' stands in line {earlier} already", "drop one of them"))
            yield first_line, one
        except AddressError as error:
            yield first_line, error


def _read(row: Mapping[str, str], known: Mapping[str, Subscriber], home: str) -> Subscriber:
    one = subscriber(row, home)
    before = known.get(comparable(one.address))
    if before is None:
        return one
    if before.state in (State.UNSUBSCRIBED, State.BLOCKED) and one.state != before.state and row.get("state"):
        raise AddressError(
            Problem(f"'{one.address}' is {before.state} and stays so", "add them by hand should they want to return")
        )
    return subscriber({**written(before), **row, "state": row.get("state") or before.state}, home)


def write_csv(subscribers: Iterable[Subscriber]) -> Iterator[str]:
    """The lines of a CSV text with `COLUMNS` that `read_csv` reads back."""
    yield _line(COLUMNS)
    for one in subscribers:
        values = written(one)
        yield _line(values[name] for name in COLUMNS)


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
