"""Whatever a server says, and when: what is told as sent it has; what is told as not sent it has not, or refused."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mailserver import HOST, Letter, Prank, RudeServer, last_words, reset, vanish, words

from notifier.relay import SmtpSettings
from notifier.replies import Answer, Outcome
from notifier.transports import Envelope
from notifier.transports.smtp import SmtpTransport

PEOPLE = [f"p{number}@example.org" for number in range(5)]
PATIENCE = timedelta(seconds=0.3)
REFUSALS = [words(b"452 4.3.1 disk full\r\n"), words(b"554 5.6.0 no\r\n"), last_words(b"421 4.3.2 closing\r\n")]
UNSAID = [vanish, reset, words(b"???\r\n"), words(b""), words(b"25"), last_words(b"250-taken\r\n")]
TWICE = words(b"250 ok\r\n250 ok\r\n")
PRANKS: dict[str, list[Prank]] = {
    "connect": [last_words(b"421 4.3.2 too busy\r\n"), words(b"250 hello\r\n"), vanish],
    "hello": [vanish, words(b"220 hello\r\n")],
    "mail": [*REFUSALS, *UNSAID, TWICE, words(b"500 what?\r\n"), words(b"503 5.5.1 nested MAIL\r\n")],
    "rcpt": [*REFUSALS, *UNSAID, TWICE, words(b"550 5.1.1 no such user\r\n")],
    "data": [
        *REFUSALS, *UNSAID, words(b"250 ok\r\n"), words(b"354 go\r\n354 go\r\n"), words(b"354 go\r\n250 ok\r\n"),
    ],
    "middle": [vanish, reset, words(b"354 go on\r\n"), REFUSALS[0]],
    "body": [
        *REFUSALS, *UNSAID, TWICE, words(b"354 go\r\n250 ok\r\n"), words(b"221 bye\r\n"), last_words(b"250 ok\r\n"),
    ],
    "after": [vanish, reset, words(b"250 again\r\n"), last_words(b"421 4.7.0 enough\r\n")],
    "reset": [vanish, words(b"500 what?\r\n"), TWICE],
}  # fmt: skip
PRANK = st.sampled_from(sorted(PRANKS)).flatmap(lambda stage: st.tuples(st.just(stage), st.sampled_from(PRANKS[stage])))


class WatchedServer(RudeServer):
    """A rude server that knows whose whole message it has, and to whose it said no."""

    def __init__(self, pranks: list[tuple[str, Prank]], *, pipelining: bool) -> None:
        super().__init__(*pranks, pipelining=pipelining)
        self.had: list[str] = []
        self.refused: set[str] = set()

    async def _answer(self, writer: asyncio.StreamWriter, stage: str, usual: bytes) -> bool:
        refusals = {("middle", REFUSALS[0]), *(("body", refusal) for refusal in REFUSALS)}
        prank = next((prank for prank in self._pranks if prank[0] == stage), None)
        if stage in ("middle", "body"):
            whose = next(line for line in reversed(self.commands) if line.startswith("RCPT")).split("<")[1].strip(">")
            if stage == "body":
                self.had.append(whose)
            if prank in refusals:
                self.refused.add(whose)
        return await super()._answer(writer, stage, usual)


class Pile:
    """A message for each of these people, and what became of it."""

    def __init__(self) -> None:
        self.told: dict[str, Outcome] = {}
        self._waiting = deque(
            Letter("seminar@example.org", to, f"<{to}>", f"Message-ID: <{to}>\r\n\r\nHello.\r\n".encode())
            for to in PEOPLE
        )

    async def next(self) -> Envelope | None:
        return self.ready()

    def ready(self) -> Envelope | None:
        return self._waiting.popleft() if self._waiting else None

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        assert envelope.recipient not in self.told, "told twice"
        self.told[envelope.recipient] = outcome


async def carried(server: RudeServer) -> dict[str, Outcome]:
    patience = dict.fromkeys(("connect_timeout", "timeout", "final_timeout"), PATIENCE)
    smtp = SmtpTransport(
        SmtpSettings(HOST, server.port, "none", links=1, local_hostname="here.example.org", **patience)
    )
    await smtp.carry(pile := Pile())
    await smtp.close()
    return pile.told


@pytest.mark.chaos
@pytest.mark.parametrize("pipelining", [False, True], ids=["stepwise", "pipelined"])
@settings(max_examples=40)
@given(st.lists(PRANK, min_size=1, max_size=4))
def test_what_is_told_of_a_message_is_so(pipelining: bool, pranks: list[tuple[str, Prank]]) -> None:
    with WatchedServer(pranks, pipelining=pipelining) as server:
        told = asyncio.run(carried(server))
    assert sorted(told) == PEOPLE
    assert len(server.had) == len(set(server.had))
    for one, outcome in told.items():
        if outcome.answer is Answer.ACCEPTED:
            assert one in server.had
        elif outcome.answer is not Answer.AMBIGUOUS:
            assert one not in server.had or one in server.refused
