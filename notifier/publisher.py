"""The talk list → what is published of it: read, its sessions given identities, kept on the disk, rendered.

What cannot be used changes nothing: the last good list stays published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from notifier import bulletins, intake, pages, revisions, verdicts, wiring
from notifier.config import Config
from notifier.errors import NotifierError, Problem
from notifier.intake import Accepted
from notifier.notices import Kind, Verdict
from notifier.pages import Snapshot
from notifier.revisions import Identity
from notifier.stores import HIGH_WATER, USED_UNTIL, Store
from notifier.talks import Seminar

log = logging.getLogger(__name__)

OLD_STORE = (
    "the store is older than what was published or mailed from it, as after a backup was put back: whoever had mail"
    " since then would have it again, and whoever left is in it still; look at notifier plan, then notifier release, or"
    " notifier release --sent to count as sent what was due until then"
)


class Publisher:
    """One seminar as it is published: the last good list and the snapshot of its pages, once it has begun.

    `templates`, those of the pages, are what is rendered from the next time on. `show` is given every new snapshot, and
    `complain` what is wrong with a list that was refused.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        templates: pages.Templates,
        now: Callable[[], datetime],
        show: Callable[[Snapshot], None],
        complain: Callable[[str, Iterable[Problem]], None],
    ) -> None:
        """Raises StoreError where it cannot be read what was published before."""
        self.templates = templates
        self.accepted: Accepted | None = None
        self.snapshot: Snapshot | None = None
        self.problems: tuple[Problem, ...] = ()  # of the list that was read last, where it was refused
        self._config = config
        self._store = store
        self._now = now
        self._show = show
        self._complain = complain
        self._watched = wiring.watched(config)
        self._witness = wiring.witness(config)
        self._documents: dict[str, tuple[str, datetime]] = {}
        self._unshown: bytes | None = None  # a list that is not published yet: it is taken again at the next look
        self._taking = asyncio.Lock()

    @property
    def seminar(self) -> Seminar:
        """The seminar as it is published."""
        assert self.accepted is not None
        return self.accepted.seminar

    # --- from the list to what is kept of it ---

    async def begin(self, now: datetime) -> None:
        """Publishes the list as it is now or, where that cannot be used, as it was last accepted.

        Raises:
            NotifierError: it cannot be used, and none was accepted before.
        """
        self._documents = await self._store.documents()
        self.accepted = await self._store.accepted()
        await self._hear_witness()
        try:
            await self._take(await self._watched.read(), now)
        except NotifierError as error:
            if self.accepted is None:
                raise
            self.refuse(error)
            await self._stamp_anew(now)
            await self._publish()

    async def look(self, now: datetime) -> None:
        """Publishes the list if it changed, and anew what is no longer as it would be rendered now."""
        try:
            data = await self._watched.poll(now)
            if data is None:
                data = self._unshown
            if data is not None:
                await self._take(data, now)
        except NotifierError as error:
            self.refuse(error)
        await self._take_up_bulletins(now)
        if self.snapshot is None or not self.snapshot.is_true_at(now):
            await self._publish()

    async def reload(self, *, allow_removals: bool = False) -> str:
        """Publishes the list as it is now, and says in words what changed. Raises NotifierError if it is refused."""
        return await self._take(await self._watched.read(), self._now(), allow_removals=allow_removals)

    def refuse(self, error: NotifierError) -> None:
        """Tells why the list was refused, until one is accepted."""
        self.problems = error.problems
        for problem in error.problems:
            log.error("the talk list was refused, the last good one stays: %s", problem)
        self._complain("The talk list was refused; the last good one stays published", error.problems)

    async def _take(self, data: bytes, now: datetime, *, allow_removals: bool = False) -> str:
        async with self._taking:
            self._unshown = data
            stored = await self._store.identities()
            ahead = self._witness.newer_than(stored)
            untold = await self._untold(now)
            lines = await self._lines(now)
            try:
                taken = await asyncio.to_thread(
                    intake.take,
                    data,
                    self._config.context,
                    form=self._config.format,
                    previous=self.accepted,
                    identities=stored | ahead,
                    domain=wiring.domain(self._config),
                    now=now,
                    allow_removals=allow_removals,
                    untold=untold,
                    lines=lines,
                    frame=wiring.frame(self._config),
                )
            except NotifierError:
                self._unshown = None
                raise
            old = self.accepted.seminar if self.accepted else None
            changed = revisions.summary(revisions.diff(old, taken.accepted.seminar))
            await self._keep(taken.accepted, (*ahead.values(), *taken.identities))
            self.problems = ()
            log.info("accepted the talk list: %s; %d doubts", changed, len(taken.warnings))
            await self._publish()
            self._unshown = None
            return changed

    async def _untold(self, now: datetime) -> frozenset[str]:
        """The cancelled sessions of which not everyone has been told yet who is to be."""
        if self.accepted is None or not any(s.is_cancelled and s.end > now for s in self.seminar.sessions):
            return frozenset()
        decisions = verdicts.decide(self.seminar, self._config.notices.rules, await self._store.facts(), now)
        waiting = [d.notice for d in decisions if d.verdict in (Verdict.WAITING, Verdict.OPEN)]
        on_their_way = [one.notice for one in await self._store.progress()]
        return frozenset(n.session_id for n in (*waiting, *on_their_way) if n.kind is Kind.CANCELLED)

    async def _take_up_bulletins(self, now: datetime) -> None:
        """Publishes what was announced since the last look, and what was then without what is no longer out."""
        async with self._taking:
            if bulletins.with_lines(self.seminar, await self._lines(now)) is not self.seminar:
                await self._stamp_anew(now)
                await self._publish()

    async def _lines(self, now: datetime) -> dict[str, str]:
        seminar = self.accepted.seminar if self.accepted else None
        return bulletins.lines((await self._store.facts()).bulletins.values(), seminar, now)

    async def _keep(self, accepted: Accepted, identities: Sequence[Identity]) -> None:
        """Holds the list and what its sessions are known by, on the disk before anything of it is published."""
        await self._store.accept(accepted, identities)
        await asyncio.to_thread(self._witness.note, identities)
        self.accepted = accepted

    async def note_use(self, at: datetime) -> None:
        """Keeps that the store is in use at this time, in itself and beside it: an older copy of it lacks what is new.

        Raises StoreError.
        """
        await self._store.note({HIGH_WATER: at.isoformat()})
        await asyncio.to_thread(self._witness.note, (), used=at)

    # --- a store that is older than what was published from it, and settings that are not those of then ---

    async def _hear_witness(self) -> None:
        """Where the store was put back from an older copy, nothing that was published goes back with it.

        Nor is anything sent: whoever had mail since that copy was made would have it again.
        """
        facts = {}
        for name, seen in (("published", self._witness.published), (HIGH_WATER, self._witness.used)):
            known = await self._store.fact(name)
            if seen is not None and (not known or seen > datetime.fromisoformat(known)):
                facts[name] = seen.isoformat()
        if not facts and not self._witness.newer_than(await self._store.identities()):
            return
        log.error("%s", OLD_STORE)
        self._documents = {}  # since when they have been as they are, nobody knows
        if HIGH_WATER in facts:
            facts[USED_UNTIL] = facts[HIGH_WATER]
        if self.accepted is not None and not await self._store.fact("hold"):
            facts["hold"] = OLD_STORE
        await self._store.note(facts)

    async def _stamp_anew(self, now: datetime) -> None:
        assert self.accepted is not None
        accepted = self.accepted
        stored = await self._store.identities()
        ahead = self._witness.newer_than(stored)
        seminar, changed = revisions.stamp(
            bulletins.with_lines(accepted.seminar, await self._lines(now)),
            stored | ahead,
            domain=wiring.domain(self._config),
            now=now,
            previous=accepted.seminar,
            frame=wiring.frame(self._config),
        )
        if ahead or changed:
            await self._keep(replace(accepted, seminar=seminar), (*ahead.values(), *changed))

    # --- from what is kept to what is shown ---

    async def _publish(self) -> None:
        """Renders everything anew, off the loop, and shows it; what fails to render leaves the old in place."""
        snapshot = await asyncio.to_thread(
            pages.build,
            self.seminar,
            self.templates,
            wiring.page_site(self._config),
            now=self._now(),
            previous=self.snapshot,
            modified=self._documents,
        )
        fresh = {name: at for name, at in snapshot.modified.items() if self._documents.get(name) != at}
        await self._store.publish(fresh)
        if latest := max((at for _, at in fresh.values()), default=None):
            # Never back, as with the witness: after a clock that was ahead the store would look like an old copy.
            if published := await self._store.fact("published"):
                latest = max(latest, datetime.fromisoformat(published))
            await self._store.note({"published": latest.isoformat()})
            await asyncio.to_thread(self._witness.note, (), latest)
        self._documents |= fresh
        self.snapshot = snapshot
        self._show(snapshot)
