"""Mailings to a server that fails in eighteen ways: nothing is lost, no living address dies, no second copy unexcused.

`python -m benchmarks.soak` does the same with more seeds and more people.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faultserver import REPLIES, FaultServer
from processes import house
from soaking import soak

from notifier.stores.sqlite.deliveries import RESENDS

pytestmark = pytest.mark.chaos

MESSAGES = 1000


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mailing_to_a_failing_server_reaches_everyone_alive(tmp_path: Path, seed: int) -> None:
    report = soak(tmp_path, seed, MESSAGES)
    assert report.is_well, report
    assert report.states == {"sent": 980, "failed": 20}
    assert report.duplicates <= report.messages / 20


def test_the_worse_the_server_the_longer_it_takes_and_nothing_else(tmp_path: Path) -> None:
    report = soak(tmp_path, 3, 200, rare=0.02)
    assert report.is_well, report
    assert len(report.faults) > 0.7 * len(REPLIES), "chance spared it too many kinds of fault"


def test_whose_mail_is_in_doubt_as_often_as_it_is_sent_is_left_to_a_person(tmp_path: Path) -> None:
    report = soak(tmp_path, 4, 3, rare=1, kinds=["taken, dropped"])
    assert report.is_well, report
    assert report.undecided == ("p1@b.example.org", "p2@c.example.org")
    assert report.states == {"failed": 1, "ambiguous": 2}
    assert report.duplicates == 2 * RESENDS


@pytest.fixture
def failing() -> Iterator[FaultServer]:
    """A server that fails, in a thread of its own; p0, p50, p100 … are dead."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    dead = frozenset(f"p{n}@example.org" for n in range(0, 400, 50))
    server = asyncio.run_coroutine_threadsafe(FaultServer(4, dead=dead, patience=10).start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_daemon_itself_reaches_everyone_alive(tmp_path: Path, failing: FaultServer) -> None:
    patience = """
        links = 4
        timeout = "10s"
        final_timeout = "10s"
        retry = ["1s", "2s"]
        rest = ["1s"]
        resend_after = "2s"
    """
    with house(tmp_path, failing.port, 400, patience) as home:
        home.born()
        home.wait_for(lambda: home.counted() == {"sent": 392, "failed": 8})
        copies = Counter(copy.recipient for copy in failing.taken)
        assert copies.keys() == set(home.addresses) - failing.dead
        assert [address for address, count in copies.items() if count - 1 > failing.cut[address]] == []
        assert len({(copy.recipient, copy.message_id, copy.date, copy.body) for copy in failing.taken}) == len(copies)
