"""Whether the ledger holds what is promised."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from notifier import control, proofs
from notifier.config import Config
from notifier.errors import Problem, StoreError
from notifier.inquiries import reading
from notifier.notices import Verdict
from notifier.stores import Audit, Finding

_SETTLING = timedelta(seconds=2)  # beyond the next tick


async def proved(config: Config, now: datetime) -> Audit:
    """The ledger with all that speaks against the promise: what is missing, what is double, what cannot be.

    While a daemon runs it is looked at once more after the daemon's next tick, since of what is just happening a part
    may be seen: what is found counts if it is found twice.

    Raises StoreError where there is no store, or it cannot be read.
    """
    found = await _audit(config, now)
    if found.findings and await _is_running(config):
        await asyncio.sleep((config.notices.tick + _SETTLING).total_seconds())
        again = await _audit(config, now)
        found = replace(again, findings=tuple(one for one in again.findings if one in found.findings))
    return found


async def _audit(config: Config, now: datetime) -> Audit:
    async with reading(config) as store:
        if store is None:
            raise StoreError(Problem("there is no store yet", "start the daemon once", str(config.store.path)))
        told = await store.audit(now, is_running=await _is_running(config))
    if told.accepted is None or told.facts is None or told.until is None:
        return told  # damaged, or never in use
    missing = [
        Finding("missing", f"{_lack(d.verdict)}, due {d.notice.due.isoformat()}", d.notice.name)
        for d in proofs.unsettled(told.accepted.seminar, config.notices.rules, told.facts, told.until)
    ]
    return replace(told, findings=(*told.findings, *missing))


def _lack(verdict: Verdict) -> str:
    return "it was never opened, and is too late now" if verdict is Verdict.EXPIRED else "it was not opened"


async def _is_running(config: Config) -> bool:
    return await control.call(control.socket_path(config.store.path), {"do": "ping"}) is not None
