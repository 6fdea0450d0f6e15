"""One soak: a mailing through the real ledger, dispatcher and transport to a server that fails; then, who got what.

Client and server live in one loop, whose clock stands still while it works or the machine does something else.
So no reply is late that was not meant to be, however busy the machine.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faultserver import BUSY, HOST, RARE, REPLIES, FaultServer
from samples import DAYS, LONG_AGO, START, seminar, session

from notifier import files
from notifier.dispatch import Dispatcher
from notifier.lanes import Lane
from notifier.letters import Templates
from notifier.messages import Composer, Mailbox, Message, Site
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.relay import SmtpSettings
from notifier.stores import Claim
from notifier.stores.sqlite import SqliteStore
from notifier.stores.sqlite.deliveries import RESENDS
from notifier.subscribers import Subscriber
from notifier.transports.smtp import SmtpTransport

DEAD = 50  # every so many-th address
SPEED = 600  # ten minutes pass in one second, so that a day of retries is seen out
DUE = (START - DAYS).astimezone(UTC)
PATIENCE = timedelta(seconds=0.3)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one mailing.

    Of `undecided` people the server kept the fate of the mail to itself as often as a mail is sent, so that a person is
    to say what next: nobody is lost or wronged by that.
    """

    seed: int
    messages: int
    seconds: float
    lost: tuple[str, ...]
    falsely_failed: tuple[str, ...]
    mailed_though_dead: tuple[str, ...]
    duplicates: int
    unexcused: tuple[str, ...]
    undecided: tuple[str, ...]
    altered: tuple[str, ...]
    states: dict[str, int]
    transactions: int
    faults: dict[str, int]

    @property
    def is_well(self) -> bool:
        """Nothing is lost, nobody wronged, and second copies come only of what the server took without saying so."""
        return not (self.lost or self.falsely_failed or self.mailed_though_dead or self.unexcused or self.altered)


class _Rests(selectors.DefaultSelector):
    """Sums up how long the loop chose to sleep, in seconds."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        events = super().select(timeout)
        slept = time.monotonic() - began
        self.seconds += 1e-4 + (slept if timeout is None else min(slept, timeout))
        return events


class UnhurriedLoop(asyncio.SelectorEventLoop):
    """A loop for whose timers only its own rests count, and a tenth of a millisecond for each of its turns."""

    def __init__(self) -> None:
        self._rests = _Rests()
        super().__init__(self._rests)

    def time(self) -> float:
        return self._rests.seconds


class FastClock:
    """Time that runs `SPEED` times as fast as the loop's, from when the notice is due."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def __call__(self) -> datetime:
        return DUE + SPEED * timedelta(seconds=self._loop.time() - self._began)


def soak(
    folder: Path,
    seed: int,
    messages: int,
    *,
    rare: float = RARE,
    kinds: Sequence[str] = (BUSY, *REPLIES),
    links: int = 4,
) -> Report:
    """Mails so many people, some of whom are dead, and waits until nothing more is to be done."""
    with asyncio.Runner(loop_factory=UnhurriedLoop) as runner:
        return runner.run(_soak(folder, seed, messages, rare, tuple(kinds), links))


async def _soak(folder: Path, seed: int, messages: int, rare: float, kinds: tuple[str, ...], links: int) -> Report:
    people = [f"p{n}@{'abc'[n % 3]}.example.org" for n in range(messages)]
    dead = frozenset(people[::DEAD])
    offers = ("PIPELINING", "8BITMIME") if seed % 2 else ("8BITMIME",)
    server = await FaultServer(seed, rare, dead, PATIENCE.total_seconds(), offers, kinds).start()
    began = time.monotonic()
    async with _ledger(folder / f"{seed}.db", people) as store:
        settings = SmtpSettings(
            HOST, server.port, "none", links=links, local_hostname="soak.example.org",
            connect_timeout=PATIENCE, timeout=PATIENCE, final_timeout=PATIENCE,
        )  # fmt: skip
        dispatcher = Dispatcher(store, [Lane(SmtpTransport(settings), links)], _composer(), FastClock())
        dispatcher.start()
        while not await _is_over(store):
            dispatcher.wake()
            await asyncio.sleep(0.05)
        await dispatcher.stop()
        rows = {d.address: d for one in await store.subscribers() for d in await store.deliveries(one.id)}
    await server.stop()
    copies = Counter(copy.recipient for copy in server.taken)
    first = {copy.recipient: copy for copy in reversed(server.taken)}
    undecided = [one for one in people if rows[one].is_undecided and server.unsaid[one] > RESENDS]
    settled = [one for one in people if one not in dead and one not in undecided]
    return Report(
        seed,
        messages,
        time.monotonic() - began,
        lost=tuple(one for one in settled if not copies[one]),
        falsely_failed=tuple(one for one in settled if rows[one].state != "sent"),
        mailed_though_dead=tuple(one for one in dead if copies[one] or rows[one].state != "failed"),
        duplicates=sum(n - 1 for n in copies.values()),
        unexcused=tuple(one for one, n in copies.items() if n - 1 > server.cut[one]),
        undecided=tuple(undecided),
        altered=tuple({copy.recipient for copy in server.taken if copy != first[copy.recipient]}),
        states=dict(Counter(str(d.state) for d in rows.values())),
        transactions=server.transactions,
        faults=dict(server.faults),
    )


@asynccontextmanager
async def _ledger(path: Path, people: list[str]) -> AsyncIterator[SqliteStore]:
    """A ledger that owes each of them one reminder, which may take a day."""
    store = await SqliteStore.open(path)
    await store.begin(LONG_AGO, ())
    await store.subscribe([Subscriber(address) for address in people], LONG_AGO)
    notice = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, DUE, DUE + DAYS, DAYS, Recipients(everyone=True))
    await store.settle([Decision(notice, Verdict.OPEN)], session(), DUE)
    yield store
    await store.close()


def _composer():  # type: ignore[no-untyped-def]
    site = Site(
        "https://seminar.example.org", "seminar.example.org", Mailbox("Seminar", "seminar@example.org"), seminar(),
        lambda purpose, one, at: f"https://seminar.example.org/{purpose}/{one.id}",
    )  # fmt: skip
    composer = Composer(site, Templates(files.shipped(), {}))

    def compose(claim: Claim) -> Message:
        return composer.compose(claim.notice, claim.session, claim.subscriber, date=claim.opened_at, before=None)

    return compose


async def _is_over(store: SqliteStore) -> bool:
    now = await store.summary(DUE)
    waiting = ("queued", "claimed", "in-flight", "deferred", "ambiguous")
    return sum(now.deliveries.get(state, 0) for state in waiting) == now.undecided
