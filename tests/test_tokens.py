from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer
from samples import ADA

from notifier.errors import TokenError, TokenExpired
from notifier.subscribers import CONFIRM_WITHIN
from notifier.tokens import Grant, Keyring, Purpose, SignedLinks

NOW = datetime(2021, 11, 20, tzinfo=UTC)
RING = Keyring(("a-key-for-tests",))
LINKS = SignedLinks("https://seminar.example.org", RING)
ONE = replace(ADA, id=7, series=2)
purposes = st.sampled_from(Purpose)
grants = st.builds(Grant, st.integers(1, 2**40), st.none() | st.integers(0, 2**20))


@given(purposes, grants)
def test_a_token_gives_what_it_was_made_for(purpose: Purpose, grant: Grant) -> None:
    assert RING.read(purpose, RING.sign(purpose, grant), NOW) == grant


@given(purposes, grants)
def test_a_token_is_what_itsdangerous_makes_of_it(purpose: Purpose, grant: Grant) -> None:
    made = [part for part in (grant.subscriber_id, grant.series) if part is not None]
    serializer = URLSafeSerializer(list(RING.keys), salt=f"notifier.{purpose}")
    given = made if len(made) > 1 else made[0]
    ours, theirs = RING.sign(purpose, grant), serializer.dumps(given)
    assert serializer.loads(ours) == given
    assert ours == theirs or theirs.startswith(".")  # it packs numbers with many zeros, which we send as they are


@given(purposes, purposes, grants)
def test_a_token_is_good_for_one_purpose_alone(purpose: Purpose, other: Purpose, grant: Grant) -> None:
    if purpose is not other:
        with pytest.raises(TokenError):
            RING.read(other, RING.sign(purpose, grant), NOW)


@given(purposes, grants, st.data())
def test_a_token_that_was_cut_or_changed_is_refused(purpose: Purpose, grant: Grant, data: st.DataObject) -> None:
    good = RING.sign(purpose, grant)
    cut = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:cut], good + "x", good[::-1], good[:cut] + "~" + good[cut + 1 :]):
        with pytest.raises(TokenError):
            RING.read(purpose, bad, NOW)


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_text_of_others_is_a_token(text: str) -> None:
    with pytest.raises(TokenError):
        RING.read(Purpose.UNSUBSCRIBE, text, NOW)


def test_a_rotated_ring_verifies_old_tokens_until_they_are_retired() -> None:
    old = RING.sign(Purpose.UNSUBSCRIBE, Grant(7))
    rotated = RING.rotated("another-key")
    new = rotated.sign(Purpose.UNSUBSCRIBE, Grant(7))
    assert new != old
    assert rotated.read(Purpose.UNSUBSCRIBE, old, NOW) == Grant(7)
    assert Keyring.parse(rotated.text) == rotated
    assert rotated.retired().read(Purpose.UNSUBSCRIBE, new, NOW) == Grant(7)
    with pytest.raises(TokenError):
        rotated.retired().read(Purpose.UNSUBSCRIBE, old, NOW)


def test_a_confirmation_ends_after_its_time_and_the_others_never() -> None:
    for purpose in Purpose:
        token = LINKS.token(purpose, ONE, NOW)
        assert RING.read(purpose, token, NOW + CONFIRM_WITHIN * 0.99).subscriber_id == 7
        if purpose is Purpose.CONFIRM:
            with pytest.raises(TokenExpired):
                RING.read(purpose, token, NOW + CONFIRM_WITHIN)
        else:
            assert RING.read(purpose, token, NOW + CONFIRM_WITHIN * 999).subscriber_id == 7


def test_every_link_but_the_one_that_unsubscribes_is_of_a_series() -> None:
    series = {purpose: RING.read(purpose, LINKS.token(purpose, ONE, NOW), NOW).series for purpose in Purpose}
    assert series.pop(Purpose.UNSUBSCRIBE) is None
    assert set(series.values()) == {2}


def test_links_of_the_first_version_still_work() -> None:
    from itsdangerous import URLSafeSerializer

    sent = URLSafeSerializer("a-key-for-tests", salt="notifier.unsubscribe").dumps(7)
    assert RING.read(Purpose.UNSUBSCRIBE, sent, NOW) == Grant(7)


def test_neither_a_link_nor_a_ring_shows_what_is_secret() -> None:
    link = LINKS.url(Purpose.PREFERENCES, ONE, NOW)
    assert link.startswith("https://seminar.example.org/preferences/")
    assert "ada" not in link
    assert "key" not in repr(LINKS).replace("keyring=Keyring", "")
