from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from samples import DAYS, HOURS, LONG_AGO, ROOM, START, TALKS, seminar, session

from notifier import feed, talks
from notifier.errors import Problem
from notifier.revisions import (
    Change,
    ChangeKind,
    Frame,
    Identity,
    diff,
    digest,
    is_cut,
    recognise,
    stamp,
    summary,
    vanished,
)
from notifier.talks import Audience, Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk, as_json, from_json

NOW = datetime(2021, 11, 20, 12, 0, 0, 900_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WANG, ZHU = TALKS


def fresh(start: datetime = START, **values: Any) -> Session:
    """A session as a talk list tells of it: without stamps."""
    return session(start, **{"uid": "", "created": None, "modified": None, **values})


def kept(identities: Iterable[Identity], before: dict[str, Identity] | None = None) -> dict[str, Identity]:
    return {**(before or {}), **{identity.id: identity for identity in identities}}


def stamped(
    one: Session, known: dict[str, Identity], now: datetime, previous: Seminar | None = None
) -> tuple[Session, dict[str, Identity]]:
    found, changed = stamp(seminar(one), known, domain="seminar.example.org", now=now, previous=previous)
    return found.sessions[0], kept(changed, known)


def test_a_session_seen_first_gets_a_uid_and_revision_0():
    found, known = stamped(fresh(), {}, NOW)
    second = datetime(2021, 11, 20, 12, tzinfo=UTC)
    uid = "2021-11-27@seminar.example.org"
    assert found == replace(fresh(), uid=uid, revision=0, created=second, modified=second)
    (identity,) = known.values()
    assert identity == Identity("2021-11-27", uid, identity.digest, 0, second, second)
    assert identity.digest.startswith(f"{digest(fresh())}.")


def test_the_uid_outlives_a_change_of_domain():
    _, known = stamped(fresh(), {}, NOW)
    found, changed = stamp(seminar(fresh(notice="N")), known, domain="elsewhere.example", now=NOW)
    assert (found.sessions[0].uid, changed[0].uid) == ("2021-11-27@seminar.example.org",) * 2


def test_the_same_list_changes_nothing():
    found, known = stamped(fresh(), {}, NOW)
    assert stamp(seminar(fresh()), known, domain="d", now=NOW + DAYS) == (seminar(found), ())


def test_a_session_that_did_not_change_is_the_very_same_value():
    previous, identities = stamp(seminar(fresh(), fresh(START + 14 * DAYS, id="b")), {}, domain="d", now=NOW)
    new = seminar(fresh(), fresh(START + 14 * DAYS, id="b", notice="Late"))
    found, changed = stamp(new, kept(identities), domain="d", now=NOW + DAYS, previous=previous)
    assert found.sessions[0] is previous.sessions[0]
    assert [(i.id, i.revision) for i in changed] == [("b", 1)]


def test_a_previous_value_is_not_reused_when_the_ledger_knows_better():
    previous, identities = stamp(seminar(fresh()), {}, domain="d", now=NOW)
    later = replace(identities[0], revision=5, modified=NOW + DAYS)
    found, changed = stamp(seminar(fresh()), kept([later]), domain="d", now=NOW, previous=previous)
    assert (found.sessions[0].revision, found.sessions[0].modified, changed) == (5, NOW + DAYS, ())


FRAME = Frame("https://seminar.example.org", {"passcode": Audience.SUBSCRIBERS, "meeting_id": Audience.PUBLIC})


def reframed(frame: Frame, one: Session, **names: str) -> tuple[bool, bool]:
    """Whether the session has a new revision, and its event new bytes, once this is around it instead of FRAME."""
    old, identities = stamp(seminar(one), {}, domain="d", now=NOW, frame=FRAME)
    renamed = replace(seminar(one), **names)
    new, changed = stamp(renamed, kept(identities), domain="d", now=NOW + DAYS, previous=old, frame=frame)
    again = stamp(renamed, kept(changed, kept(identities)), domain="d", now=NOW + 2 * DAYS, previous=new, frame=frame)
    assert (again[0].sessions[0] is new.sessions[0], again[1]) == (True, ())
    assert [i.revision for i in changed] == [1] * len(changed)
    assert [i.modified for i in changed] == [(NOW + DAYS).replace(microsecond=0)] * len(changed)
    return bool(changed), public(old, FRAME) != public(replace(renamed, sessions=old.sessions), frame)


def public(what: Seminar, frame: Frame) -> list[bytes]:
    """The events of the feed in each language."""
    shown = talks.shown(Audience.PUBLIC, what, frame.levels)
    feeds = (feed.render(shown, now=NOW, base_url=frame.base_url, language=language) for language in ("", "zh", "en"))
    return [data.partition(b"BEGIN:VEVENT")[2] for data in feeds]


@pytest.mark.parametrize(
    ("frame", "names", "changes"),
    [
        (FRAME, {}, False),
        (replace(FRAME, levels={"passcode": Audience.SUBSCRIBERS}), {}, False),
        (replace(FRAME, levels={"passcode": Audience.PUBLIC}), {}, True),
        (replace(FRAME, levels={**FRAME.levels, "livestream": Audience.REMINDER}), {}, True),
        (replace(FRAME, base_url="https://elsewhere.example.org"), {}, True),
        (FRAME, {"name": "A Joint Seminar"}, True),
        (FRAME, {"name_zh": "研讨会"}, True),
        (FRAME, {"name": "", "name_zh": ""}, True),  # then its id stands there
        (FRAME, {"id": "joint"}, False),
        (FRAME, {"description": "Every second Saturday", "homepage": "https://home.example"}, False),
    ],
)
def test_an_event_that_changes_because_of_settings_has_a_new_revision(
    frame: Frame, names: dict[str, str], changes: bool
):
    assert reframed(frame, fresh(), **names) == (changes, changes)


@pytest.mark.parametrize(
    ("name", "lack"),
    [
        ("passcode", {"room": Room("https://meeting.example"), "livestream": Livestream()}),
        ("livestream", {"room": Room("https://meeting.example"), "livestream": Livestream()}),
        ("passcode", {"room": replace(ROOM, passcode="")}),
        ("livestream", {"room": replace(ROOM, passcode=""), "livestream": Livestream()}),
        ("alternate_id", {"room": Room("https://meeting.example/j/1?pwd=x")}),
    ],
)
def test_who_may_see_what_a_session_lacks_changes_nothing(name: str, lack: dict[str, Any]):
    frame = replace(FRAME, levels={"passcode": Audience.SUBSCRIBERS, name: Audience.REMINDER})
    assert reframed(frame, fresh(**lack)) == (False, False)


def test_in_which_order_fields_are_hidden_changes_nothing():
    levels = {"passcode": Audience.SUBSCRIBERS, "livestream": Audience.REMINDER}
    frames = [replace(FRAME, levels=dict(order)) for order in (levels.items(), reversed(levels.items()))]
    (one,), (other,) = (stamp(seminar(fresh()), {}, domain="d", now=NOW, frame=frame)[1] for frame in frames)
    assert one == other


def test_who_may_see_the_passcode_changes_a_link_that_holds_it():
    bare = fresh(room=Room("https://meeting.example/j/1?pwd=x"))
    assert reframed(replace(FRAME, levels={"passcode": Audience.PUBLIC}), bare) == (True, True)


def test_who_of_the_few_sees_a_field_is_a_revision_of_their_own_calendars():
    frame = replace(FRAME, levels={"passcode": Audience.REMINDER})
    assert reframed(frame, fresh()) == (True, False)


def test_a_session_known_from_before_frames_were_kept_stays_as_it_is():
    found, known = stamped(fresh(), {}, NOW)
    (identity,) = known.values()
    before = replace(identity, digest=digest(fresh()))
    again, changed = stamp(seminar(fresh()), kept([before]), domain="d", now=NOW + DAYS, frame=FRAME)
    assert again.sessions[0] == found
    assert [replace(one, digest="") for one in changed] == [replace(identity, digest="")]
    moved = replace(FRAME, base_url="https://elsewhere.example.org")
    assert stamp(seminar(fresh()), kept(changed), domain="d", now=NOW + DAYS, frame=moved)[0].sessions[0].revision == 1


def test_it_is_known_when_a_session_was_edited_also_after_its_frame_changed():
    old, known = stamp(seminar(fresh()), {}, domain="d", now=NOW, frame=FRAME)
    shown = old
    for days in (1, 2):
        frame = replace(FRAME, base_url=f"https://{days}.example.org")
        shown, changed = stamp(seminar(fresh()), kept(known), domain="d", now=NOW + days * DAYS, frame=frame)
        known = (*known, *changed)
        (one,) = shown.sessions
        assert one.modified == NOW.replace(microsecond=0) + days * DAYS
        assert one.edited == old.sessions[0].modified
    late = stamp(seminar(fresh(notice="Late")), kept(known), domain="d", now=NOW + 3 * DAYS, frame=FRAME)[0]
    assert late.sessions[0].edited is None


def test_an_edit_and_its_undoing_count_as_two_revisions():
    before, known = stamped(fresh(), {}, NOW)
    _, known = stamped(fresh(notice="Late"), known, NOW + HOURS)
    after, known = stamped(fresh(), known, NOW + 2 * HOURS)
    assert (before.revision, after.revision) == (0, 2)
    assert after.modified == (NOW + 2 * HOURS).replace(microsecond=0)
    assert after.created == before.created


@pytest.mark.parametrize("step", [timedelta(), -DAYS, timedelta(milliseconds=99)])
def test_last_modified_never_goes_back_nor_stands_still(step: timedelta):
    before, known = stamped(fresh(), {}, NOW)
    after, _ = stamped(fresh(notice="Late"), known, NOW + step)
    assert after.modified == before.modified + SECOND


CHANGES: dict[str, Any] = {
    "start": START + HOURS,
    "end": START + HOURS,
    "timezone": "Asia/Tokyo",
    "talks": (WANG,),
    "status": Status.TENTATIVE,
    "notice": "Late",
    "urgent": "Very late",
    "room": replace(ROOM, passcode=""),
    "livestream": Livestream("https://live.example"),
}
TALK_CHANGES: dict[str, Any] = {
    "title": "X",
    "title_zh": "X",
    "speakers": (Speaker("王宇航", ("Elsewhere",)),),
    "start": START,
    "end": START + HOURS,
    "abstract": "X",
    "abstract_zh": "X",
    "bio": "X",
    "references": ("X",),
    "slides": Link("https://s"),
    "replay": "https://r",
    "kind": "X",
}


def test_every_field_that_readers_are_shown_counts():
    unseen = {"id", "quiet", "uid", "revision", "created", "modified", "edited"}
    assert {f.name for f in fields(Session)} - unseen == set(CHANGES)
    assert {f.name for f in fields(Talk)} == set(TALK_CHANGES)
    digests = {digest(fresh(**{name: value})) for name, value in CHANGES.items()}
    digests |= {digest(fresh(talks=(replace(WANG, **{name: value}), ZHU))) for name, value in TALK_CHANGES.items()}
    assert len(digests | {digest(fresh())}) == len(CHANGES) + len(TALK_CHANGES) + 1


def test_what_readers_are_not_shown_does_not_count():
    assert digest(fresh(id="x", quiet=True, uid="u", revision=3, created=NOW, modified=NOW)) == digest(fresh())


def test_a_digest_is_of_the_clock_in_the_sessions_zone():
    assert digest(fresh(START.astimezone(UTC))) == digest(fresh())


def test_a_digest_tells_the_two_hours_of_a_night_in_autumn_apart():
    first = fresh(datetime(2021, 10, 31, 0, 30, tzinfo=UTC), timezone="Europe/Berlin")
    assert digest(first) != digest(fresh(first.start + HOURS, end=first.end, timezone="Europe/Berlin"))


def test_a_digest_is_the_same_in_every_release():
    """A change here would raise the revision of every session in every calendar."""
    talk = Talk("On engines", speakers=(Speaker("Ada", ("Uni",)),), slides=Link(label="Install"))
    one = Session("a", START, START + HOURS, "Asia/Shanghai", talks=(talk,), room=Room(passcode="012345"))
    assert digest(one) == "87054152a0ec1544225efee2491cf8c68a26a00699c75ff75bd60eaa7cecf228"


def test_a_digest_outlives_the_store():
    assert digest(from_json(as_json(seminar(fresh()))).sessions[0]) == digest(fresh())


OTHER = session(START + 14 * DAYS, id="2021-12-11", talks=())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (session(), session(status=Status.CANCELLED), (ChangeKind.CANCELLED, "cancelled", True)),
        (session(status=Status.CANCELLED), session(), (ChangeKind.RESTORED, "takes place after all", True)),
        (
            session(),
            session(START + HOURS),
            (
                ChangeKind.MOVED,
                "moved from Sat 27 Nov 2021 9:30–11:30 (UTC+8) to Sat 27 Nov 2021 10:30–12:30 (UTC+8)",
                True,
            ),
        ),
        (
            session(talks=(Talk(), ZHU)),
            session(),
            (
                ChangeKind.FILLED_IN,
                "speaker added: 王宇航; title added: 冷冻电镜原理及相关算法; abstract added",
                False,
            ),
        ),
        (
            session(),
            session(talks=(replace(WANG, title="Electrons"), ZHU)),
            (ChangeKind.RETITLED, "title changed from 冷冻电镜原理及相关算法 to Electrons", False),
        ),
        (
            session(),
            session(talks=(replace(WANG, title="Electrons", speakers=(Speaker("Ada"),)), ZHU)),
            (
                ChangeKind.CHANGED,
                "speaker changed from 王宇航 to Ada; title changed from 冷冻电镜原理及相关算法 to Electrons",
                True,
            ),
        ),
        (
            session(talks=(replace(WANG, abstract=""), ZHU)),
            session(talks=(replace(WANG, title="Electrons", abstract="A"), ZHU)),
            (
                ChangeKind.RETITLED,
                "title changed from 冷冻电镜原理及相关算法 to Electrons; abstract added",
                False,
            ),
        ),
        (
            session(notice="N", talks=(replace(WANG, title=""), ZHU)),
            session(notice="M", talks=(WANG, ZHU)),
            (
                ChangeKind.CHANGED,
                "title added: 冷冻电镜原理及相关算法; notice changed from N to M",
                False,
            ),
        ),
        (session(status=Status.TENTATIVE), session(), (ChangeKind.CHANGED, "confirmed", False)),
        (session(talks=()), session(talks=(), quiet=True, notice=""), None),
        (session(), session(talks=(replace(WANG, bio="B"), ZHU)), (ChangeKind.CHANGED, "details changed", False)),
    ],
)
def test_a_change_of_a_session_has_a_kind_and_words(
    old: Session, new: Session, expected: tuple[ChangeKind, str, bool] | None
):
    changes = diff(seminar(old, OTHER), seminar(new, OTHER))
    assert changes == ((Change("2021-11-27", *expected),) if expected else ())


def test_new_and_vanished_sessions_are_told_by_their_dates():
    changes = diff(seminar(OTHER), seminar(session()))
    assert changes == (
        Change("2021-11-27", ChangeKind.NEW, "Sat 27 Nov 2021 9:30–11:30 (UTC+8), 王宇航, 朱通"),
        Change("2021-12-11", ChangeKind.VANISHED, "Sat 11 Dec 2021 9:30–11:30 (UTC+8)"),
    )
    assert diff(None, seminar(), "zh")[0].words == "11月27日 周六 9:30–11:30 (UTC+8), 王宇航, 朱通"


def test_changes_are_counted_in_one_line():
    kinds = [ChangeKind.NEW, ChangeKind.FILLED_IN, ChangeKind.MOVED, ChangeKind.NEW]
    assert summary(Change("x", kind, "") for kind in kinds) == "1 moved, 2 new, 1 filled in"
    assert summary(()) == "no changes"


ACCEPT = "run notifier reload --accept-removals"


def test_a_session_that_is_gone_is_told():
    assert vanished(seminar(session(), OTHER), seminar(OTHER)) == (
        Problem(
            'session "2021-11-27" (Sat 27 Nov 2021 9:30–11:30 (UTC+8), 王宇航, 朱通) is gone from the list',
            f'put it back, mark it status = "cancelled" so that readers are told, or {ACCEPT}',
        ),
    )


def test_a_past_session_that_is_gone_is_told():
    past = session(LONG_AGO, id="2021-01-01")
    assert len(vanished(seminar(past, OTHER), seminar(OTHER))) == 1


def test_a_talk_that_is_gone_is_told():
    assert vanished(seminar(), seminar(session(talks=(ZHU,)))) == (
        Problem(
            'the talk "冷冻电镜原理及相关算法" by 王宇航 is gone from session "2021-11-27"',
            f'put it back, mark the session status = "cancelled", or {ACCEPT}',
        ),
    )


def test_a_text_that_was_cut_off_is_told():
    cut = replace(WANG, abstract="An abstract of")
    assert vanished(seminar(), seminar(session(talks=(cut, ZHU)))) == (
        Problem(
            'the abstract of the talk "冷冻电镜原理及相关算法" by 王宇航 in session "2021-11-27" '
            'now ends at "An abstract of"',
            f"restore the rest, or {ACCEPT}",
        ),
    )


@pytest.mark.parametrize(
    "new",
    [
        (session(status=Status.CANCELLED),),
        (session(status=Status.CANCELLED, talks=()),),
        (session(START + 7 * DAYS),),
        (session(talks=(replace(WANG, title="Electrons"), ZHU)),),
        (session(talks=(WANG, Talk())),),
        (session(talks=(ZHU,)), session(START + 14 * DAYS, id="b", talks=(WANG,))),
        (session(talks=(Talk("Together", speakers=(*WANG.speakers, *ZHU.speakers)),)),),
        (session(talks=(replace(WANG, abstract="An abstract, rewritten."), ZHU)),),
        (session(talks=(replace(WANG, abstract=""), ZHU)),),
        (session(), session(START + DAYS, id="b")),
    ],
    ids=[
        "cancelled",
        "emptied-and-cancelled",
        "moved",
        "retitled",
        "open-again",
        "talk-elsewhere",
        "talk-together",
        "rewritten",
        "abstract-dropped",
        "added",
    ],
)
def test_what_the_organiser_plainly_meant_is_no_loss(new: tuple[Session, ...]):
    assert vanished(seminar(), seminar(*new)) == ()


def test_a_move_of_a_session_that_stays_cancelled_is_told_to_nobody():
    off = session(status=Status.CANCELLED)
    (change,) = diff(seminar(off), seminar(replace(off, start=START + DAYS, end=START + DAYS + HOURS)))
    assert (change.kind, change.material) == (ChangeKind.MOVED, False)


def test_a_cancelled_session_may_leave_the_list():
    assert vanished(seminar(session(status=Status.CANCELLED), OTHER), seminar(OTHER)) == ()


def test_an_empty_slot_may_leave_a_session():
    assert vanished(seminar(session(talks=(WANG, Talk()))), seminar(session(talks=(WANG,)))) == ()


@given(st.text(), st.text(min_size=1))
def test_a_cut_text_is_a_proper_beginning(text: str, rest: str):
    assert is_cut(text + rest, text)
    assert not is_cut(text, text)
    assert not is_cut(text, text + rest)
    assert not is_cut("x" + text + rest, text + rest)
    assert is_cut((text + rest).encode(errors="replace"), text.encode(errors="replace"))


class Editing(RuleBasedStateMachine):
    """An organiser edits a list, in either form, and reloads it; calendars follow each session by its UID."""

    def __init__(self) -> None:
        super().__init__()
        self.names = 0
        self.listed: dict[str, Session] = {}
        self.known: dict[str, Identity] = {}
        self.published: Seminar | None = None
        self.uids: dict[str, str] = {}
        self.now = NOW
        for _ in range(3):
            self.add(0)
        self.reload(is_page=False)

    @rule(after=st.integers(0, 100))
    def add(self, after: int) -> None:
        name = f"Talk {self.names}"
        self.names += 1
        start = START + timedelta(days=after, minutes=self.names)
        talk = Talk(name, speakers=(Speaker(f"Speaker {name}"),))
        self.listed[name] = fresh(start, id=f"id-{self.names}", talks=(talk,))

    @rule(days=st.integers(-30, 30), data=st.data())
    def move(self, days: int, data: st.DataObject) -> None:
        self.edit(data, start=lambda one: one.start + days * DAYS, end=lambda one: one.end + days * DAYS)

    @rule(data=st.data(), status=st.sampled_from(Status))
    def mark(self, data: st.DataObject, status: Status) -> None:
        self.edit(data, status=lambda _: status)

    @rule(data=st.data(), text=st.text(max_size=3))
    def rewrite(self, data: st.DataObject, text: str) -> None:
        self.edit(data, talks=lambda one: (replace(one.talks[0], abstract=text),), notice=lambda _: text)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.listed:
            del self.listed[data.draw(st.sampled_from(sorted(self.listed)))]

    def edit(self, data: st.DataObject, **how: Any) -> None:
        if self.listed:
            name = data.draw(st.sampled_from(sorted(self.listed)))
            one = self.listed[name]
            self.listed[name] = replace(one, **{field: change(one) for field, change in how.items()})

    @rule(is_page=st.booleans(), seconds=st.integers(-100, 100))
    def reload(self, is_page: bool, seconds: int = 0) -> None:
        self.now += seconds * SECOND
        sessions = [replace(one, id=f"{one.start:%Y-%m-%d}") if is_page else one for one in self.listed.values()]
        new = replace(seminar(), sessions=tuple(sessions))
        new, _ = recognise(self.published, new, has_ids=not is_page, taken=frozenset(self.known))
        before = self.published
        self.published, changed = stamp(new, self.known, domain="d", now=self.now, previous=before)
        again, none = stamp(new, kept(changed, self.known), domain="d", now=self.now + DAYS)
        assert (again, none) == (self.published, ())
        self.check(before, changed)
        self.known = kept(changed, self.known)

    def check(self, before: Seminar | None, changed: tuple[Identity, ...]) -> None:
        for identity in changed:
            last = self.known.get(identity.id)
            if last:
                assert identity.revision == last.revision + 1
                assert identity.modified > last.modified
                assert (identity.uid, identity.created) == (last.uid, last.created)
        assert self.published is not None
        for one in self.published.sessions:
            was = before.session(one.id) if before else None
            if was and replace(was, revision=one.revision, modified=one.modified) == one:
                assert was == one

    @invariant()
    def each_talk_stays_under_its_uid(self) -> None:
        for one in self.published.sessions if self.published else ():
            name = one.talks[0].title
            assert self.uids.setdefault(name, one.uid) == one.uid
        assert len(set(self.uids.values())) == len(self.uids)


TestEditing = Editing.TestCase
