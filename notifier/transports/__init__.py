"""A message → the wire → an `Outcome`: one interface; SMTP through a few kept links, or files in a Maildir.

The law of this family: no DATA without a committed intent. What an outbox hands out is in flight in the ledger already,
for good, so that a transport need not wait between a message and the next. Once the first octet of a body has left,
only the server's own reply says what became of it; whatever lacks one is ambiguous.
"""

from __future__ import annotations

from typing import Protocol

from notifier.replies import Answer, Outcome


class Envelope(Protocol):
    """A message ready for the wire: `body` is the complete RFC 5322 text with CRLF, in 7-bit octets.

    `mark` is a word of plain letters by which a report of the delivery is to name it, "" for none.
    """

    @property
    def sender(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def mark(self) -> str: ...


class Outbox(Protocol):
    """The messages that one link is to carry, one after the other; each that is handed out is told of exactly once."""

    async def next(self) -> Envelope | None:
        """The next message, waited for; None when there is nothing to carry now."""
        ...

    def ready(self) -> Envelope | None:
        """The next message if it may leave this instant."""
        ...

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        """What became of a message that was handed out; UNTRIED gives it back."""
        ...


class Transport(Protocol):
    """A way for messages to leave."""

    async def carry(self, outbox: Outbox) -> None:
        """Carries what the outbox hands out until there is nothing more.

        A failure of the transport is an outcome, not an exception. A cancelled call still tells of every message.
        """
        ...

    async def close(self) -> None:
        """Gives back what is held open; a message on the wire still ends."""
        ...


async def send(transport: Transport, envelope: Envelope) -> Outcome:
    """What became of one message that no ledger owes, such as a test."""
    outbox = _Single(envelope)
    await transport.carry(outbox)
    return outbox.outcome


class _Single:
    def __init__(self, envelope: Envelope) -> None:
        self.outcome = Outcome(Answer.UNTRIED)
        self._waiting: Envelope | None = envelope

    async def next(self) -> Envelope | None:
        return self.ready()

    def ready(self) -> Envelope | None:
        waiting, self._waiting = self._waiting, None
        return waiting

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        self.outcome = outcome
