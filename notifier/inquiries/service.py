"""How the daemon and its ledger are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from notifier import control, foresight, verdicts, wiring
from notifier.config import Config
from notifier.errors import NotifierError, Problem
from notifier.inquiries import reading
from notifier.inquiries.lists import published
from notifier.inquiries.notices import DECIDE
from notifier.intake import Accepted
from notifier.notices import Notice
from notifier.rates import Limits, duration
from notifier.stores import Review, Store


async def status(config: Config, now: datetime) -> dict[str, Any]:
    """What comes next, deliveries and subscribers by state, and what is wrong; from the daemon where one runs."""
    alive = await control.call(control.socket_path(config.store.path), {"do": "status"})
    async with reading(config) as store:
        told = await _told(store, config, now) if store else {"subscribers": {}, "deliveries": {}, "errors": []}
        mailings = await _mailings(store, alive, wiring.limits(config), now) if store else []
        hold = await store.fact("hold") if store else ""
    trouble = dict(alive["trouble"]) if alive else {}
    if hold:
        trouble["hold"] = hold
    if alive is None:
        _, problems = await _published_or_problems(config)
        if problems:
            trouble["talk list"] = "; ".join(map(str, problems))
    if doubted := told.get("said_dead", 0):
        trouble["returned mail"] = (
            f"{doubted} addresses more are said to be dead than can be believed of one day: is a mail server at fault?"
            " Those that were blocked come back with subscribers restore"
        )
    if undecided := told.get("undecided", 0):
        trouble["ambiguous"] = f"{undecided} deliveries may or may not have arrived, and are not sent again; {DECIDE}"
    return {
        "running": alive is not None,
        **({"pid": alive["pid"], "since": alive["since"]} if alive else {}),
        **told,
        "mailings": mailings,
        "trouble": trouble,
        "needs_a_person": bool(trouble),
    }


async def _published_or_problems(config: Config) -> tuple[Accepted | None, Sequence[Problem]]:
    try:
        return await published(config)
    except NotifierError as error:
        return None, error.problems


async def _told(store: Store, config: Config, now: datetime) -> dict[str, Any]:
    accepted = await store.accepted()
    summary = await store.summary(now)
    documents = await store.documents()
    coming = accepted.seminar.next_session(now) if accepted else None
    decisions = (
        await foresight.decided(
            store, accepted.seminar, config.notices.rules, await store.facts(), wiring.limits(config), now
        )
        if accepted
        else ()
    )
    due = verdicts.next_due(decisions, now)
    etag, modified = documents.get("/calendar.ics", ("", None))
    waiting = next((d.notice for d in decisions if d.notice.due == due), None)
    return {
        "next_session": {"id": coming.id, "start": coming.start.isoformat()} if coming else None,
        "to_approve": [d.notice.name for d in decisions if d.needs_approval],
        "next_notice": _said(waiting) | {"due": waiting.due.isoformat()} if waiting else None,
        "subscribers": dict(summary.subscribers),
        "came_back": dict(summary.returned),
        "said_dead": summary.doubted,
        "blocked": [{"address": one.address, "because": one.reason} for one in summary.blocked],
        "deliveries": dict(summary.deliveries),
        "overdue": summary.overdue,
        "undecided": summary.undecided,
        "errors": [
            _said(d.notice) | {"address": d.address, "state": str(d.state), "said": d.reply} for d in summary.errors
        ],
        "feed": {"etag": etag, "modified": modified.isoformat()} if modified else None,
    }


async def mailings(config: Config, now: datetime) -> list[dict[str, Any]]:
    """How far each mailing is that is under way, and when it will be over, as `status` has it."""
    alive = await control.call(control.socket_path(config.store.path), {"do": "status"})
    async with reading(config) as store:
        return await _mailings(store, alive, wiring.limits(config), now) if store and alive else []


async def _mailings(store: Store, alive: dict[str, Any] | None, limits: Limits, now: datetime) -> list[dict[str, Any]]:
    """How far each mailing is, and when it will be through at the present speed: one is served after the other."""
    per_minute = alive.get("per_minute", 0) if alive else 0
    mailings, before = [], 0
    for one in await store.progress():
        before += one.waiting
        takes = before / per_minute * timedelta(minutes=1) if per_minute else duration(limits, before)
        mailings.append(
            _said(one.notice)
            | {
                "done": one.done,
                "total": one.total,
                "failed": one.deliveries.get("failed", 0),
                "deferred": one.deliveries.get("deferred", 0),
                "per_minute": per_minute,
                "ends": (now + takes).isoformat(timespec="seconds") if alive and (per_minute or limits) else None,
                "deadline": one.notice.deadline.isoformat(),
            }
        )
    return mailings


def _said(notice: Notice) -> dict[str, str]:
    return {"session": notice.session_id, "rule": notice.rule}


async def reviewed(config: Config, count: int) -> Review:
    """What became of so many of the latest notices, and how the number of subscribers grew."""
    async with reading(config) as store:
        return await store.review(count) if store else Review()
