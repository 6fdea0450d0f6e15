"""A day in the daemon's life: start, wake, reconcile, send, reload, stop; the only conductor.

Nothing is planned ahead. At every wake-up `_reconcile` derives anew what is due from the talk list, the rules, the
ledger and the clock, and settles it in the ledger; the dispatcher's senders claim from the ledger what is owed.
APScheduler only wakes it, and a heartbeat of its own does the same should APScheduler fail.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from notifier import bulletins, clock, control, desk, files, foresight, letters, pages, systemd, verdicts, wiring
from notifier.collector import Collector, Leniency
from notifier.config import Config
from notifier.control import Request
from notifier.dispatch import Dispatcher
from notifier.errors import MailboxError, NotifierError, Problem, StoreError
from notifier.locks import lock
from notifier.mailroom import Mailroom
from notifier.metrics import Figures
from notifier.notices import Decision, Verdict
from notifier.office import Office
from notifier.pages import Snapshot
from notifier.publisher import Publisher
from notifier.server import Server
from notifier.stores import HIGH_WATER, Progress
from notifier.subscriptions import Subscriptions
from notifier.talks import Session
from notifier.tokens import LINK_KEYS, Keyring

log = logging.getLogger(__name__)

HEARTBEAT = timedelta(seconds=20)  # a third of the WatchdogSec of our unit
HIGH_WATER_EVERY = timedelta(minutes=1)  # a fifth of what a clock may be behind
OVERSLEPT = timedelta(seconds=60)
OUT_OF_REACH = 2  # visits to the mailbox in a row that failed, and a person must look
PROGRESS_EVERY = timedelta(minutes=1)
_APPROVE = "say 'notifier approve' to let it out now, or mend the talk list"


class Daemon:
    """One seminar's daemon. `run` returns after a clean stop; everything that it holds is then released."""

    def __init__(self, config: Config, *, now: Callable[[], datetime] = clock.now) -> None:
        self._config = config
        self._now = now
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._collect = asyncio.Event()
        self._reload = asyncio.Event()
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._server: Server | None = None
        self._decisions: tuple[Decision, ...] = ()
        self._doubt = ""
        self._noted: datetime | None = None
        self._mailbox_trouble = ""
        self._store_trouble = ""
        self.mailings: Mapping[str, Progress] = {}  # by name, those that were not over when it was last looked
        self._progress_told: datetime | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reconciled = clock.since_boot()
        self._reconciling = asyncio.Lock()

    async def run(self) -> None:
        """Lives until SIGTERM, SIGINT or `stop`.

        Raises:
            StoreLocked: another daemon holds the store.
            NotifierError: there is no list that could be published, or a template or an address cannot be used.
        """
        async with AsyncExitStack() as held:
            await self._start(held)
            # What is there now stays; looking through it for rubbish again and again would cost more than all else.
            gc.collect()
            gc.freeze()
            systemd.tell("READY=1", f"STATUS={self._next_words()}")
            log.info("started pid=%d at=%s %s", os.getpid(), self._config.server.base_url, self._next_words())
            await self._stop.wait()
            systemd.tell("STOPPING=1")
            log.info("stopping")
        log.info("stopped")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it answers, once it does."""
        return self._server.addresses if self._server else ()

    @property
    def accepted_at(self) -> datetime | None:
        """When the list that is published was taken."""
        return self._publisher.accepted.at if self._publisher.accepted else None

    def wake(self) -> None:
        """Has it look at the clock, the list and the ledger now."""
        self._wake.set()

    def stop(self) -> None:
        """Ends `run`: messages on the wire end first, for at most `dispatch.GRACE`."""
        self._stop.set()

    # --- start and stop: what is entered last is left first ---

    async def _start(self, held: AsyncExitStack) -> None:
        self._started = self._now()
        self._heed(held, {signal.SIGHUP: self._reload.set})  # else one that comes before all is up would end it
        await self._open_ledger(held)
        await self._assemble(held)
        # What is on the list at the first start was there before it: nothing that was due earlier is sent.
        await self._publisher.begin(self._started)
        self._heed(held, {signal.SIGTERM: self.stop, signal.SIGINT: self.stop})
        await self._open_doors(held)
        self._dispatcher.start()
        self._start_waking(held)
        self._start_collecting(held)

    async def _open_ledger(self, held: AsyncExitStack) -> None:
        path = self._config.store.path
        files.make_folder(path.parent)
        held.enter_context(lock(wiring.lock_path(path)))
        self._store = await wiring.open_store(self._config)
        held.push_async_callback(self._store.close)
        rules, lanes = verdicts.rule_names(self._config.notices.rules), wiring.lane_names(self._config)
        await self._store.begin(self._started, rules, lanes)
        if not await self._store.fact(LINK_KEYS):
            await self._store.note({LINK_KEYS: secrets.token_urlsafe(32)})
        high_water = await self._store.fact(HIGH_WATER)
        self._guard = clock.Guard(datetime.fromisoformat(high_water) if high_water else self._started)

    async def _assemble(self, held: AsyncExitStack) -> None:
        """Puts together what publishes, what readers do for themselves, and what writes and sends the mail."""
        self._mail_templates, page_templates = self._templates()
        self._publisher = Publisher(
            self._config,
            self._store,
            templates=page_templates,
            now=self._now,
            show=self._show,
            complain=self._tell_trouble,
        )
        self._people = Subscriptions(
            self._store,
            Keyring.parse(await self._store.fact(LINK_KEYS)),
            self._config.server.base_url,
            self._config.subscriptions.allowance,
            now=self._now,
            coming=lambda now: self._publisher.seminar.next_session(now),
            wake=lambda: self._dispatcher.wake(),
        )
        self._mailroom = Mailroom(
            self._config,
            seminar=lambda: self._publisher.seminar,
            keyring=lambda: self._people.keyring,
            now=self._now,
            troubles=await self._store.fact("troubles"),
        )
        self._dispatcher = Dispatcher(
            self._store,
            wiring.lanes(
                self._config, {name: await self._store.fact(f"spent {name}") for name in ("smtp", "fallback")}
            ),
            self._mailroom.compose,
            self._now,
            signs=wiring.signs(self._config),
            patience=wiring.patience(self._config),
            alarm=lambda subject, words: self._tell_trouble(subject, (Problem(words, "see notifier status"),)),
        )
        held.push_async_callback(self._dispatcher.stop)

    def _templates(self) -> tuple[letters.Templates, pages.Templates]:
        return wiring.mail_templates(self._config), wiring.page_templates(self._config)

    async def _open_doors(self, held: AsyncExitStack) -> None:
        assert self._publisher.snapshot is not None
        server = self._config.server
        office = Office(self._config, now=self._now)
        self._server = Server(
            server.listen,
            self._publisher.snapshot,
            self._people,
            self.health,
            office.answer,
            figures=self.figures,
            proxies=server.proxies,
            has_open_probes=server.open_probes,
        )
        await self._server.start()
        held.push_async_callback(self._server.stop)
        path = control.socket_path(self._config.store.path)
        door = await control.serve(path, self._answer)
        held.callback(path.unlink, missing_ok=True)
        held.callback(door.close)

    def _heed(self, held: AsyncExitStack, signals: Mapping[signal.Signals, Callable[[], None]]) -> None:
        loop = asyncio.get_running_loop()
        for number, act in signals.items():
            with suppress(NotImplementedError, RuntimeError):  # not on Windows, and not outside the main thread
                loop.add_signal_handler(number, act)
                held.callback(loop.remove_signal_handler, number)

    def _start_waking(self, held: AsyncExitStack) -> None:
        self._call_every(self._config.notices.tick, self._awake, "tick")
        self._scheduler.start()
        held.callback(self._scheduler.shutdown)
        held.push_async_callback(self._end_tasks)
        # Jobs that have begun end while our tasks do; one that began at the very last would be called an error.
        held.callback(self._scheduler.pause)
        self._spawn(self._reconciler())
        self._spawn(self._heart())
        self._spawn(self._reloader())
        self._wake.set()

    def _start_collecting(self, held: AsyncExitStack) -> None:
        bounces = self._config.bounces
        if (mailbox := wiring.mailbox(self._config)) is None:
            return
        leniency = Leniency(bounces.soft_limit, bounces.soft_within)
        collector = Collector(self._store, mailbox, lambda: self._people.keyring, self._now, leniency)
        held.callback(collector.close)
        self._call_every(bounces.every, self._awake_collector, "collect")
        self._spawn(self._collecting(collector))

    def _call_every(self, span: timedelta, act: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._scheduler.add_job(act, IntervalTrigger(seconds=span.total_seconds(), timezone=UTC), id=name)

    def _call_anew(self) -> None:
        """Counts every interval from now: the scheduler's appointments are by the wall clock, which was set back."""
        for job in self._scheduler.get_jobs():
            if isinstance(job.trigger, IntervalTrigger):
                job.reschedule(IntervalTrigger(seconds=job.trigger.interval_length, timezone=UTC))

    # Coroutines, since APScheduler calls anything else in a thread, from which an event must not be set.

    async def _awake(self) -> None:
        self._wake.set()

    async def _awake_collector(self) -> None:
        self._collect.set()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- wake ---

    async def _reconciler(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._reconcile()
                self._store_trouble = ""
            except StoreError as error:
                self._tell_store_trouble(error)
            except Exception:
                # Whatever it was, what is owed stays owed in the ledger, and the next tick derives it anew.
                log.exception("reconciling failed; trying again at the next tick")

    def _tell_store_trouble(self, error: StoreError) -> None:
        """Once, not at every tick, of which there are thousands until somebody has made room."""
        before, self._store_trouble = self._store_trouble, str(error)
        if before != self._store_trouble:
            log.error("nothing can be reconciled, trying again at every tick: %s", error)
        self._tell_trouble("The store cannot be written", error.problems)

    async def _reloader(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                await self.reload()
            except NotifierError:
                pass  # it was told of already, as was the clock
            except Exception:
                log.exception("reloading failed; what was published stays")

    async def _collecting(self, collector: Collector) -> None:
        """Looks for returned mail now and at every call; a mailbox that stays out of reach is told of once."""
        failures = 0
        while True:
            try:
                if not await self._store.fact("hold"):  # a copied store must not empty the mailbox of its original
                    await collector.collect()
                failures, self._mailbox_trouble = 0, ""
            except MailboxError as error:
                failures += 1
                log.warning("returned mail cannot be read: %s", error)
                if failures == OUT_OF_REACH:
                    self._mailbox_trouble = str(error)
                    self._tell_trouble("The mailbox of returned mail cannot be read", error.problems)
            except Exception:
                log.exception("reading returned mail failed; trying again later")
            await self._collect.wait()
            self._collect.clear()

    async def _heart(self) -> None:
        """Wakes the reconciler when the scheduler does not, and tells the service manager only what is true."""
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            asleep = clock.since_boot() - self._reconciled
            if asleep > OVERSLEPT:
                log.error("nothing was reconciled for %d s; waking up without the scheduler", asleep.total_seconds())
                self._call_anew()
                self._wake.set()
            else:
                systemd.tell("WATCHDOG=1", f"STATUS={self._next_words()}")

    # --- reconcile ---

    async def _reconcile(self) -> None:
        async with self._reconciling:
            await self._derive_anew()

    async def _derive_anew(self) -> None:
        now = self._now()
        self._doubt = self._guard.observe(now, clock.since_boot())
        await self._hold()
        if not self._doubt:
            await self._publisher.look(now)
            await self._settle(now)
            if self._guard.is_settled:
                await self._give_up_what_is_late(now)
            await self._note_high_water()
        self._dispatcher.wake()
        await self._tell_progress(now)
        self._reconciled = clock.since_boot()

    async def _give_up_what_is_late(self, now: datetime) -> None:
        if late := (await self._store.expire(now)).late:
            log.error("expired deliveries=%d", late)
            told = Problem(f"{late} mails could not be sent before their deadline", "see notifier status")
            self._tell_trouble("Mails came too late to be sent", (told,))

    async def _hold(self) -> None:
        """Stops the mail, or lets it go on, as the clock and the operator say; the log is told when that changes."""
        hold = self._doubt or await self._store.fact("hold")
        if hold != self._dispatcher.hold:
            log.warning("nothing is sent: %s", hold) if hold else log.info("what is due is sent again")
        self._dispatcher.hold = hold

    async def _note_high_water(self) -> None:
        """Keeps the latest time, for a start with a clock that is behind, or with an older copy of the store."""
        latest = self._guard.high_water
        if self._noted is None or latest - self._noted >= HIGH_WATER_EVERY:
            await self._publisher.note_use(latest)
            self._noted = latest

    async def _settle(self, now: datetime) -> None:
        """Opens what is due, settles what no longer can be, and sets the alarm for what comes next."""
        facts = await self._store.facts()
        self._decisions = await foresight.decided(
            self._store, self._publisher.seminar, self._config.notices.rules, facts, wiring.limits(self._config), now
        )
        self._dispatcher.paused = frozenset(
            d.notice.session_id for d in self._decisions if d.before is not None and d.verdict is Verdict.WAITING
        )
        # What is too late by a clock that just stepped may be in time by the next look.
        idle = {Verdict.WAITING, Verdict.DONE} | (set() if self._guard.is_settled else {Verdict.EXPIRED})
        actions = [d for d in self._decisions if d.verdict not in idle]
        for session_id, decisions in groupby(sorted(actions, key=_session_id), _session_id):
            session = self._publisher.seminar.session(session_id)
            if session is not None:  # a reload may just have taken it off the list
                await self._settle_session(session, list(decisions), now)
        if waiting := [Problem(f"{d.notice.name}: {d.reason}", _APPROVE) for d in self._decisions if d.needs_approval]:
            self._tell_trouble("A change waits to be approved", waiting)
        due = verdicts.next_due(self._decisions, now)
        if due is not None:
            # By the scheduler's own clock, should that be another one than ours.
            alarm = DateTrigger(clock.now() + (due - now))
            self._scheduler.add_job(self._awake, alarm, id="due", replace_existing=True)

    async def _settle_session(self, session: Session, decisions: list[Decision], now: datetime) -> None:
        reached = await self._store.settle(decisions, session, now)
        if any(reached):
            self._noted = None  # at once: a copy of the store from before must not be taken for this one
        for decision, people in zip(decisions, reached, strict=True):
            key = decision.notice.name
            log.info("%s notice=%s people=%d because=%r", decision.verdict, key, people, decision.reason)
            if decision.verdict is Verdict.EXPIRED:
                problem = Problem(f"{key} was never sent: {decision.reason}", "see notifier status")
                self._tell_trouble("A notice expired", (problem,))

    async def _tell_progress(self, now: datetime) -> None:
        """Logs once a minute how far every mailing has come since it was last told of, and when one is over."""
        if self._progress_told is not None and abs(now - self._progress_told) < PROGRESS_EVERY:
            return
        mailings = {one.notice.name: one for one in await self._store.progress()}
        for name in self.mailings.keys() - mailings.keys():
            log.info("through notice=%s of=%d", name, self.mailings[name].total)
        for name, one in mailings.items():
            told = self.mailings[name].done if name in self.mailings else 0
            if one.done != told:
                facts = (name, one.done, one.total, self._dispatcher.per_minute())
                log.info("mailing notice=%s done=%d of=%d per_minute=%d", *facts)
        self.mailings = mailings
        self._progress_told = now if mailings else None

    # --- reload and publish ---

    async def reload(self, *, allow_removals: bool = False) -> str:
        """Reads templates and list now and says what changed. What cannot be used is refused, and the old one stays."""
        self._refuse_in_doubt()
        systemd.tell("RELOADING=1", f"MONOTONIC_USEC={int(clock.since_boot().total_seconds() * 1e6)}")
        try:
            self._mail_templates, self._publisher.templates = self._templates()
            return await self._publisher.reload(allow_removals=allow_removals)
        except NotifierError as error:
            self._publisher.refuse(error)
            raise
        finally:
            systemd.tell("READY=1")
            self._dispatcher.mended()
            self._wake.set()

    def _refuse_in_doubt(self) -> None:
        if self._doubt:
            raise NotifierError(
                Problem(f"nothing is published now: {self._doubt}", "set the clock, or wait ten minutes")
            )

    def _show(self, snapshot: Snapshot) -> None:
        self._mailroom.renew(self._mail_templates)
        if self._server is not None:
            self._server.snapshot = snapshot
        self._spawn(self._warm(snapshot))

    async def _warm(self, snapshot: Snapshot) -> None:
        """Makes what is published already quick to be had; until then what is large has no other encoding."""
        await asyncio.to_thread(snapshot.warm)
        if self._server is not None and self._server.snapshot is snapshot:
            self._server.snapshot = snapshot  # what was answered before them is forgotten

    def _tell_trouble(self, subject: str, problems: Iterable[Problem]) -> None:
        """Mails the organisers what is wrong, at most once an hour for one cause."""
        if self._publisher.accepted is not None:
            at = self._now()

            def keep() -> None:
                self._spawn(self._store.note({"troubles": self._mailroom.known_trouble(subject, at)}))

            for written in self._mailroom.troubles(subject, problems):
                self._dispatcher.send_aside(written, keep)

    # --- what people ask: the command line, and readers through the server ---

    async def _answer(self, request: Request) -> dict[str, Any]:
        match request["do"]:
            case "ping":
                return {"pid": os.getpid()}
            case "status":
                return {
                    "pid": os.getpid(),
                    "since": self._started.isoformat(),
                    "trouble": self.trouble(),
                    "per_minute": self._dispatcher.per_minute(),
                }
            case "reload":
                return {"changed": await self.reload(allow_removals=request["accept_removals"])}
            case "announce":
                return await self._announce(request["session"], request["line"])
            case _:
                if request.get("is_sent"):
                    await self._open_before_it_is_counted()
                answer = await desk.perform(self._store, request, self._now())
                if request["do"] == "release":
                    self._dispatcher.mended()
                self._people.keyring = Keyring.parse(await self._store.fact(LINK_KEYS))
                self._mailroom.renew(self._mail_templates)
                self._wake.set()
                return answer

    async def _open_before_it_is_counted(self) -> None:
        """Opens what is due while nothing can be sent yet: what is opened afterwards would be sent after all."""
        if self._doubt:
            raise NotifierError(Problem(f"what is due is not known: {self._doubt}", "set the clock"))
        async with self._reconciling:
            await self._settle(self._now())

    async def _announce(self, session_id: str, line: str | None) -> dict[str, Any]:
        """Has the line shown and mailed, or the one before taken away where it is None; says to how many it goes.

        Raises NotifierError where it cannot be announced.
        """
        self._refuse_in_doubt()
        async with self._reconciling:
            bulletin = bulletins.announced(
                self._publisher.seminar,
                session_id,
                line,
                (await self._store.facts()).bulletins.get(session_id),
                levels=self._config.visibility.levels,
                now=self._now(),
            )
            await self._store.announce(bulletin)
            log.info("announced session=%s number=%d line=%r", session_id, bulletin.number, bulletin.line)
            await self._derive_anew()
        settled = (await self._store.facts()).settled.get(session_id, ())
        return {
            "session": session_id,
            "number": bulletin.number,
            "until": bulletin.until.astimezone(ZoneInfo(self._publisher.seminar.timezone)).isoformat(),
            "people": next((one.reached for one in settled if one.rule == bulletin.rule), 0),
            "hold": self._dispatcher.hold,
        }

    def trouble(self) -> dict[str, str]:
        """What needs a person, by cause."""
        return {cause: words for cause, words in self._causes.items() if words}

    @property
    def _causes(self) -> dict[str, str]:
        """All that can need a person, with "" where it is well."""
        return {
            "store": self._store_trouble,
            "talk list": "; ".join(map(str, self._publisher.problems)),
            "mail": self._dispatcher.trouble,
            "clock": self._doubt,
            "returned mail": self._mailbox_trouble,
        }

    async def health(self) -> Mapping[str, str]:
        """What is wrong with the list, the store, the clock and the mail; "" for what is well."""
        try:
            await self._store.note({"probed": self._now().isoformat()})
            store = ""
        except Exception as error:
            store = str(error)
        told = self.trouble()
        return {"store": store, **{name: told.get(name, "") for name in ("talk list", "mail", "clock")}}

    async def figures(self) -> Figures:
        """What monitoring asks for."""
        now = self._now()
        return Figures(
            await self._store.summary(now),
            (clock.since_boot() - self._reconciled).total_seconds(),
            self.accepted_at.timestamp() if self.accepted_at else 0,
            bool(self._doubt),
            bool(self._dispatcher.hold),
            self._causes,
            {name: (one.done, one.total) for name, one in self.mailings.items()},
            self._dispatcher.per_minute(),
        )

    def _next_words(self) -> str:
        due = verdicts.next_due(self._decisions, self._now())
        return f"next notice {due:%Y-%m-%d %H:%MZ}" if due else "no notice is waiting"


def _session_id(decision: Decision) -> str:
    return decision.notice.session_id
