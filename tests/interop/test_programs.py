"""What real programs, far from the seminar, make of the feed: the same hours, words and links; and of broken feeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from interop import lint
from interop.conftest import ALL_OF_THEM
from interop.feeds import BROKEN, GOOD, WHOLE
from interop.programs import PROGRAMS, differences

pytestmark = pytest.mark.interop

every_program = pytest.mark.parametrize("program", ALL_OF_THEM, ids=[program.name for program in ALL_OF_THEM])


@every_program
@pytest.mark.parametrize("name", GOOD)
def test_a_program_shows_every_session_as_it_is(program: Any, name: str, readings: Any):
    assert differences(program, lint.events(GOOD[name]), readings(program)[name]) == []


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if p.name in ("libical", "sabre/vobject")], ids=lambda p: p.name
)
@pytest.mark.parametrize("name", GOOD)
def test_a_program_that_checks_calendars_has_no_complaint(program: Any, name: str, readings: Any):
    assert readings(program)[name].complaints == ()


EVERYONE = {program.name for program in ALL_OF_THEM}
NOBODY: set[str] = set()
BY_OFFSET = {"ical.js", "ts-ics", "libical", "KCalendarCore", "Ruby icalendar", "Emacs", "Thunderbird"}
# Who is known to notice, so that it cannot be that nobody looks; what all of them tolerate, the lint alone sees.
NOTICED_BY = {
    "line feeds only": NOBODY,
    "folded inside a character": {
        "icalendar",
        "ical",
        "ics",
        "vobject",
        "ical.js",
        "node-ical",
        "ts-ics",
        "Thunderbird",
    }
    | {"khal with vdirsyncer"},
    "not folded": NOBODY,
    "no DTSTAMP": NOBODY,
    "no UID": EVERYONE - {"calcurse", "khal with vdirsyncer"},
    "the same UID twice": EVERYONE - {"calcurse"},
    "a wrong offset": BY_OFFSET - {"KCalendarCore"},
    "no VTIMEZONE": {"ical.js", "Ruby icalendar", "Emacs"},
    "floating times": EVERYONE - {"recurring-ical-events", "node-ical"},
    "commas as they are": {"vobject", "calcurse"},
    "line breaks as they are": EVERYONE,
    "a control character": EVERYONE,
    "an event without its END": EVERYONE,
    "cut off": EVERYONE,
    "no VERSION": {"icalendar", "KCalendarCore", "calcurse"},
    "a status of its own": EVERYONE - {"calcurse"},
    "a time that is none": EVERYONE,
    "REFRESH-INTERVAL of no type": NOBODY,
}


@every_program
@pytest.mark.parametrize("name", BROKEN)
def test_a_program_notices_a_broken_feed(program: Any, name: str, readings: Any):
    found = differences(program, lint.events(WHOLE), readings(program)[name])
    if program.name in NOTICED_BY[name]:
        assert found


def test_of_every_fault_it_is_known_who_notices():
    assert set(NOTICED_BY) == set(BROKEN)


@pytest.mark.checkout
def test_the_page_tells_of_every_program_form_and_fault():
    page = (Path(__file__).parents[2] / "docs" / "calendar-programs.md").read_text(encoding="utf-8")
    measured = page.partition("<!-- measured: begin -->")[2].partition("<!-- measured: end -->")[0]
    firsts = re.findall(r"^\| ([^|]+) \|", measured, re.MULTILINE)
    assert EVERYONE | set(BROKEN) <= set(firsts)
    assert f"Forms of the feed: {', '.join(GOOD)}." in measured
    assert "WRONG" not in measured
