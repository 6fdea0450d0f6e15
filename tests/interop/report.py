"""`python -m interop.report` → the part of docs/calendar-programs.md that is measured, from a run of every program."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samples import DAYS, HOURS

from interop import lint
from interop.feeds import BREAKS, BROKEN, GOOD, NOW, SERIES, SESSIONS, WHOLE, render
from interop.programs import ALL, PROGRAMS, Event, Reading, differences
from interop.shelf import Shelf, served
from interop.subscribers import SUBSCRIBERS, Subscriber
from notifier.talks import Seminar, Session, Status

PAGE = Path(__file__).parents[2] / "docs" / "calendar-programs.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

Readings = dict[str, dict[str, Reading]]


def main() -> None:
    """Runs everything and writes the page; names what is missing and writes nothing where not all is there."""
    programs = (*PROGRAMS, *SUBSCRIBERS)
    if missing := [program.is_missing for program in programs if program.is_missing]:
        sys.exit("\n".join(missing))
    readings: Readings = {}
    for program in programs:
        print(program.name, file=sys.stderr)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            readings[program.name] = program.read({**GOOD, **BROKEN}, Path(folder))
    measured = "\n".join((*_programs(programs, readings), *_faults(programs, readings), *_lives(SUBSCRIBERS)))
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}", encoding="utf-8")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') or '–' for cell in cells)} |"


def _table(*head: str) -> str:
    return f"{_row(*head)}\n{_row(*['---'] * len(head))}"


def _programs(programs: Iterable[Any], readings: Readings) -> Iterator[str]:
    yield f"## What each program shows\n\nRun on {datetime.now(UTC):%Y-%m-%d}. Forms of the feed: {', '.join(GOOD)}.\n"
    yield _table("program", "version", "known from", "forms shown as they are", "of an event it has no")
    for program in programs:
        found = readings[program.name]
        wrong = [name for name in GOOD if differences(program, lint.events(GOOD[name]), found[name])]
        forms = f"all but {', '.join(wrong)}" if wrong else f"all {len(GOOD)}"
        lacking = ", ".join(name for name in ALL if name not in program.shows)
        versions = re.findall(r"\d+(?:\.\w+)+", program.ask_version())
        yield _row(program.name, ", ".join(versions), program.who, forms, lacking)
    yield ""


def _faults(programs: Iterable[Any], readings: Readings) -> Iterator[str]:
    yield "## What each makes of a broken feed\n"
    yield _table(
        "the fault", "the lint says", "refuses it", "shows something else", "shows it as if nothing were wrong"
    )
    for name in BROKEN:
        verdicts: dict[str, list[str]] = {"refuses": [], "differs": [], "same": []}
        for program in programs:
            verdicts[_verdict(program, readings[program.name][name])].append(program.name)
        if len(verdicts["same"]) > len(readings) // 2:
            verdicts["same"] = ["all" if len(verdicts["same"]) == len(readings) else "all others"]
        yield _row(name, BREAKS[name].fault, *(", ".join(names) for names in verdicts.values()))
    yield ""


def _verdict(program: Any, reading: Reading) -> str:
    if reading.error or not reading.events:
        return "refuses"
    return "differs" if differences(program, lint.events(WHOLE), reading) else "same"


# -- Subscriptions


def _session(name: str) -> Session:
    return next(one for one in SESSIONS if one.id == name)


LATER = NOW + HOURS
MOVED = replace(
    _session("moved"),
    start=_session("moved").start + 7 * DAYS,
    end=_session("moved").end + 7 * DAYS,
    revision=_session("moved").revision + 1,
    modified=LATER,
)
CALLED_OFF = replace(_session("with-slots"), status=Status.CANCELLED, revision=1, modified=LATER)
ADDED = replace(MOVED, id="added", uid="added@seminar.example.org", start=MOVED.end, end=MOVED.end + HOURS)
STAYS = tuple(one for one in SESSIONS if one.id not in ("moved", "with-slots", "hostile"))
SECOND: Seminar = replace(SERIES, sessions=(*STAYS, MOVED, CALLED_OFF, ADDED))  # "hostile" was taken out


def _lives(subscribers: Iterable[Subscriber]) -> Iterator[str]:
    yield "## What a subscription shows after the next fetch\n"
    yield _table("program", "moved", "cancelled", "taken out", "added", "nothing new", "frozen ETag", "no new revision")
    for program in subscribers:
        print(f"{program.name}, again", file=sys.stderr)
        again = render(SECOND, at_least=100)
        before, after, answered = _fetched_twice(program, WHOLE, again)
        assert not differences(program, lint.events(WHOLE), before)
        renamed = again.replace(b"SUMMARY:", b"SUMMARY:Renamed! ")
        _, frozen, _ = _fetched_twice(program, WHOLE, again, frozen=("feed",))
        _, touched, _ = _fetched_twice(program, again, renamed)
        yield _row(
            program.name,
            _of(after.events, MOVED, "at the new time, once"),
            _of(after.events, CALLED_OFF, "stays, as cancelled"),
            "gone" if not any("Omar" in event["summary"] for event in after.events) else "stays",
            _of(after.events, ADDED, "there"),
            "asks, and is answered 304" if answered else "fetches all of it",
            "never learns" if frozen == before else "learns all the same",
            "never learns" if touched == after else "learns all the same",
        )
    yield ""


def _fetched_twice(
    program: Subscriber, first: bytes, second: bytes, *, frozen: Container[str] = ()
) -> tuple[Reading, Reading, int]:
    """What it shows after the first fetch and after the second, and how often a third was answered 304."""
    shelf = Shelf({"feed": first}, frozen=frozen)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        served(shelf),
        program.open(shelf.urls(), Path(folder)) as subscriptions,
    ):
        before = subscriptions.refresh()["feed"]
        shelf.put("feed", second)
        after = subscriptions.refresh()["feed"]
        shelf.answered.clear()
        subscriptions.refresh()
    return before, after, shelf.answered[304]


def _of(events: Iterable[Event], session: Session, right: str) -> str:
    """`right`, where the session is there once, at its time and in its state."""
    url = f"/sessions/{session.id}"
    found = [(event["start"], event["status"]) for event in events if event["url"].endswith(url)]
    expected = (f"{session.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", session.status.upper())
    return right if found == [expected] else f"WRONG: {found}"


if __name__ == "__main__":
    main()
