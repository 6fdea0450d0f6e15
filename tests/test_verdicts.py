from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from samples import DAYS, HOURS, LONG_AGO, ROOM, SHANGHAI, START, TALKS, seminar, session

from notifier.bulletins import Bulletin
from notifier.notices import Decision, Facts, Kind, Notice, Recipients, Rules, Settled, Verdict
from notifier.talks import Link, Room, Session, Speaker, Status, Talk
from notifier.verdicts import (
    CLOSED_DOOR,
    HEAD_START,
    LOOK_BACK,
    REPLAY_WITHIN,
    decide,
    is_stale,
    lateness_allowed,
    needed_head_starts,
    next_due,
    rule_names,
)

RULES = Rules()
FACTS = Facts(baseline=LONG_AGO)
MINUTES = timedelta(minutes=1)


def opened(rule: str, kind: Kind = Kind.REMINDER, *, generation: int = 0, at: datetime = START - DAYS) -> Settled:
    return Settled(kind, rule, generation, Verdict.OPEN, at, reached=3)


def verdicts(now: datetime, facts: Facts = FACTS, *sessions: Session, rules: Rules = RULES) -> dict[str, Verdict]:
    return {d.notice.rule: d.verdict for d in decide(seminar(*sessions), rules, facts, now)}


def only(decisions: tuple[Decision, ...], verdict: Verdict) -> Decision:
    (found,) = [d for d in decisions if d.verdict is verdict]
    return found


def test_notices_fall_due_before_the_session() -> None:
    due = {d.notice.rule: d.notice.due for d in decide(seminar(), RULES, FACTS, START - 30 * DAYS)}
    assert due == {
        "announcement": datetime(2021, 11, 20, 1, 0, tzinfo=UTC),
        "reminder-1d": START - DAYS,
        "reminder-1h": START - HOURS,
    }


@pytest.mark.parametrize(
    ("before", "rule"), [(7 * DAYS, "announcement"), (DAYS, "reminder-1d"), (HOURS, "reminder-1h")]
)
def test_a_notice_opens_at_its_due_instant_and_not_a_second_before(before: timedelta, rule: str) -> None:
    done = tuple(opened(name) for name in rule_names(RULES) if name != rule)
    facts = Facts(LONG_AGO, settled={"2021-11-27": done})
    due = next(d.notice.due for d in decide(seminar(), RULES, facts, START - 9 * DAYS) if d.notice.rule == rule)
    assert verdicts(due - timedelta(seconds=1), facts)[rule] is Verdict.WAITING
    assert verdicts(due, facts)[rule] is Verdict.OPEN


def test_a_day_before_is_a_day_of_time_across_a_change_of_clocks() -> None:
    from zoneinfo import ZoneInfo

    start = datetime(2021, 11, 7, 9, 30, tzinfo=ZoneInfo("America/New_York"))
    (decision,) = [
        d
        for d in decide(seminar(session(start, timezone="America/New_York")), RULES, FACTS, start - 9 * DAYS)
        if d.notice.rule == "reminder-1d"
    ]
    assert start.astimezone(UTC) - decision.notice.due == DAYS


def test_decisions_come_in_the_order_of_their_time() -> None:
    later = session(START + HOURS, id="later")
    due = [d.notice.due for d in decide(seminar(later, session()), RULES, FACTS, START - 9 * DAYS)]
    assert due == sorted(due)
    assert len(due) == 6


def test_nothing_is_decided_of_what_is_long_past_or_was_before_the_first_start() -> None:
    end = START + 2 * HOURS
    assert verdicts(end + LOOK_BACK - MINUTES) != {}
    assert verdicts(end + LOOK_BACK) == {}
    assert verdicts(START - HOURS, Facts(START - MINUTES)) != {}
    assert verdicts(START - HOURS, Facts(START)) == {}


def test_every_rule_has_a_name() -> None:
    assert rule_names(RULES) == ("announcement", "reminder-1d", "reminder-1h", "replay")
    assert rule_names(Rules(announcement=None, reminders=(HOURS,), replay=None)) == ("reminder-1h",)


def test_no_announcement_is_due_where_there_is_no_rule_for_one() -> None:
    assert set(verdicts(START - 9 * DAYS, rules=Rules(announcement=None))) == {"reminder-1d", "reminder-1h"}


def test_a_settled_notice_never_opens_again() -> None:
    facts = Facts(LONG_AGO, settled={"2021-11-27": (opened("reminder-1d"),)})
    assert verdicts(START - 23 * HOURS, facts)["reminder-1d"] is Verdict.DONE


def test_why_a_notice_was_settled_without_opening_is_said() -> None:
    settled = (opened("reminder-1h"), Settled(Kind.REMINDER, "reminder-1d", 0, Verdict.EXPIRED, START, 0, "too late"))
    decisions = decide(seminar(), RULES, Facts(LONG_AGO, settled={"2021-11-27": settled}), START)
    reasons = {d.notice.rule: d.reason for d in decisions if d.verdict is Verdict.DONE}
    assert reasons == {"reminder-1h": "", "reminder-1d": "expired: too late"}


@pytest.mark.parametrize(
    ("lead", "late"), [(7 * DAYS, 24 * HOURS), (DAYS, 8 * HOURS), (HOURS, 40 * MINUTES), (15 * MINUTES, 10 * MINUTES)]
)
def test_lateness_grows_with_the_lead(lead: timedelta, late: timedelta) -> None:
    assert lateness_allowed(lead) == late


def test_after_a_pause_only_the_latest_notice_opens_and_reaches_everyone() -> None:
    rules = Rules(announcement=None, reminders=(3 * HOURS, HOURS))
    facts = Facts(LONG_AGO, leads=frozenset({2 * HOURS}))
    decisions = decide(seminar(), rules, facts, START - 50 * MINUTES)
    assert {d.notice.rule: d.verdict for d in decisions} == {
        "reminder-3h": Verdict.EXPIRED,
        "reminder-2h": Verdict.SUPERSEDED,
        "reminder-1h": Verdict.OPEN,
    }
    assert only(decisions, Verdict.OPEN).notice.recipients == Recipients(
        leads=frozenset({HOURS, 2 * HOURS}), by_default=True
    )


def test_of_many_that_are_due_the_one_that_was_due_last_opens() -> None:
    leads = frozenset((70 + n) * MINUTES for n in range(14))
    decisions = decide(seminar(), Rules(announcement=None, reminders=()), Facts(LONG_AGO, leads=leads), START - HOURS)
    assert only(decisions, Verdict.OPEN).notice.rule == "reminder-1h10m"
    assert len([d for d in decisions if d.verdict is Verdict.SUPERSEDED]) == 13


def test_nothing_opens_in_the_last_five_minutes() -> None:
    facts = Facts(LONG_AGO, leads=frozenset({10 * MINUTES}))
    assert verdicts(START - 5 * MINUTES, facts)["reminder-10m"] is Verdict.EXPIRED
    assert verdicts(START - 6 * MINUTES, facts)["reminder-10m"] is Verdict.OPEN


def test_what_was_due_before_the_first_start_is_skipped() -> None:
    facts = Facts(baseline=START - 2 * HOURS)
    old = session(created=START - 2 * HOURS, modified=START - 2 * HOURS)
    assert verdicts(START - 2 * HOURS, facts, old) == {
        "announcement": Verdict.SKIPPED,
        "reminder-1d": Verdict.SKIPPED,
        "reminder-1h": Verdict.WAITING,
    }


def test_a_session_added_after_the_first_start_is_told_of_though_that_was_due_before_it() -> None:
    first_start, added = START - 23 * HOURS, START - 22 * HOURS
    new = session(created=added, modified=added)
    assert verdicts(added, Facts(first_start), new)["reminder-1d"] is Verdict.OPEN


def test_what_is_due_in_the_moment_of_the_first_start_is_sent() -> None:
    facts = Facts(baseline=START - DAYS)
    assert verdicts(START - DAYS, facts, session(created=START - DAYS, modified=START - DAYS)) == {
        "announcement": Verdict.SKIPPED,
        "reminder-1d": Verdict.OPEN,
        "reminder-1h": Verdict.WAITING,
    }


def test_a_session_added_20_hours_before_is_told_of_at_once() -> None:
    added = START - 20 * HOURS
    decisions = decide(seminar(session(created=added, modified=added)), RULES, FACTS, added)
    assert only(decisions, Verdict.OPEN).notice.rule == "reminder-1d"


def test_a_rule_added_after_it_was_due_sends_nothing() -> None:
    facts = Facts(LONG_AGO, rules={"reminder-1d": START - 20 * HOURS})
    assert verdicts(START - 20 * HOURS, facts)["reminder-1d"] is Verdict.SKIPPED
    at_its_time = Facts(LONG_AGO, rules={"reminder-1d": START - DAYS})
    assert verdicts(START - 20 * HOURS, at_its_time)["reminder-1d"] is Verdict.OPEN
    added_since = session(created=START - 19 * HOURS, modified=START - 19 * HOURS)
    assert verdicts(START - 19 * HOURS, facts, added_since)["reminder-1d"] is Verdict.OPEN


def test_an_announcement_waits_for_a_title_up_to_the_reminder() -> None:
    bare = session(talks=(Talk(speakers=(Speaker("王宇航"),)),))
    assert verdicts(START - 3 * DAYS, FACTS, bare)["announcement"] is Verdict.WAITING
    assert verdicts(START - DAYS, FACTS, bare)["announcement"] is Verdict.SKIPPED
    filled = session(modified=START - 3 * DAYS)
    assert verdicts(START - 3 * DAYS, FACTS, filled)["announcement"] is Verdict.OPEN


def test_one_talk_with_title_and_speaker_is_enough_to_announce() -> None:
    assert (
        verdicts(START - 3 * DAYS, FACTS, session(talks=(Talk(), TALKS[0]), modified=START - 3 * DAYS))["announcement"]
        is Verdict.OPEN
    )
    for bare in (Talk(title="冷冻电镜原理及相关算法"), Talk(speakers=TALKS[0].speakers)):
        assert verdicts(START - 3 * DAYS, FACTS, session(talks=(bare,)))["announcement"] is Verdict.WAITING


def test_a_reminder_goes_out_also_where_no_talk_has_a_title() -> None:
    assert verdicts(START - DAYS, FACTS, session(talks=()))["reminder-1d"] is Verdict.OPEN


@pytest.mark.parametrize("talks", [TALKS, ()], ids=["announceable", "bare"])
def test_an_announcement_ends_where_the_reminder_begins_or_the_doors_close(talks: tuple[Talk, ...]) -> None:
    rules = Rules(reminders=())
    added = START - 3 * HOURS
    late = session(created=added, modified=added, talks=talks)
    (decision,) = decide(seminar(late), rules, FACTS, added)
    assert decision.notice.deadline == START - CLOSED_DOOR
    assert verdicts(added, rules=rules)["announcement"] is Verdict.EXPIRED


def test_a_cancelled_session_reminds_nobody() -> None:
    cancelled = session(status=Status.CANCELLED)
    assert set(verdicts(START - HOURS, FACTS, cancelled).values()) == {Verdict.DONE}


def told(before: Session, *more: Settled) -> Facts:
    return Facts(LONG_AGO, settled={"2021-11-27": (opened("reminder-1d"), *more)}, told={"2021-11-27": before})


def test_a_move_is_told_after_the_settle_time_and_makes_reminders_due_again() -> None:
    edited = START - 20 * HOURS
    moved = session(START + 7 * DAYS, modified=edited)
    facts = told(session())
    assert verdicts(edited + 9 * MINUTES, facts, moved)["change-1"] is Verdict.WAITING
    decisions = decide(seminar(moved), RULES, facts, edited + 10 * MINUTES)
    change = only(decisions, Verdict.OPEN)
    assert (change.notice.kind, change.notice.generation, change.before) == (Kind.CHANGE, 1, session())
    waiting = {(d.notice.rule, d.notice.generation) for d in decisions if d.verdict is Verdict.WAITING}
    assert waiting == {("reminder-1d", 1), ("reminder-1h", 1), ("announcement", 1)} - {
        (d.notice.rule, 1) for d in decisions if d.verdict is Verdict.SUPERSEDED
    }


def test_while_a_change_waits_for_further_edits_no_reminder_opens() -> None:
    edited = START - DAYS - 5 * MINUTES
    other_room = session(room=Room(url="https://meeting.tencent.com/dm/another"), modified=edited)
    facts = Facts(
        LONG_AGO,
        settled={"2021-11-27": (opened("reminder-2d", at=START - 2 * DAYS),)},
        told={"2021-11-27": session()},
    )
    decisions = {d.notice.rule: d for d in decide(seminar(other_room), RULES, facts, START - DAYS)}
    assert (decisions["change-1"].verdict, decisions["change-1"].reason) == (
        Verdict.WAITING,
        "further edits may follow",
    )
    assert (decisions["reminder-1d"].verdict, decisions["reminder-1d"].reason) == (
        Verdict.WAITING,
        "a change of this session is told first",
    )


def test_only_a_new_time_makes_reminders_due_again() -> None:
    """Generations count the changes of time, also where more has changed with it."""
    other_room = Room(url="https://meeting.tencent.com/dm/another")
    edited = START - 20 * HOURS
    in_force = told(session(), opened("reminder-1d", generation=2))
    for edit, generation in (
        (session(room=other_room, modified=edited), 2),
        (session(START + DAYS, room=other_room, modified=edited), 3),
    ):
        decisions = decide(seminar(edit), RULES, in_force, edited + 10 * MINUTES)
        assert only(decisions, Verdict.OPEN).notice.generation == generation


def test_once_a_move_is_told_the_reminders_are_those_of_the_new_time() -> None:
    settled = (opened("change-1", Kind.CHANGE, generation=1), opened("reminder-1d"))
    moved = session(START + DAYS, modified=START - 20 * HOURS)
    facts = Facts(LONG_AGO, settled={"2021-11-27": settled}, told={"2021-11-27": moved})
    assert only(decide(seminar(moved), RULES, facts, START), Verdict.OPEN).notice.key == (
        "2021-11-27",
        "reminder-1d",
        1,
    )


def test_a_change_replaces_no_reminder_that_has_been_sent() -> None:
    edited = START - 20 * HOURS
    other_room = session(room=Room(url="https://meeting.tencent.com/dm/another"), modified=edited)
    found = verdicts(edited + 10 * MINUTES, told(session()), other_room)
    assert (found["change-1"], found["reminder-1d"]) == (Verdict.OPEN, Verdict.DONE)


def test_a_change_is_news_until_the_later_of_both_ends_and_urgent_by_the_earlier_start() -> None:
    edited = START - 30 * MINUTES
    for before, after in ((session(), session(START + DAYS)), (session(START + DAYS), session())):
        change = next(
            d
            for d in decide(seminar(replace(after, modified=edited)), RULES, told(before), edited)
            if d.notice.kind is Kind.CHANGE
        )
        assert (change.verdict, change.notice.deadline) == (Verdict.OPEN, START + DAYS + 2 * HOURS)


def test_a_change_takes_the_place_of_a_reminder_that_is_already_due() -> None:
    edited = START - 20 * HOURS
    nearer = session(START - 19 * HOURS, modified=edited)
    decisions = decide(seminar(nearer), RULES, told(session()), edited + 10 * MINUTES)
    change = only(decisions, Verdict.OPEN).notice
    superseded = {d.notice.rule for d in decisions if d.verdict is Verdict.SUPERSEDED}
    assert superseded == {"announcement", "reminder-1d", "reminder-1h"}
    assert change.recipients == Recipients(everyone=True, leads=frozenset({HOURS}), by_default=True, told=True)


def test_a_change_close_to_the_start_does_not_wait() -> None:
    edited = START - 20 * MINUTES
    other_room = session(room=Room(url="https://meeting.tencent.com/dm/another"), modified=edited)
    decisions = decide(seminar(other_room), RULES, told(session()), edited)
    assert only(decisions, Verdict.OPEN).notice.rule == "change-1"


CAREFUL = Rules(approve_above=2)


def test_a_change_for_many_waits_for_a_person_and_then_goes_out_by_itself() -> None:
    """`told` has three people who were reached."""
    edited = START - 20 * HOURS
    moved = session(START + 7 * DAYS, modified=edited)
    waiting = decide(seminar(moved), CAREFUL, told(session()), edited + 10 * MINUTES)
    (change,) = [d for d in waiting if d.needs_approval]
    assert (change.verdict, change.notice.due) == (Verdict.WAITING, edited + 40 * MINUTES)
    assert verdicts(edited + 40 * MINUTES, told(session()), moved, rules=CAREFUL)["change-1"] is Verdict.OPEN
    for_few = Rules(approve_above=3)
    assert verdicts(edited + 10 * MINUTES, told(session()), moved, rules=for_few)["change-1"] is Verdict.OPEN


def test_a_word_lets_a_change_out_unless_the_list_was_edited_since() -> None:
    edited = START - 20 * HOURS
    key = ("2021-11-27", "change-1", 1)
    approved = replace(told(session()), approved={key: edited + MINUTES})
    moved = session(START + 7 * DAYS, modified=edited)
    assert verdicts(edited + 9 * MINUTES, approved, moved, rules=CAREFUL)["change-1"] is Verdict.WAITING
    assert verdicts(edited + 10 * MINUTES, approved, moved, rules=CAREFUL)["change-1"] is Verdict.OPEN
    again = replace(moved, modified=edited + 2 * MINUTES)
    assert verdicts(edited + 15 * MINUTES, approved, again, rules=CAREFUL)["change-1"] is Verdict.WAITING
    reframed = replace(again, edited=edited)  # by new settings, of which nobody is told
    assert verdicts(edited + 10 * MINUTES, approved, reframed, rules=CAREFUL)["change-1"] is Verdict.OPEN


def test_no_change_waits_for_a_person_where_none_is_asked_for() -> None:
    edited = START - 20 * HOURS
    moved = session(START + 7 * DAYS, modified=edited)
    assert verdicts(edited + 10 * MINUTES, told(session()), moved, rules=Rules(approve_above=0))["change-1"] is (
        Verdict.OPEN
    )


def test_for_how_many_a_change_is_is_the_most_who_were_ever_told() -> None:
    edited = START - 20 * HOURS
    moved = session(START + 7 * DAYS, modified=edited)
    facts = told(session(), replace(opened("reminder-1h"), reached=0))
    (change,) = [d for d in decide(seminar(moved), CAREFUL, facts, edited + 10 * MINUTES) if d.needs_approval]
    assert "about 3 people" in change.reason


def test_no_change_waits_for_a_person_until_the_session_begins() -> None:
    edited = START - 35 * MINUTES
    other_room = session(room=Room(url="https://meeting.tencent.com/dm/another"), modified=edited)
    decisions = decide(seminar(other_room), CAREFUL, told(session()), edited + 5 * MINUTES)
    assert only(decisions, Verdict.OPEN).notice.rule == "change-1"


def test_there_and_back_within_the_settle_time_is_no_change() -> None:
    assert "change-1" not in verdicts(START - 20 * HOURS, told(session()), session(modified=START - 20 * HOURS))


def test_a_cancellation_has_its_own_kind_and_goes_to_those_who_were_told() -> None:
    edited = START - 20 * HOURS
    cancelled = session(status=Status.CANCELLED, modified=edited)
    change = only(decide(seminar(cancelled), RULES, told(session()), START - 19 * HOURS), Verdict.OPEN)
    assert (change.notice.kind, change.notice.rule) == (Kind.CANCELLED, "cancelled-1")
    assert change.notice.recipients == Recipients(told=True)


def test_cancelled_and_back_again_is_a_change_and_reminds_anew() -> None:
    before = session(status=Status.CANCELLED)
    facts = told(before, opened("cancelled-1", Kind.CANCELLED, generation=1, at=START - 20 * HOURS))
    back = session(modified=START - 10 * HOURS)
    decisions = decide(seminar(back), RULES, facts, START - 9 * HOURS)
    assert only(decisions, Verdict.OPEN).notice.rule == "change-2"
    assert only(decisions, Verdict.WAITING).notice.key == ("2021-11-27", "reminder-1h", 2)


def test_what_is_edited_in_a_session_that_people_know_to_be_off_is_told_only_when_it_is_back() -> None:
    """Else a "[Moved]" with links to join would call them to what does not take place."""
    off = session(status=Status.CANCELLED)
    facts = told(off, opened("cancelled-1", Kind.CANCELLED, generation=1, at=START - 20 * HOURS))
    moved = session(START + DAYS, status=Status.CANCELLED, modified=START - 10 * HOURS)
    assert set(verdicts(START - 9 * HOURS, facts, moved).values()) == {Verdict.DONE}
    assert not is_stale(Kind.REMINDER, off, moved)
    back = replace(moved, status=Status.CONFIRMED)
    assert verdicts(START - 9 * HOURS, facts, back)["change-2"] is Verdict.OPEN
    assert is_stale(Kind.REMINDER, off, back)


@pytest.mark.parametrize(
    "edit",
    [
        {"talks": (TALKS[0],)},
        {"talks": (Talk(title="Another title", speakers=TALKS[0].speakers), TALKS[1])},
        {"quiet": True, "start": START + DAYS, "end": START + DAYS + HOURS},
    ],
)
def test_an_immaterial_or_quiet_edit_is_told_to_nobody(edit: dict[str, object]) -> None:
    values = {"modified": START - 20 * HOURS, **edit}
    start = values.pop("start", START)
    found = verdicts(START - 19 * HOURS, told(session(talks=(TALKS[0], Talk()))), session(start, **values))  # type: ignore[arg-type]
    assert not any(rule.startswith("change") for rule in found)


def test_a_join_link_filled_in_after_the_reminder_is_told() -> None:
    before = session(room=Room())
    after = session(room=ROOM, modified=START - 2 * HOURS)
    assert verdicts(START - 110 * MINUTES, told(before), after)["change-1"] is Verdict.OPEN
    to_nobody_at_last = told(before, replace(opened("reminder-3h"), reached=0))
    assert verdicts(START - 110 * MINUTES, to_nobody_at_last, after)["change-1"] is Verdict.OPEN
    announced = Facts(
        LONG_AGO,
        settled={"2021-11-27": (opened("announcement", Kind.ANNOUNCEMENT),)},
        told={"2021-11-27": before},
    )
    assert "change-1" not in verdicts(START - 110 * MINUTES, announced, after)
    reached_nobody = replace(opened("reminder-1d"), reached=0)
    unreminded = replace(announced, settled={"2021-11-27": (*announced.settled["2021-11-27"], reached_nobody)})
    assert "change-1" not in verdicts(START - 110 * MINUTES, unreminded, after)


def test_a_change_that_could_not_be_told_expires_once() -> None:
    moved = session(START - HOURS, modified=START - 2 * HOURS)
    late = START + 5 * HOURS
    found = verdicts(late, told(session()), moved)
    assert (found["change-1"], found["reminder-1h"]) == (Verdict.EXPIRED, Verdict.EXPIRED)
    expired = Settled(Kind.CHANGE, "change-1", 1, Verdict.EXPIRED, late)
    assert not any(r.startswith("change") for r in verdicts(late, told(session(), expired), moved))


def test_an_edit_after_a_change_that_could_not_be_told_is_told() -> None:
    expired = Settled(Kind.CHANGE, "change-1", 1, Verdict.EXPIRED, START - 5 * HOURS)
    again = session(START + DAYS, modified=START - 4 * HOURS)
    assert verdicts(START - 3 * HOURS, told(session(), expired), again)["change-2"] is Verdict.OPEN


def test_an_edit_in_the_moment_in_which_a_change_was_told_is_told_as_well() -> None:
    at = START - 5 * HOURS
    facts = told(session(), opened("change-1", Kind.CHANGE, at=at))
    assert verdicts(START - 3 * HOURS, facts, session(START + DAYS, modified=at))["change-2"] is Verdict.OPEN


def test_a_session_rewritten_when_it_is_past_is_no_news() -> None:
    rewritten = session(room=Room(), modified=START + 3 * DAYS)
    assert not any(r.startswith("change") for r in verdicts(START + 4 * DAYS, told(session()), rewritten))


def test_the_next_due_instant_is_the_soonest_that_waits() -> None:
    now = START - 3 * DAYS
    facts = Facts(LONG_AGO, settled={"2021-11-27": (opened("announcement", Kind.ANNOUNCEMENT),)})
    assert next_due(decide(seminar(), RULES, facts, now), now) == START - DAYS
    untitled = decide(seminar(session(talks=())), RULES, FACTS, now)  # its announcement waits, and is overdue
    assert next_due(untitled, now) == START - DAYS
    assert next_due((), now) is None


def test_a_mail_about_a_session_that_has_materially_changed_since_is_stale() -> None:
    assert is_stale(Kind.REMINDER, session(), session(START + HOURS))
    assert is_stale(Kind.REMINDER, session(), session(status=Status.CANCELLED))
    assert is_stale(Kind.REMINDER, session(), session(room=Room(url="https://meeting.tencent.com/dm/another")))
    assert not is_stale(Kind.WELCOME, None, session())  # there may be no session when it opens


def test_a_mail_is_not_stale_after_an_immaterial_or_quiet_edit() -> None:
    assert not is_stale(Kind.REMINDER, session(), session())
    assert not is_stale(
        Kind.REMINDER,
        session(),
        session(notice="", talks=(Talk("Another title", speakers=TALKS[0].speakers), TALKS[1])),
    )
    assert not is_stale(Kind.REMINDER, session(), session(START + HOURS, quiet=True))


# Head starts ---------------------------------------------------------------------------------------------------------


def waiting(now: datetime = START - 2 * DAYS) -> dict[str, Notice]:
    return {d.notice.rule: d.notice for d in decide(seminar(), RULES, FACTS, now) if d.verdict is Verdict.WAITING}


def test_a_reminder_that_is_through_in_time_begins_when_its_rule_says() -> None:
    assert needed_head_starts([(n, 39 * MINUTES) for n in waiting().values()]) == {}


def test_a_reminder_that_takes_long_begins_so_early_that_the_last_one_gets_it_in_time() -> None:
    reminder = waiting()["reminder-1h"]
    takes = 167 * MINUTES
    head_starts = needed_head_starts([(reminder, takes)])
    decision = next(d for d in decide(seminar(), RULES, FACTS, START - 2 * DAYS, head_starts) if d.notice.lead == HOURS)
    assert decision.notice.due + takes == reminder.deadline
    assert (decision.notice.ruled, decision.notice.deadline) == (reminder.due, reminder.deadline)


def test_two_reminders_share_the_mail_server() -> None:
    day, hour = waiting()["reminder-1d"], waiting()["reminder-1h"]
    at_once = replace(day, deadline=hour.deadline - MINUTES, due=hour.due)
    head_starts = needed_head_starts([(at_once, 60 * MINUTES), (hour, 60 * MINUTES)])
    assert head_starts == {hour.key: 20 * MINUTES, at_once.key: 80 * MINUTES}


def test_only_reminders_begin_early() -> None:
    announcement = waiting(START - 9 * DAYS)["announcement"]
    assert needed_head_starts([(announcement, 3 * DAYS)]) == {}


def test_no_reminder_begins_more_than_half_a_day_early() -> None:
    assert needed_head_starts([(waiting()["reminder-1h"], 5 * DAYS)]) == {("2021-11-27", "reminder-1h", 0): HEAD_START}


def test_a_reminder_begun_early_is_not_due_again_when_its_rule_says_so() -> None:
    early = {("2021-11-27", "reminder-1h", 0): 3 * HOURS}
    settled = (opened("announcement", Kind.ANNOUNCEMENT), opened("reminder-1d"))
    facts = Facts(LONG_AGO, settled={"2021-11-27": settled})
    now = START - 4 * HOURS
    (decision,) = [d for d in decide(seminar(), RULES, facts, now, early) if d.verdict is Verdict.OPEN]
    assert decision.notice.rule == "reminder-1h"
    facts = Facts(LONG_AGO, settled={"2021-11-27": (*settled, opened("reminder-1h", at=now))})
    for head_starts in (early, {}):
        for at in (now + MINUTES, START - HOURS, START - 59 * MINUTES):
            assert Verdict.OPEN not in {d.verdict for d in decide(seminar(), RULES, facts, at, head_starts)}


def test_a_head_start_does_not_make_a_reminder_older_than_the_daemon() -> None:
    first_start = START - 2 * HOURS
    facts = Facts(first_start)
    sessions = session(created=first_start - DAYS, modified=first_start - DAYS)
    early = {("2021-11-27", "reminder-1h", 0): 3 * HOURS}
    opened_now = [d for d in decide(seminar(sessions), RULES, facts, first_start, early) if d.verdict is Verdict.OPEN]
    assert [d.notice.rule for d in opened_now] == ["reminder-1h"]


# Replays and slides --------------------------------------------------------------------------------------------------

END = START + 2 * HOURS
SEEN = datetime(2021, 11, 29, 14, 0, tzinfo=SHANGHAI)
SLIDES = Link("https://example.org/slides")


def filmed(*replays: str, slides: Link | None = None, **values: Any) -> Session:
    """The session with a replay of each talk, "" for one that has none, and the slides of the first."""
    talks = [replace(talk, replay=replay) for talk, replay in zip_longest(TALKS, replays, fillvalue="") if talk]
    return session(**{"talks": (replace(talks[0], slides=slides), *talks[1:]), "modified": SEEN, **values})


def replay_of(now: datetime, about: Session, facts: Facts = FACTS, rules: Rules = RULES) -> Decision | None:
    return next((d for d in decide(seminar(about), rules, facts, now) if d.notice.kind is Kind.REPLAY), None)


def verdict_of(now: datetime, about: Session, facts: Facts = FACTS, rules: Rules = RULES) -> Verdict | None:
    decision = replay_of(now, about, facts, rules)
    return decision.verdict if decision else None


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        (SEEN, SEEN + HOURS),
        (SEEN.replace(hour=20, minute=59), SEEN.replace(hour=21, minute=59)),
        (SEEN.replace(hour=21), SEEN.replace(hour=8) + DAYS),
        (SEEN.replace(hour=3), SEEN.replace(hour=8)),
        (SEEN.replace(hour=7), SEEN.replace(hour=8)),
        (START + HOURS, END + HOURS),  # while it was still on
        (START - DAYS, END + HOURS),
    ],
)
def test_a_replay_is_told_once_no_more_of_it_comes_and_by_day(seen: datetime, due: datetime) -> None:
    about = filmed("https://b.example/1", modified=seen)
    assert verdict_of(due - MINUTES, about) in (Verdict.WAITING, None)
    decision = replay_of(due, about)
    assert decision is not None
    assert (decision.verdict, decision.notice.due) == (Verdict.OPEN, due)
    assert decision.notice.recipients == Recipients(replays=True)


def test_it_is_night_where_the_session_is() -> None:
    evening = SEEN.replace(hour=22)
    about = filmed("https://b.example/1", modified=evening - HOURS)
    assert verdict_of(evening, about) is Verdict.WAITING
    assert verdict_of(evening, replace(about, timezone="Europe/Berlin")) is Verdict.OPEN


def test_a_replay_that_could_not_be_told_by_day_waits_for_the_next_one() -> None:
    about = filmed("https://b.example/1")
    decision = replay_of(SEEN.replace(hour=3) + DAYS, about)
    assert decision is not None
    assert (decision.verdict, decision.notice.due) == (Verdict.WAITING, SEEN.replace(hour=8) + DAYS)
    assert decision.notice.deadline == SEEN + HOURS + REPLAY_WITHIN


@pytest.mark.parametrize(
    "about",
    [
        filmed(),
        filmed(slides=Link("", "slides.pdf")),  # words alone cannot be looked at
        filmed("https://b.example/1", status=Status.CANCELLED),
        filmed("https://b.example/1", quiet=True),
        filmed("https://b.example/1", modified=END + LOOK_BACK - HOURS),
        filmed("https://b.example/1", created=END),  # an archive that was added later
    ],
)
def test_where_nothing_is_to_be_seen_again_or_nobody_was_told_of_it_nothing_is_told(about: Session) -> None:
    for days in range(60):
        assert verdict_of(END + days * DAYS, about) in (None, Verdict.SKIPPED)


def test_slides_that_were_in_the_reminder_are_no_news_but_a_replay_beside_them_is() -> None:
    facts = told(filmed(slides=SLIDES))
    now = SEEN + HOURS
    assert verdict_of(now, filmed(slides=SLIDES), facts) is None
    assert verdict_of(now, filmed(slides=Link("https://example.org/corrected")), facts) is None
    assert verdict_of(now, filmed("https://b.example/2"), told(filmed("https://b.example/1"))) is None
    assert verdict_of(now, filmed("https://b.example/1", slides=SLIDES), facts) is Verdict.OPEN
    assert verdict_of(now, filmed(slides=SLIDES), told(session())) is Verdict.OPEN


def test_a_replay_that_is_told_is_told_for_ever() -> None:
    told_once = opened("replay", Kind.REPLAY, at=SEEN + HOURS)
    later = opened("reminder-1d", generation=3)
    facts = Facts(LONG_AGO, settled={"2021-11-27": (told_once, later)}, told={"2021-11-27": session()})
    for about in (
        filmed("https://b.example/1", "https://b.example/2"),
        filmed("https://b.example/corrected", modified=SEEN + DAYS),
        filmed("https://b.example/1", start=START + DAYS, modified=SEEN + DAYS),
    ):
        assert verdict_of(SEEN + 3 * DAYS, about, facts) is Verdict.DONE


def test_what_could_be_seen_before_the_rule_was_there_is_not_told_and_what_comes_after_is() -> None:
    since = Facts(LONG_AGO, rules={"replay": SEEN})
    assert verdict_of(SEEN + HOURS, filmed("https://b.example/1"), since) is Verdict.SKIPPED
    later = filmed("https://b.example/1", modified=SEEN + MINUTES)
    assert verdict_of(SEEN + 61 * MINUTES, later, since) is Verdict.OPEN
    early = filmed(slides=SLIDES, modified=START - 2 * DAYS)  # in the list before the rule, and the session after it
    assert verdict_of(END + HOURS, early, Facts(LONG_AGO, rules={"replay": START - DAYS})) is Verdict.OPEN
    assert verdict_of(SEEN + HOURS, filmed("https://b.example/1"), Facts(START)) is None  # past at the first start


def test_without_the_rule_no_replay_is_told() -> None:
    assert verdict_of(SEEN + HOURS, filmed("https://b.example/1"), rules=Rules(replay=None)) is None
    assert verdict_of(SEEN, filmed("https://b.example/1"), rules=Rules(replay=timedelta())) is Verdict.OPEN


def test_a_replay_that_could_not_be_told_for_days_expires() -> None:
    late = SEEN + HOURS + REPLAY_WITHIN
    assert verdict_of(late - MINUTES, filmed("https://b.example/1")) is Verdict.OPEN
    assert verdict_of(late, filmed("https://b.example/1")) is Verdict.EXPIRED


def test_a_mail_about_a_replay_that_was_taken_back_is_stale() -> None:
    about = filmed("https://b.example/1")
    assert not is_stale(Kind.REPLAY, about, filmed("https://b.example/corrected", room=Room()))
    assert is_stale(Kind.REPLAY, about, filmed())
    assert is_stale(Kind.REPLAY, about, filmed("https://b.example/1", status=Status.CANCELLED))


edits = st.fixed_dictionaries(
    {"replays": st.lists(st.sampled_from(["", "https://b.example/1", "https://b.example/2"]), max_size=2)},
    optional={
        "slides": st.sampled_from([None, SLIDES, Link("https://example.org/other")]),
        "status": st.sampled_from([Status.CONFIRMED, Status.CANCELLED]),
        "quiet": st.booleans(),
        "start": st.sampled_from([START, START + HOURS, START + 7 * DAYS]),
    },
)


@given(st.lists(st.tuples(st.integers(1, 100), edits), max_size=8))
def test_whatever_is_edited_one_mail_at_most_tells_of_it_by_day_and_none_is_forgotten(
    history: list[tuple[int, dict[str, Any]]],
) -> None:
    now, about, settled, known = START - DAYS, session(), [opened("reminder-1d")], session()
    told_at: list[datetime] = []
    for hours, values in [*history, (30, {})]:
        for _ in range(hours):
            now += HOURS
            facts = Facts(LONG_AGO, settled={about.id: tuple(settled)}, told={about.id: known})
            for d in decide(seminar(about), RULES, facts, now):
                if d.verdict not in (Verdict.WAITING, Verdict.DONE):
                    settled.append(Settled(d.notice.kind, d.notice.rule, d.notice.generation, d.verdict, now, 3))
                if d.verdict is Verdict.OPEN:
                    known = about
                if d.verdict is Verdict.OPEN and d.notice.kind is Kind.REPLAY:
                    told_at.append(now)
                    assert about.end <= now
                    assert 8 <= now.astimezone(SHANGHAI).hour < 22
                    assert not about.is_cancelled
        edited = filmed(*values.pop("replays", ()), **values) if values else about
        about = replace(edited, modified=now)
    assert len(told_at) <= 1
    # A day after the last edit all is told that is to be.
    is_to_be = about.end + LOOK_BACK > now and about.end <= now - 30 * HOURS and not (about.quiet or about.is_cancelled)
    if is_to_be and any(talk.replay for talk in about.talks) and not any(talk.replay for talk in known.talks):
        assert told_at


# Bulletins -----------------------------------------------------------------------------------------------------------

NOON = START - 20 * MINUTES
TOLD = tuple(opened(name) for name in rule_names(RULES))


def bulletin(line: str = "Starts late", number: int = 1, at: datetime = NOON) -> dict[str, Bulletin]:
    return {"2021-11-27": Bulletin("2021-11-27", number, line, at, START.astimezone(UTC) + 2 * HOURS)}


def urgent(now: datetime, facts: Facts, of: Session | None = None) -> Decision:
    (found,) = [d for d in decide(seminar(of or session()), RULES, facts, now) if d.notice.kind is Kind.URGENT]
    return found


def test_a_bulletin_opens_at_once_for_those_who_know_the_session() -> None:
    facts = Facts(LONG_AGO, settled={"2021-11-27": TOLD}, told={"2021-11-27": session()}, bulletins=bulletin())
    found = urgent(NOON, facts)
    assert (found.verdict, found.notice.name) == (Verdict.OPEN, "2021-11-27/urgent-1/0")
    assert (found.notice.due, found.notice.recipients) == (NOON, Recipients(told=True))
    assert found.notice.deadline == START + 2 * HOURS


def test_a_bulletin_opens_once_whatever_is_edited_later() -> None:
    done = (*TOLD, opened("urgent-1", Kind.URGENT, at=NOON))
    facts = Facts(LONG_AGO, settled={"2021-11-27": done}, told={"2021-11-27": session()}, bulletins=bulletin())
    moved = session(START + HOURS, modified=NOON + MINUTES)
    for of in (session(), moved):
        assert urgent(NOON + 5 * MINUTES, facts, of).verdict is Verdict.DONE
    told_of_it = (*done, opened("change-1", Kind.CHANGE, generation=1, at=NOON + 10 * MINUTES))
    later = replace(facts, settled={"2021-11-27": told_of_it}, told={"2021-11-27": moved})
    assert urgent(NOON + 15 * MINUTES, later, moved).verdict is Verdict.DONE
    assert urgent(NOON, replace(facts, bulletins=bulletin(number=2))).verdict is Verdict.OPEN


def test_a_bulletin_is_never_sent_when_its_session_is_over_or_off() -> None:
    facts = Facts(LONG_AGO, settled={"2021-11-27": TOLD}, bulletins=bulletin())
    assert urgent(START + 2 * HOURS - MINUTES, facts).verdict is Verdict.OPEN
    assert urgent(START + 2 * HOURS, facts).verdict is Verdict.EXPIRED
    assert urgent(NOON, facts, session(status=Status.CANCELLED)).verdict is Verdict.DONE
    put_off = session(START + 14 * DAYS, modified=NOON)
    assert urgent(START + 2 * HOURS, facts, put_off).verdict is Verdict.EXPIRED


def test_a_bulletin_that_is_mute_settles_itself_without_a_mail() -> None:
    facts = Facts(LONG_AGO, settled={"2021-11-27": TOLD}, bulletins=bulletin("", 2))
    assert urgent(NOON, facts).verdict is Verdict.SKIPPED


def test_a_reminder_that_is_due_with_a_bulletin_opens_before_it() -> None:
    """So that its readers are among those who know the session, and have it again should the line be taken back."""
    now = START - HOURS
    facts = Facts(
        LONG_AGO, settled={"2021-11-27": TOLD[:2]}, told={"2021-11-27": session()}, bulletins=bulletin(at=now)
    )
    decisions = decide(seminar(), RULES, facts, now)
    opening = [(d.notice.rule, d.notice.recipients) for d in decisions if d.verdict is Verdict.OPEN]
    assert opening == [
        ("reminder-1h", Recipients(leads=frozenset({HOURS}), by_default=True)),
        ("urgent-1", Recipients(told=True)),
    ]


def test_a_bulletin_takes_the_place_of_nothing_that_could_not_open() -> None:
    """An announcement that waits for its talks is for everyone, and a bulletin is not."""
    bare = session(talks=())
    now = START - 5 * DAYS
    facts = Facts(LONG_AGO, bulletins=bulletin(at=now))
    found = {d.notice.rule: d for d in decide(seminar(bare), RULES, facts, now)}
    assert found["announcement"].verdict is Verdict.WAITING
    assert found["urgent-1"].notice.recipients == Recipients(told=True)


@pytest.mark.parametrize("needs_approval", [False, True])
def test_a_change_that_waits_is_told_with_the_bulletin(needs_approval: bool) -> None:
    now = START - 3 * HOURS
    rules = replace(RULES, approve_above=1 if needs_approval else 0)
    moved = session(START + HOURS, modified=now - MINUTES)
    facts = Facts(
        LONG_AGO, settled={"2021-11-27": TOLD[:2]}, told={"2021-11-27": session()}, bulletins=bulletin(at=now)
    )
    decisions = decide(seminar(moved), rules, facts, now)
    found = only(decisions, Verdict.OPEN)
    assert (found.notice.name, found.before) == ("2021-11-27/urgent-1/1", session())
    assert {d.notice.generation for d in decisions} == {1}
    assert Kind.CHANGE not in {d.notice.kind for d in decisions}


def test_a_bulletin_waits_for_the_clock_where_that_was_set_back() -> None:
    facts = Facts(LONG_AGO, settled={"2021-11-27": TOLD}, bulletins=bulletin())
    assert urgent(NOON - MINUTES, facts).verdict is Verdict.WAITING
