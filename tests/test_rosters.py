from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from samples import ADA, BOB, CAROL
from test_subscribers import people

from notifier.errors import AddressError
from notifier.rosters import read_csv, write_csv
from notifier.subscribers import State, Subscriber


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


@given(st.lists(people, unique_by=lambda one: one.address))
def test_what_is_exported_comes_back(everyone: list[Subscriber]) -> None:
    assert [one for _, one in read_csv("".join(write_csv(everyone)))] == everyone


def test_what_an_import_leaves_unsaid_stays() -> None:
    known = {ADA.address: replace(ADA, leads=(timedelta(hours=1),), words=("topology",)), BOB.address: BOB}
    read = list(read_csv("address,language\nADA@example.org,en\nbob@example.org,\n", known))
    assert read == [
        (2, replace(known[ADA.address], address="ADA@example.org", language="en")),
        (3, replace(BOB, language="en")),
    ]


def test_an_import_brings_back_nobody_who_left_or_is_blocked() -> None:
    known = {
        ADA.address: replace(ADA, state=State.UNSUBSCRIBED),
        BOB.address: replace(BOB, state=State.BLOCKED),
    }
    text = "address,state\nada@example.org,confirmed\nbob@example.org,confirmed\ncarol@example.org,confirmed\n"
    ada, bob, carol = (one for _, one in read_csv(text, known))
    assert "'ada@example.org' is unsubscribed and stays so" in str(ada)
    assert "'bob@example.org' is blocked and stays so" in str(bob)
    assert carol == Subscriber(CAROL.address)
    unsaid = [one for _, one in read_csv("ada@example.org\nbob@example.org\n", known)]
    assert [one.state for one in unsaid if isinstance(one, Subscriber)] == [State.UNSUBSCRIBED, State.BLOCKED]


def test_an_address_that_stands_twice_in_a_list_is_told_of() -> None:
    (_, first), (line, again) = read_csv("ada@example.org\nADA@example.org\n")
    assert (first, line) == (Subscriber("ada@example.org"), 2)
    assert "stands in line 1 already" in str(again)
