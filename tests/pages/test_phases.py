"""Where a session stands in its life, and when that changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from samples import DAYS, START, session

from notifier.pages.phases import Phase, phase, turns

END = START + timedelta(hours=2)
JUST_BEFORE = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("at", "before", "after"),
    [
        (START - timedelta(minutes=30), Phase.AHEAD, Phase.OPEN),
        (START, Phase.OPEN, Phase.ON),
        (END, Phase.ON, Phase.FRESH),
        (END + 30 * DAYS, Phase.FRESH, Phase.OVER),
    ],
)
def test_a_session_comes_into_a_phase_at_its_turn(at, before, after):
    assert (phase(session(), at - JUST_BEFORE), phase(session(), at)) == (before, after)
    assert (at, after) in turns(session())


def test_a_session_is_over_from_its_end_on():
    assert [phase.is_over for phase in Phase] == [False, False, False, True, True]
