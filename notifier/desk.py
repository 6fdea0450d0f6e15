"""What a person may do to the ledger, by name: the same through a running daemon as at the store itself."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from notifier.control import Request
from notifier.errors import NotifierError, Problem
from notifier.notices import Kind
from notifier.stores import APPROVAL, USED_UNTIL, Store
from notifier.subscribers import State, Subscriber
from notifier.tokens import LINK_KEYS, Keyring, Purpose, SignedLinks


async def perform(store: Store, request: Request, now: datetime) -> dict[str, Any]:
    """Does what `request["do"]` names and returns what came of it. Raises NotifierError where it cannot be done."""
    match request["do"]:
        case "subscribe":
            people = [_read(one) for one in request["subscribers"]]
            is_import = request.get("is_import", False)
            how = "import" if is_import else "command line"
            are_new = await store.subscribe(people, now, how=how, brings_back=not is_import)
            return {"added": sum(are_new), "updated": len(are_new) - sum(are_new)}
        case "unsubscribe":
            return await _unsubscribe(store, request["address"], now)
        case "restore":
            return await _restore(store, request["address"], now)
        case "revoke":
            found = await _known(store, request["address"])
            await store.revoke(found.id, now)
            return {"address": found.address}
        case "erase":
            found = await _known(store, request["address"])
            await store.erase(found.id, now)
            return {"address": found.address}
        case "rotate":
            ring = Keyring.parse(await store.fact(LINK_KEYS)).rotated(secrets.token_urlsafe(32))
            ring = ring.retired() if request["retire"] else ring
            await store.note({LINK_KEYS: ring.text})
            return {"keys": len(ring.keys)}
        case "feed":
            return await _feed(store, request["address"], now, revoke=request["revoke"])
        case "hold":
            reason = request["reason"] or "a person asked for it"
            await store.note({"hold": reason})
            return {"hold": reason}
        case "release":
            counted = await _count_as_sent(store) if request.get("is_sent") else None
            await store.note({"hold": "", USED_UNTIL: ""})
            return {"hold": ""} if counted is None else {"hold": "", "counted": counted}
        case "decide":
            return {"decided": await store.decide(now, resend=request["as"] == "resend")}
        case "approve":
            await store.note({APPROVAL + name: now.isoformat() for name in request["notices"]})
            return {}
        case unknown:
            raise NotifierError(f"the daemon does not know '{unknown}'; it may be of another version: restart it")


async def _count_as_sent(store: Store) -> int:
    until = await store.fact(USED_UNTIL)
    if not until:
        told = Problem("no other copy of this store is known to have been in use", "say notifier release alone")
        raise NotifierError(told)
    return await store.count_as_sent(datetime.fromisoformat(until))


async def _unsubscribe(store: Store, address: str, now: datetime) -> dict[str, Any]:
    found = await _known(store, address)
    await store.set_state(found.id, State.UNSUBSCRIBED, now, how="command line")
    return {"address": found.address}


async def _restore(store: Store, address: str, now: datetime) -> dict[str, Any]:
    found = await _known(store, address)
    if found.state is not State.BLOCKED:
        raise NotifierError(Problem(f"{found.address} is not blocked but {found.state}", "see notifier explain"))
    await store.subscribe([replace(found, state=State.CONFIRMED, reason="")], now, how="command line")
    return {"address": found.address}


async def _feed(store: Store, address: str, now: datetime, *, revoke: bool) -> dict[str, Any]:
    """The token of this subscriber's calendar; where it is revoked, a new one, and the old one is void."""
    found = await _known(store, address)
    if found.state is not State.CONFIRMED:
        raise NotifierError(Problem(f"{found.address} is {found.state} and has no calendar", "see notifier explain"))
    if revoke:
        found = await store.revoke(found.id, now) or found
    keyring = Keyring.parse(await store.fact("link_key"))
    if not keyring.keys:
        raise NotifierError(Problem("there is no key yet to sign links with", "start the daemon once"))
    return {"address": found.address, "token": SignedLinks("", keyring).token(Purpose.FEED, found, now)}


async def _known(store: Store, address: str) -> Subscriber:
    found = await store.subscriber(address)
    if found is None:
        raise NotifierError(Problem(f"'{address}' is no subscriber", "see notifier subscribers list"))
    return found


def written(one: Subscriber) -> dict[str, Any]:
    """The subscriber as a request carries it."""
    return {
        "address": one.address,
        "name": one.name,
        "language": one.language,
        "timezone": one.timezone,
        "leads": None if one.leads is None else [lead.total_seconds() for lead in one.leads],
        "state": one.state,
        "declined": sorted(one.declined),
        "words": list(one.words),
        "paused_until": one.paused_until.isoformat() if one.paused_until else None,
        "reason": one.reason,
    }


def _read(values: dict[str, Any]) -> Subscriber:
    leads, paused = values["leads"], values["paused_until"]
    return Subscriber(
        values["address"],
        values["name"],
        values["language"],
        values["timezone"],
        None if leads is None else tuple(timedelta(seconds=s) for s in leads),
        State(values["state"]),
        declined=frozenset(map(Kind, values["declined"])),
        words=tuple(values["words"]),
        paused_until=datetime.fromisoformat(paused) if paused else None,
        reason=values["reason"],
    )
