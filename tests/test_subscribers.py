from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ADA, BOB, CAROL

from notifier.errors import AddressError, TokenError
from notifier.subscribers import (
    State,
    Subscriber,
    normalised_address,
    read_csv,
    read_token,
    subscriber,
    token,
    write_csv,
)

KEY = "a key for tests"


@pytest.mark.parametrize(
    ("given_", "address"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada@EXAMPLE.org", "Ada@example.org"),
        ("王@例子.中国", "王@xn--fsqu00a.xn--fiqs8s"),
        ("root@localhost", "root@localhost"),
        ("ada@mail.lan", "ada@mail.lan"),
        ("ada@seminar.test", "ada@seminar.test"),
    ],
)
def test_an_address_is_kept_as_the_mail_server_takes_it(given_: str, address: str) -> None:
    assert normalised_address(given_) == address


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "a b@example.org", "ada@example.org\r\nBcc: x@example.org", "ada@x> BODY=8BITMIME", "a@b@c.org",
     "ada@example..org", "<ada@example.org>", "a@localhost\n", "a b@localhost", "ada@example.org,bob@example.org"],
)  # fmt: skip
def test_what_is_no_single_mailbox_is_refused_with_words(address: str) -> None:
    with pytest.raises(AddressError, match="is no e-mail address"):
        normalised_address(address)


def test_every_problem_of_a_subscriber_is_told_at_once() -> None:
    with pytest.raises(AddressError) as refused:
        subscriber({"address": "ada", "language": "fr", "timezone": "Mars/Base", "leads": "soon", "state": "asleep"})
    assert [p.message.split("'")[1] for p in refused.value.problems] == ["ada", "fr", "Mars/Base", "soon", "asleep"]


def test_a_csv_is_read_line_by_line_with_the_bad_lines_by_number() -> None:
    text = "\ufeffE-Mail,Name,language,leads\nada@example.org,艾达,zh,1d 1h\n\nnonsense,,,\nbob@example.org,Bob,,\n"
    read = list(read_csv(text))
    assert read[0] == (2, Subscriber("ada@example.org", "艾达", "zh", leads=(timedelta(days=1), timedelta(hours=1))))
    assert (read[1][0], type(read[1][1])) == (4, AddressError)
    assert read[2] == (5, Subscriber("bob@example.org", "Bob"))


def test_a_bare_list_of_addresses_is_a_csv_too() -> None:
    assert list(read_csv("ada@example.org\nbob@example.org,Bob\n")) == [
        (1, Subscriber("ada@example.org")),
        (2, Subscriber("bob@example.org", "Bob")),
    ]


def test_what_is_exported_comes_back() -> None:
    people = [
        ADA,
        BOB,
        Subscriber("x@example.org", 'Q "R", S', state=State.BLOCKED, leads=(timedelta(minutes=90),)),
        CAROL,
    ]
    assert [one for _, one in read_csv("".join(write_csv(people)))] == people


@given(st.integers(0, 2**40))
def test_a_token_names_its_subscriber(number: int) -> None:
    assert read_token("unsubscribe", token("unsubscribe", number, KEY), KEY) == number


@given(st.integers(0, 2**40), st.data())
def test_a_token_that_was_cut_or_changed_is_refused(number: int, data: st.DataObject) -> None:
    good = token("unsubscribe", number, KEY)
    cut = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:cut], good + "x", good[::-1]):
        with pytest.raises(TokenError):
            read_token("unsubscribe", bad, KEY)


def test_a_token_of_another_purpose_or_key_is_refused() -> None:
    for purpose, key in (("confirm", KEY), ("unsubscribe", "another key")):
        with pytest.raises(TokenError):
            read_token("unsubscribe", token(purpose, 7, key), KEY)


def test_a_token_holds_no_address() -> None:
    assert "@" not in token("unsubscribe", 7, KEY)
