"""What was due and never settled is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from samples import DAYS, HOURS, LONG_AGO, START, seminar, session

from notifier.notices import Facts, Kind, Rules, Settled, Verdict
from notifier.proofs import unsettled
from notifier.talks import Session, Status

RULES = Rules()
BEGUN = START - 20 * DAYS
MINUTE = timedelta(minutes=1)


def facts(*rules: str, verdict: Verdict = Verdict.OPEN, **more: object) -> Facts:
    """That these rules were settled of the session of 2021-11-27."""
    settled = tuple(Settled(Kind(rule.split("-")[0]), rule, 0, verdict, BEGUN, 3) for rule in rules)
    given = {"baseline": BEGUN, "settled": {"2021-11-27": settled} if settled else {}, **more}
    return Facts(**given)  # type: ignore[arg-type]


def missing(facts: Facts, until, one: Session | None = None) -> list[tuple[str, Verdict]]:  # type: ignore[no-untyped-def]
    return [(d.notice.rule, d.verdict) for d in unsettled(seminar(one or session()), RULES, facts, until)]


def test_nothing_is_missing_before_it_is_due() -> None:
    assert missing(facts(), START - 8 * DAYS) == []
    assert missing(facts("announcement"), START - DAYS - MINUTE) == []


def test_what_was_due_and_is_in_no_entry_is_missing() -> None:
    assert missing(facts("announcement"), START - DAYS) == [("reminder-1d", Verdict.OPEN)]
    assert missing(facts("announcement"), START) == [("reminder-1d", Verdict.EXPIRED), ("reminder-1h", Verdict.EXPIRED)]
    assert missing(facts("announcement", "reminder-1d"), START + 300 * DAYS) == [("reminder-1h", Verdict.EXPIRED)]


def test_of_a_lead_time_that_is_new_nothing_is_missing() -> None:
    chosen = facts("announcement", "reminder-1d", "reminder-1h", leads=frozenset({2 * HOURS}))
    assert missing(chosen, START + DAYS) == [("reminder-2h", Verdict.EXPIRED)]
    assert missing(replace(chosen, rules={"reminder-2h": START}), START + DAYS) == []


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.WAITING, Verdict.DONE)])
def test_what_was_settled_is_not_missing_whatever_became_of_it(verdict: Verdict) -> None:
    assert missing(facts("announcement", "reminder-1d", "reminder-1h", verdict=verdict), START) == []


@pytest.mark.parametrize(
    "one",
    [
        session(status=Status.CANCELLED),
        session(BEGUN - DAYS, end=BEGUN - DAYS + 2 * HOURS),
        session(created=START + 31 * DAYS, modified=START + 31 * DAYS),
        session(modified=START + 31 * DAYS),
    ],
    ids=["cancelled", "before the first start", "listed long after", "edited long after"],
)
def test_what_has_a_reason_or_cannot_be_known_is_not_missing(one: Session) -> None:
    assert missing(facts(), START + 100 * DAYS, one) == []


def test_a_session_that_was_edited_since_the_last_look_is_not_judged_yet() -> None:
    until = START - DAYS
    assert missing(facts("announcement"), until, session(modified=until + MINUTE)) == []
    assert missing(facts("announcement"), until, session(modified=until)) == [("reminder-1d", Verdict.OPEN)]


def test_a_rule_that_was_added_later_leaves_no_gap_behind_it() -> None:
    later = facts("announcement", "reminder-1d", rules={"reminder-1h": START + 40 * DAYS})
    assert missing(later, START + 50 * DAYS) == []


def test_a_lead_time_that_somebody_chose_since_is_asked_of_no_session_long_past() -> None:
    done = ("announcement", "reminder-1d", "reminder-1h")
    chosen = replace(facts(*done), leads=frozenset({3 * HOURS}))
    assert missing(chosen, START + DAYS) == [("reminder-3h", Verdict.EXPIRED)]
    assert missing(chosen, START + 50 * DAYS) == []


def test_a_change_that_was_never_told_is_missing() -> None:
    known = session(created=LONG_AGO, modified=LONG_AGO)
    moved = session(START + 3 * HOURS, modified=START - 2 * HOURS)
    told = replace(facts("announcement", "reminder-1d"), told={"2021-11-27": known})
    found = missing(told, START - HOURS, moved)
    assert ("change-1", Verdict.OPEN) in found
