"""A mail server on loopback that fails in every way seen in the wild, by chance that a seed decides.

What it did is kept apart from what it said: `taken` is what really arrived, and `cut` counts, for each recipient, how
often a message was taken and that was not said: the connection dropped, nonsense, or no whole reply within the client's
patience, by the server's own clock. Nothing but that excuses a second copy, whatever the client says for itself.
`unsaid` counts these and the messages that were cut off on their way: what a client cannot know the fate of.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import Self

HOST = "127.0.0.1"
RARE = 0.004

# What may go wrong in one transaction, at which stage, and what is said then.
REPLIES = {
    "mail 451": ("mail", b"451 4.3.0 try again"),
    "rcpt 450": ("rcpt", b"450 4.2.0 greylisted"),
    "rcpt 451": ("rcpt", b"451 4.4.5 server busy"),
    "rcpt 452": ("rcpt", b"452 4.2.2 mailbox full"),
    "rcpt 550 frequency": ("rcpt", b"550 Sender frequency limited"),
    "rcpt 552 full": ("rcpt", b"552 5.2.2 mailbox is full"),
    "rcpt gbk": ("rcpt", b"450 " + "请稍后再试".encode("gbk")),
    "rcpt malformed": ("rcpt", b"what was that?"),
    "data dropped": ("data", None),
    "body reset": ("middle", None),
    "body 554 spam": ("body", b"554 DT:SPM, 163 smtp1"),
    "body 421": ("body", b"421 4.3.2 closing"),
    "taken, dropped": ("taken", None),
    "taken, slow": ("taken", b"slow"),
    "taken, dripping": ("taken", b"drip"),
    "taken, malformed": ("taken", b"well done"),
    "taken, gbk": ("taken", b"250 " + "已收到".encode("gbk")),
}
NONSENSE = "taken, malformed"
BUSY = "banner 421"


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that arrived."""

    recipient: str
    message_id: str
    date: str
    body: bytes


@dataclass
class FaultServer:
    """Accepts everything, except what chance spoils and recipients who are `dead`.

    `kinds` of fault are equally `rare`. `patience` is the client's, in seconds: a slow reply takes longer. `offers` are
    its extensions.
    """

    seed: int = 0
    rare: float = RARE
    dead: frozenset[str] = frozenset()
    patience: float = 0.3
    offers: tuple[str, ...] = ("PIPELINING", "8BITMIME")
    kinds: tuple[str, ...] = (BUSY, *REPLIES)
    taken: list[Copy] = field(default_factory=list)
    cut: Counter[str] = field(default_factory=Counter)
    unsaid: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    transactions: int = 0
    port: int = 0

    async def start(self) -> Self:
        self._chance = random.Random(self.seed)
        self._conversations: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._converse, HOST, self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await asyncio.sleep(0.05)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            if BUSY in self.kinds and self._chance.random() < 2.5 * self.rare:
                self.faults[BUSY] += 1
                writer.write(b"421 4.3.2 too busy\r\n")
                return
            writer.write(b"220 mail.example.org\r\n")
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = recipient = ""
        say = _sayer(writer)
        while line := await reader.readline():
            verb = line.split(b":")[0].split()[0].upper()
            if verb == b"EHLO":
                offers = [f"250-{offer}" for offer in self.offers]
                await say("\r\n".join(["250-mail.example.org", *offers, "250 HELP"]).encode())
            elif verb == b"MAIL":
                fault, recipient = self._draw(), ""
                await say(self._spoilt(fault, "mail") or b"250 2.1.0 sender ok")
            elif verb == b"RCPT":
                address = line.partition(b"<")[2].partition(b">")[0].decode()
                reply = b"550 5.1.1 no such user" if address in self.dead else self._spoilt(fault, "rcpt")
                recipient = "" if reply else address
                await say(reply or b"250 2.1.5 recipient ok")
            elif verb == b"DATA" and not recipient:
                await say(b"554 5.5.1 no valid recipients")
            elif verb == b"DATA":
                self._drop_if(fault, "data")
                await say(b"354 go on")
                await self._receive(reader, writer, fault, recipient)
                recipient = ""
            elif verb == b"RSET":
                recipient = ""
                await say(b"250 2.0.0 reset")
            elif verb == b"QUIT":
                await say(b"221 2.0.0 bye")
                return
            else:
                await say(b"250 2.0.0 ok")

    async def _receive(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str, recipient: str
    ) -> None:
        say = _sayer(writer)
        if REPLIES.get(fault, ("",))[0] == "middle":
            await reader.readline()
            self.faults[fault] += 1
            self.unsaid[recipient] += 1
            writer.transport.abort()
            raise ConnectionResetError
        body = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        if reply := self._spoilt(fault, "body"):
            await say(reply)
            if reply.startswith(b"421"):
                raise ConnectionResetError
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        headers = BytesHeaderParser().parsebytes(body)
        self.taken.append(Copy(recipient, str(headers["Message-ID"]), str(headers["Date"]), body))
        self.cut[recipient] += 1
        self.unsaid[recipient] += 1
        self._drop_if(fault, "taken")
        reply = self._spoilt(fault, "taken")
        if reply == b"slow":
            await asyncio.sleep(3 * self.patience)
        elif reply == b"drip":
            for octet in b"250-2.0.0 taken":
                writer.write(bytes([octet]))
                await asyncio.sleep(self.patience / 3)
        if fault != NONSENSE and loop.time() - began < self.patience:
            self.cut[recipient] -= 1  # also if the client is gone: it had no reason
            self.unsaid[recipient] -= 1
        await say(reply if reply and reply not in (b"slow", b"drip") else b"250 2.0.0 taken")

    def _draw(self) -> str:
        self.transactions += 1
        kinds = [kind for kind in self.kinds if kind != BUSY]
        number = int(self._chance.random() / self.rare) if self.rare else len(kinds)
        return kinds[number] if number < len(kinds) else ""

    def _spoilt(self, fault: str, stage: str) -> bytes | None:
        where, reply = REPLIES.get(fault, ("", None))
        if where != stage:
            return None
        self.faults[fault] += 1
        return reply

    def _drop_if(self, fault: str, stage: str) -> None:
        if REPLIES.get(fault) == (stage, None):
            self.faults[fault] += 1
            raise ConnectionResetError


def _sayer(writer: asyncio.StreamWriter) -> Callable[[bytes], Awaitable[None]]:
    async def say(reply: bytes) -> None:
        writer.write(reply + b"\r\n")
        await writer.drain()

    return say
