from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import DAYS, HOURS, SHANGHAI, START, seminar, session

from notifier.errors import Problem
from notifier.recognition import names_of, paired_talks, recognise, titles_of
from notifier.talks import Seminar, Session, Speaker, Talk

ADA = Talk("On engines", speakers=(Speaker("Ada"),))
BOB = Talk("On bridges", speakers=(Speaker("Bob"),))
CAROL = Talk("On clouds", speakers=(Speaker("Carol (卡罗)"),))


def on(start: datetime, *talks: Talk, **values: object) -> Session:
    """A session as a page tells of it: without an id of its own, and so named by its date."""
    return session(start, **{"id": start.date().isoformat(), "talks": talks, "uid": "", **values})


def recognised(old: Seminar, *new: Session, has_ids: bool = False, taken: frozenset[str] = frozenset()) -> list[str]:
    """The ids of the new sessions, in the order in which they are given."""
    found, _ = recognise(old, seminar(*new), has_ids=has_ids, taken=taken)
    by_content = {(s.start, s.talks): s.id for s in found.sessions}
    return [by_content[s.start, s.talks] for s in new]


def test_the_first_list_keeps_its_own_ids():
    new = seminar(on(START, ADA))
    assert recognise(None, new, has_ids=False, taken=frozenset({"2021-11-27"})) == (new, ())


def test_the_same_list_is_the_same_again():
    old = seminar(on(START, ADA), on(START + 14 * DAYS), on(START + 28 * DAYS, BOB))
    assert recognise(old, old, has_ids=False, taken=frozenset({"x"})) == (old, ())
    assert recognise(old, old, has_ids=True) == (old, ())


def test_a_session_that_moved_keeps_its_id():
    assert recognised(seminar(on(START, ADA)), on(START + 7 * DAYS, ADA)) == ["2021-11-27"]


def test_a_new_session_on_the_freed_date_gets_a_fresh_id():
    old = seminar(on(START, ADA))
    assert recognised(old, on(START, BOB), on(START + 7 * DAYS, ADA)) == ["2021-11-27-2", "2021-11-27"]


def test_a_fresh_id_was_never_used_before():
    old = seminar(on(START, ADA))
    taken = frozenset({"2021-11-27", "2021-11-27-2", "2021-12-11"})
    new = (on(START, BOB), on(START + 7 * DAYS, ADA), on(START + 14 * DAYS, CAROL))
    assert recognised(old, *new, taken=taken) == ["2021-11-27-3", "2021-11-27", "2021-12-11-2"]


def test_two_sessions_that_changed_places_keep_their_ids():
    old = seminar(on(START, ADA), on(START + 14 * DAYS, BOB))
    assert recognised(old, on(START, BOB), on(START + 14 * DAYS, ADA)) == ["2021-12-11", "2021-11-27"]


def test_two_speakers_without_titles_who_changed_places_keep_their_ids():
    ada, bob = replace(ADA, title=""), replace(BOB, title="")
    old = seminar(on(START, ada), on(START + 14 * DAYS, bob))
    assert recognised(old, on(START, bob), on(START + 14 * DAYS, ada)) == ["2021-12-11", "2021-11-27"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Talk(), ADA),
        (replace(ADA, title=""), ADA),
        (replace(ADA, speakers=()), ADA),
        (ADA, replace(ADA, title="Off engines")),
        (CAROL, replace(CAROL, speakers=(Speaker("卡罗"),), title="Off clouds")),
        (ADA, BOB),
    ],
    ids=["nothing-known", "title-filled-in", "speaker-filled-in", "retitled", "other-spelling", "replaced"],
)
def test_a_session_edited_in_place_keeps_its_id(before: Talk, after: Talk):
    assert recognised(seminar(on(START, before)), on(START, after)) == ["2021-11-27"]


def test_a_replay_link_outweighs_all_else():
    was, became = replace(ADA, replay="https://video.example/1"), replace(BOB, replay="https://video.example/1")
    old = seminar(on(START, was), on(START + 14 * DAYS, BOB))
    assert recognised(old, on(START + 21 * DAYS, became)) == ["2021-11-27"]


def test_a_title_that_several_give_goes_with_its_speaker():
    ada, bob = replace(ADA, title="Discussion"), replace(BOB, title="Discussion")
    old = seminar(on(START, ada), on(START + 14 * DAYS, bob))
    assert recognised(old, on(START, bob), on(START + 14 * DAYS, ada)) == ["2021-12-11", "2021-11-27"]


def test_a_title_is_enough_where_the_speaker_is_spelt_otherwise():
    new = on(START + 90 * DAYS, replace(ADA, speakers=(Speaker("艾达"),)))
    assert recognised(seminar(on(START, ADA)), new) == ["2021-11-27"]


def test_the_most_talks_in_common_outweigh_the_nearer_date():
    old = seminar(on(START, ADA, BOB, CAROL))
    assert recognised(old, on(START + DAYS, ADA), on(START + 7 * DAYS, BOB, CAROL)) == ["2021-11-28", "2021-11-27"]


def test_a_session_that_moved_and_was_retitled_is_known_by_its_speaker():
    assert recognised(seminar(on(START, ADA)), on(START + 7 * DAYS, replace(ADA, title="Off"))) == ["2021-11-27"]


def test_a_speaker_who_comes_again_a_year_later_is_another_session():
    old = seminar(on(START, ADA), on(START + 7 * DAYS, BOB))
    new = on(START + 365 * DAYS, replace(ADA, title="On engines, again"))
    assert recognised(old, on(START + 7 * DAYS, BOB), new) == ["2021-12-04", "2022-11-27"]


def test_a_talk_that_went_to_another_session_takes_no_id_along():
    old = seminar(on(START, ADA, BOB), on(START + 14 * DAYS, CAROL))
    assert recognised(old, on(START, ADA), on(START + 14 * DAYS, CAROL, BOB)) == ["2021-11-27", "2021-12-11"]


def test_equal_ids_decide_where_they_are_the_organisers_own():
    old = seminar(on(START, ADA, id="one"), on(START + 14 * DAYS, BOB, id="two"))
    new = (on(START + 14 * DAYS, BOB, id="one"), on(START, ADA, id="two"))
    found, problems = recognise(old, seminar(*new), has_ids=True)
    assert ({s.id: s.talks for s in found.sessions}, problems) == ({"one": (BOB,), "two": (ADA,)}, ())


def test_an_id_that_was_changed_is_put_back_with_a_warning():
    old = seminar(on(START, ADA, id="one"), on(START + 14 * DAYS, BOB, id="two"))
    new = seminar(on(START, ADA, id="first"), on(START + 14 * DAYS, BOB, id="two"))
    found, problems = recognise(old, new, has_ids=True)
    assert [s.id for s in found.sessions] == ["one", "two"]
    assert problems == (
        Problem(
            'session "first" was called "one" before, and calendars know it by that',
            'put id = "one" back; until then it is treated as "one"',
        ),
    )


def test_an_id_of_the_organisers_own_is_not_put_back_on_weak_evidence():
    old = seminar(on(START, ADA, id="one"))
    new = seminar(on(START, BOB, id="other"), on(START + 7 * DAYS, replace(ADA, title="Off"), id="later"))
    assert recognise(old, new, has_ids=True) == (new, ())


def test_a_removed_session_may_come_back_under_its_own_id():
    new = seminar(on(START, ADA, id="one"), on(START + 14 * DAYS, BOB, id="two"))
    assert recognise(seminar(new.sessions[1]), new, has_ids=True, taken=frozenset({"one", "two"})) == (new, ())


def test_a_page_that_becomes_a_list_with_ids_by_date_keeps_what_had_moved():
    page = seminar(on(START, ADA), on(START + 28 * DAYS, CAROL))
    page, _ = recognise(
        page, seminar(on(START, BOB), on(START + 7 * DAYS, ADA), on(START + 28 * DAYS, CAROL)), has_ids=False
    )
    listed = seminar(on(START, BOB), on(START + 7 * DAYS, ADA), on(START + 28 * DAYS, CAROL))
    found, problems = recognise(page, listed, has_ids=True)
    assert [(s.id, s.talks) for s in found.sessions] == [(s.id, s.talks) for s in page.sessions]
    assert [p.advice.partition(";")[0] for p in problems] == [
        'put id = "2021-11-27-2" back',
        'put id = "2021-11-27" back',
    ]


def test_an_id_by_date_stays_where_it_was_where_nothing_else_is_that_session():
    old = seminar(on(START + 7 * DAYS, ADA, id="2021-11-27"))
    new = seminar(on(START, BOB))
    assert recognise(old, new, has_ids=True) == (new, ())


def test_a_list_with_ids_that_becomes_a_page_keeps_them():
    listed = seminar(on(START, ADA, id="opening"), on(START + 14 * DAYS, id="second"))
    assert recognised(listed, on(START, ADA), on(START + 14 * DAYS, BOB)) == ["opening", "second"]


def test_a_thousand_sessions_that_look_the_same_keep_their_order():
    old = seminar(*(on(START + 7 * n * DAYS, ADA) for n in range(1000)))
    new = seminar(*(replace(s, start=s.start + HOURS, end=s.end + HOURS) for s in old.sessions))
    assert [s.id for s in recognise(old, new, has_ids=False)[0].sessions] == [s.id for s in old.sessions]


def test_talks_are_paired_by_speaker_then_title_then_place():
    retitled, given_to_bob = replace(ADA, title="Off"), replace(CAROL, speakers=(Speaker("Dora"),))
    pairs = paired_talks((ADA, BOB, CAROL), (given_to_bob, BOB, retitled, Talk("New")))
    assert pairs == [(CAROL, given_to_bob), (BOB, BOB), (ADA, retitled), (Talk(), Talk("New"))]


def test_talks_that_changed_titles_are_paired_by_speaker():
    ada, bob = replace(ADA, title=BOB.title), replace(BOB, title=ADA.title)
    assert paired_talks((ADA, BOB), (bob, ada)) == [(BOB, bob), (ADA, ada)]


def test_a_speaker_is_known_by_either_name():
    assert names_of((Speaker("Le Lu (吕乐)"), Speaker("Ada"))) == {"le lu", "吕乐", "ada"}


def test_a_title_is_known_however_it_is_punctuated():
    assert titles_of(Talk("On Engines:  a review!", title_zh="论 引擎")) == titles_of(
        Talk("on engines – A Review", title_zh="论引擎")
    )


TALKS = st.builds(
    Talk,
    title=st.sampled_from(["", "A", "B", "C"]),
    speakers=st.sampled_from([(), (Speaker("Ada"),), (Speaker("Bob"),), (Speaker("Ada"), Speaker("Bob"))]),
    replay=st.sampled_from(["", "", "https://video.example/1", "https://video.example/2"]),
)
EMPTY = Seminar("jsml", "Joint Seminar", "Asia/Shanghai")
FIRST = datetime(2021, 11, 1, 9, tzinfo=SHANGHAI)
SESSIONS = st.builds(
    lambda days, hours, talks: on(FIRST + days * DAYS + hours * HOURS, *talks),
    st.integers(0, 20),
    st.integers(0, 3),
    st.lists(TALKS, max_size=2),
)
PAGES = st.lists(SESSIONS, max_size=8).map(
    lambda sessions: recognise(EMPTY, replace(EMPTY, sessions=tuple(sessions)), has_ids=False)[0]
)


@given(PAGES, PAGES, st.booleans(), st.frozensets(st.sampled_from(["2021-11-05", "2021-11-06-2"])))
def test_ids_are_unique_and_no_session_is_lost(old: Seminar, new: Seminar, has_ids: bool, taken: frozenset[str]):
    found, _ = recognise(old, new, has_ids=has_ids, taken=taken)
    assert Counter((s.start, s.talks) for s in found.sessions) == Counter((s.start, s.talks) for s in new.sessions)
    assert len({s.id for s in found.sessions}) == len(new.sessions)


@given(PAGES, PAGES, st.frozensets(st.sampled_from(["2021-11-05", "2021-11-06-2"])))
def test_an_id_that_is_new_was_never_used(old: Seminar, new: Seminar, taken: frozenset[str]):
    taken |= {s.id for s in old.sessions}
    found, _ = recognise(old, new, has_ids=False, taken=taken)
    fresh = {s.id for s in found.sessions} - {s.id for s in old.sessions}
    assert fresh.isdisjoint(taken)


@given(PAGES, PAGES)
def test_recognising_again_changes_nothing(old: Seminar, new: Seminar):
    found, _ = recognise(old, new, has_ids=False)
    assert recognise(found, new, has_ids=False)[0] == found


UNIQUE = st.permutations(range(12)).map(
    lambda order: [
        on(START + 14 * place * DAYS, Talk(f"Title {n}", speakers=(Speaker(f"Speaker {n}"),)))
        for place, n in enumerate(order)
    ]
)


@given(UNIQUE, st.data())
def test_whatever_is_edited_the_session_keeps_its_id(sessions: list[Session], data: st.DataObject):
    old = seminar(*sessions)
    edited = []
    for one in data.draw(st.permutations(old.sessions)):
        edit = data.draw(st.sampled_from(["nothing", "move", "retitle", "rewrite", "drop"]))
        shift = timedelta(days=data.draw(st.integers(-40, 40)), hours=data.draw(st.integers(0, 5)))
        talk = one.talks[0]
        if edit == "move":
            one = replace(one, start=one.start + shift, end=one.end + shift)
        elif edit == "retitle":
            one = replace(one, talks=(replace(talk, title=f"{talk.title} again"),))
        elif edit == "rewrite":
            one = replace(one, talks=(replace(talk, abstract="New", speakers=(*talk.speakers, Speaker("Guest"))),))
        if edit != "drop":
            edited.append(one)
    known = {one.talks[0].speakers[0].name: one.id for one in edited}
    proposed = [replace(one, id=f"{one.start:%Y-%m-%d}") for one in edited]
    extra = [on(START + 500 * DAYS, CAROL)]
    found, _ = recognise(old, Seminar("s", "S", "Asia/Shanghai", sessions=(*proposed, *extra)), has_ids=False)
    assert {s.talks[0].speakers[0].name: s.id for s in found.sessions if s.talks[0] != CAROL} == known
