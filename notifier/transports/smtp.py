"""Messages through a mail server, over a few links that are kept for the next message."""

from __future__ import annotations

import asyncio
import logging
import math

from notifier import relay
from notifier.relay import SmtpSettings, Unreachable
from notifier.replies import Answer, Outcome
from notifier.transports import Outbox
from notifier.transports.wire import Addressed, AddressedOutbox, Link

log = logging.getLogger(__name__)

STEPWISE_SECONDS = 3600  # for which a server that answered a group of commands in part is asked one at a time


class SmtpTransport:
    """Carries over at most `links` connections at once and keeps them open for the next message.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._tls = relay.tls_context(settings)
        self._slots = asyncio.Semaphore(settings.links)
        self._resting: list[Link] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._stepwise_until = -math.inf

    async def carry(self, outbox: Outbox) -> None:
        """Carries what the outbox hands out. A cancelled call gives up its link: a late reply must not meet others."""
        async with self._slots:
            await self._carry(AddressedOutbox(outbox))

    async def close(self) -> None:
        """Says goodbye on the links that rest; one that carries a message is closed when that has ended."""
        self._closed = True
        for link in tuple(self._resting):
            self._retire(link)
        await asyncio.gather(*self._leaving)

    async def _carry(self, outbox: AddressedOutbox) -> None:
        left: Addressed | None = None
        while (message := left or await outbox.next()) is not None:
            try:
                link = self._rested() or await self._linked()
            except Unreachable as unreachable:
                outbox.tell(message, unreachable.outcome)
                left = None
            except BaseException:
                outbox.tell(message, Outcome(Answer.UNTRIED))
                raise
            else:
                try:
                    left = await link.carry(message, outbox)
                finally:
                    self._rest(link)
                    if link.is_answered_in_part:
                        self._slow_down()

    async def _linked(self) -> Link:
        # To a server that is slow to say goodbye these are connections still, and it may count them.
        while len(self._leaving) >= self._settings.links:
            await asyncio.wait(self._leaving, return_when=asyncio.FIRST_COMPLETED)
        client = await relay.connect(self._settings, self._tls)
        stepwise = asyncio.get_running_loop().time() < self._stepwise_until
        return Link(client, self._settings, stepwise=stepwise)

    def _slow_down(self) -> None:
        log.warning("%s answers groups of commands in part and gets one at a time for an hour", self._settings.where)
        self._stepwise_until = asyncio.get_running_loop().time() + STEPWISE_SECONDS

    def _rested(self) -> Link | None:
        """A link that can go on. The last one to rest, so that those that are not needed grow old."""
        while self._resting:
            link = self._resting.pop()
            link.stop_clock()
            if link.is_usable:
                return link
            self._part(link)
        return None

    def _rest(self, link: Link) -> None:
        if link.is_usable and not self._closed:
            self._resting.append(link)
            link.start_clock(self._retire)
        else:
            self._part(link)

    def _retire(self, link: Link) -> None:
        self._resting.remove(link)
        link.stop_clock()
        self._part(link)

    def _part(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(link.leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
