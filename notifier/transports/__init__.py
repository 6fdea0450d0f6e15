"""A message → the wire → an `Outcome`: one interface; SMTP through a few kept links, or files in a Maildir.

The law of this family: no DATA without a committed intent. `before_data` is awaited when the server has accepted sender
and recipient, right before DATA, and False there ends the transaction. Once the first octet of a body has left, only
the server's own reply says what became of it; whatever lacks one is ambiguous.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from notifier.replies import Outcome

BeforeData = Callable[[], Awaitable[bool]]


class Envelope(Protocol):
    """A message ready for the wire: `body` is the complete RFC 5322 text with CRLF, in 7-bit octets."""

    @property
    def sender(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class Transport(Protocol):
    """A way for messages to leave."""

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        """What became of the message; a failure of the transport is an outcome, not an exception."""
        ...

    async def close(self) -> None:
        """Gives back what is held open; a message on the wire still ends."""
        ...
