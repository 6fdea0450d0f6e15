"""What is taken of a list as the successor of the last good one, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from house import PAGE, TALKS
from samples import DAYS, START

from notifier.errors import SourceError, TalkListError
from notifier.intake import Accepted, Intake, take
from notifier.revisions import Identity
from notifier.talklists import Context

NOW = START - 9 * DAYS
SOURCE = "talks.toml"
HEAD, FIRST = TALKS.split("[[session]]")
FIRST = "[[session]]" + FIRST
SECOND = (
    FIRST.replace("2021-11-27", "2021-12-11").replace('title = "', 'title = "More of ').replace('r = "', 'r = "Not ')
)
OFF = HEAD + SECOND.replace("date =", 'status = "cancelled"\ndate =') + FIRST
BOTH = HEAD + SECOND + FIRST  # what is left without the second is no beginning of it


def taken(text: str, before: Intake | None = None, **values: object) -> Intake:
    """The list in this text a day after the one before."""
    known = {one.id: one for one in before.identities} if before else {}
    return take(
        text.encode(),
        Context(source=SOURCE),
        form="",
        previous=before.accepted if before else None,
        identities=known,
        domain="seminar.example.org",
        now=before.accepted.at + DAYS if before else NOW,
        **values,  # type: ignore[arg-type]
    )


def ids(found: Intake) -> list[str]:
    return [session.id for session in found.accepted.seminar.sessions]


def refused(text: str, before: Intake | None) -> list[str]:
    with pytest.raises(TalkListError) as caught:
        taken(text, before)
    return [str(problem) for problem in caught.value.problems]


def test_a_first_list_is_taken_as_it_is_and_everything_in_it_is_new() -> None:
    found = taken(TALKS)
    seminar = found.accepted.seminar
    assert found.accepted == Accepted(seminar, TALKS.encode(), SOURCE, NOW)
    (session,) = seminar.sessions
    assert (session.uid, session.revision) == ("2021-11-27@seminar.example.org", 0)
    assert [one.id for one in found.identities] == ["2021-11-27"]
    assert found.warnings == ()


def test_the_same_list_again_has_no_new_identities() -> None:
    before = taken(TALKS)
    found = taken(TALKS, before)
    assert (found.accepted.seminar, found.identities) == (before.accepted.seminar, ())


def test_what_moved_is_the_same_session_in_its_next_revision() -> None:
    found = taken(TALKS.replace("date = 2021-11-27", "date = 2021-12-04"), taken(TALKS))
    assert [(one.id, one.revision) for one in found.identities] == [("2021-11-27", 1)]


def test_a_session_that_vanished_is_a_question() -> None:
    before = taken(BOTH)
    (told,) = refused(TALKS, before)
    assert told.startswith('talks.toml: session "2021-12-11"')
    assert "is gone from the list" in told
    assert ids(taken(TALKS, before, allow_removals=True)) == ["2021-11-27"]


def test_a_cut_list_is_told_with_the_line_of_its_end_and_all_that_it_lacks() -> None:
    cut = BOTH[: BOTH.rindex("  [[session.talk]]")]
    first, *others = refused(cut, taken(BOTH))
    assert first == (
        f"talks.toml:{len(cut.splitlines()) + 1}: the list ends here: it is the last accepted one cut off; "
        "restore the rest, or run notifier reload --accept-removals"
    )
    assert ['is gone from session "2021-11-27"' in one for one in others] == [True]


def test_a_cut_list_is_refused_also_where_it_lacks_nothing() -> None:
    remark = "\n# a word to whoever comes next\n"
    assert len(refused(TALKS, taken(TALKS + remark))) == 1
    assert ids(taken(TALKS + remark, taken(TALKS))) == ["2021-11-27"]


def test_a_cancelled_session_stays_until_all_are_told_of_it() -> None:
    before = taken(OFF)
    assert ids(taken(TALKS, before)) == ["2021-11-27"]
    assert ids(taken(TALKS, before, untold={"2021-12-11"})) == ["2021-11-27", "2021-12-11"]
    assert ids(taken(OFF, before, untold={"2021-12-11"})) == ["2021-11-27", "2021-12-11"]
    assert ids(taken(TALKS, before, untold={"2021-12-11"}, allow_removals=True)) == ["2021-11-27"]


def test_only_a_cancelled_session_stays_for_that() -> None:
    with pytest.raises(TalkListError, match="2021-12-11"):
        taken(TALKS, taken(BOTH), untold={"2021-12-11"})


def test_what_cannot_be_read_is_refused_with_its_place() -> None:
    assert refused("[[session]\n", None)[0].startswith("talks.toml:1:")
    with pytest.raises(SourceError, match=r"talks\.toml:2: the text is in no known encoding"):
        take(
            b"a = 1\n\xff\x00",
            Context(source=SOURCE),
            form="toml",
            previous=None,
            identities={},
            domain="d",
            now=NOW,
        )


def test_what_is_doubtful_is_told_and_taken() -> None:
    (doubt,) = taken(FIRST).warnings
    assert str(doubt).startswith("talks.toml: the seminar has no name")


def test_the_id_of_a_session_that_is_gone_is_given_to_no_other() -> None:
    gone = Identity("2021-12-18", "2021-12-18@seminar.example.org", "", 3, NOW, NOW)
    before = taken(PAGE)
    found = take(
        (PAGE + "\nTime:2021-12-18 9:30-11:30\n\nTitle:On sets\nReporter:Ada Example\n").encode(),
        Context(source="page.txt"),
        form="",
        previous=before.accepted,
        identities={one.id: one for one in (gone, *before.identities)},
        domain="seminar.example.org",
        now=NOW + DAYS,
    )
    (new,) = found.identities
    assert (new.id != gone.id, new.uid != gone.uid, new.revision) == (True, True, 0)


def test_an_identity_that_the_ledger_knows_goes_before_the_last_list() -> None:
    before = taken(TALKS)
    (known,) = before.identities
    ahead = Identity(known.id, "older@elsewhere.example", known.digest, 7, known.created, known.modified + DAYS)
    found = take(
        TALKS.encode(),
        Context(source=SOURCE),
        form="",
        previous=before.accepted,
        identities={known.id: ahead},
        domain="seminar.example.org",
        now=NOW + timedelta(days=3),
    )
    (session,) = found.accepted.seminar.sessions
    assert (session.uid, session.revision, found.identities) == ("older@elsewhere.example", 7, ())
