"""A mail that a server took and never said so: resent three times, the same to the byte; then a person settles it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mailserver import RudeServer, vanish
from processes import House, house


@pytest.fixture
def uncertain(tmp_path: Path) -> Iterator[tuple[House, RudeServer]]:
    """A daemon that sent one mail four times to a server that hung up each time; then the server is well."""
    settings = """
        links = 1
        rest = ["1s"]
        resend_after = "0s"
    """
    with RudeServer(*[("body", vanish)] * 4) as server, house(tmp_path, server.port, 1, settings) as home:
        home.born()
        home.wait_for(lambda: status(home)["undecided"] == 1)
        yield home, server


def status(home: House) -> dict[str, object]:
    told: dict[str, object] = json.loads(home.asked("status", "--json").stdout)
    return told


@pytest.mark.chaos
def test_what_may_have_arrived_too_often_waits_for_a_person_who_may_resend_it(
    uncertain: tuple[House, RudeServer],
) -> None:
    home, server = uncertain
    asked = home.asked("status")
    assert asked.returncode == 1
    assert "1 deliveries may or may not have arrived, and are not sent again" in asked.stdout
    assert "notifier release --ambiguous resend, or sent" in home.asked("explain", home.addresses[0]).stdout
    assert server.inbox == []
    assert home.asked("release", "--ambiguous", "resend").stdout == "sent once more: 1 that may have arrived\n"
    home.wait_until_all_are_sent()
    assert len(server.inbox) == 1
    assert home.asked("status").returncode == 0
    again = home.asked("release", "--ambiguous", "resend", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (1, {"decided": 0})


@pytest.mark.chaos
def test_what_may_have_arrived_may_be_counted_as_sent(uncertain: tuple[House, RudeServer]) -> None:
    home, server = uncertain
    assert home.asked("release", "--ambiguous", "sent").stdout == "counted as sent: 1 that may have arrived\n"
    assert (home.counted(), server.inbox) == ({"sent": 1}, [])
    explained = home.asked("explain", home.addresses[0]).stdout
    assert "counted as sent by a person; " in explained
    assert "release --ambiguous" not in explained
