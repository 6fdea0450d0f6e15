"""Mail to the organisers is tried a few times, and not for ever."""

from __future__ import annotations

from mailserver import Letter

from notifier.asides import ATTEMPTS, MOST, Asides
from notifier.replies import Answer


def aside(number: int) -> dict[str, Letter]:
    return {"": Letter("seminar@example.org", "org@example.org", f"<{number}>", b"Subject: trouble\r\n\r\n")}


def test_of_more_than_can_wait_the_newest_do() -> None:
    asides = Asides()
    for number in range(MOST + 2):
        asides.add(aside(number))  # type: ignore[arg-type]
    assert len(asides) == MOST
    assert asides.take()[""].message_id == "<2>"


def test_what_is_put_off_is_tried_so_often_and_what_was_answered_no_more() -> None:
    asides = Asides()
    tries = [asides.put_off(aside(1), Answer.DEFERRED) for _ in range(ATTEMPTS + 1)]  # type: ignore[arg-type]
    assert tries == [*range(ATTEMPTS), None]
    for answer in (Answer.ACCEPTED, Answer.REFUSED, Answer.AMBIGUOUS):
        assert asides.put_off(aside(2), answer) is None  # type: ignore[arg-type]
    assert [asides.put_off(aside(3), Answer.UNTRIED) for _ in range(20)] == 20 * [0]  # type: ignore[arg-type]
