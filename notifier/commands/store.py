"""Commands about the store: back it up, put it back, prove that it keeps the promise."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from notifier.commands import DONE, NOT_SO, config_of, counted, current_time, json_option, print_json, progress

if TYPE_CHECKING:
    from notifier.backups import PutBack
    from notifier.stores import Audit, Finding
    from notifier.stores.sqlite.copies import Held


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file, if it is there already.")
@json_option
@click.pass_context
def backup(ctx: click.Context, file: Path, force: bool, as_json: bool) -> None:
    """Make FILE a backup of the store, whole in itself, while the daemon runs or none does.

    It holds addresses and the keys that sign links, and is its owner's alone. The settings, the talk list and your
    templates are not in it.
    """
    from notifier import backups

    config = config_of(ctx)
    with progress("copying", 100) as advance:
        held = backups.take(
            config, file, current_time(), overwrite=force, step=lambda done, total: advance(100 * done // total)
        )
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, **_numbers(held)})
    else:
        click.echo(f"{file}: {_said(held)}; {counted(size, 'byte')}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def restore(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Put the backup FILE in the place of the store, on hold; no daemon may run.

    The store of until now stays under another name. What was sent since the backup, who left and what calendars have
    seen is carried over from it; to have nothing carried over, move it away first.
    """
    from notifier import backups
    from notifier.inquiries import notices

    config, now = config_of(ctx), current_time()
    done = backups.put_back(config, file, now)
    owed = asyncio.run(notices.owed(config, now))
    if as_json:
        carried = done.carried
        print_json(
            {
                "file": str(file),
                **_numbers(done.held),
                "aside": str(done.aside) if done.aside else None,
                "carried_over": None
                if carried is None
                else {name: getattr(carried, name) for name in carried.__slots__},
                "unknown": done.unknown,
                "owed": owed,
            }
        )
        return
    click.echo(f"put back {file}: {_said(done.held)}")
    for line in _since(done):
        click.echo(line)
    click.echo(
        f"nothing is sent until notifier release, which would now send {counted(owed, 'mail')};"
        " start the daemon, and look at notifier plan before"
    )


def _since(done: PutBack) -> list[str]:
    """What became of the store of until now, and of what was done with it since."""
    if done.aside is None:
        return []
    lines = [f"the store of until now is {done.aside}"]
    carried = done.carried
    if carried is None:
        return [*lines, f"nothing could be carried over from it: {done.unknown}"]
    lines.append(
        f"carried over from it: {carried.sent} sent, {carried.unsubscribed} unsubscribed, {carried.blocked} blocked,"
        f" {carried.erased} erased, links of {carried.revoked} revoked"
    )
    if carried.joined:
        lines.append(f"not carried over: {carried.joined} who were confirmed since; they are in it still")
    return [*lines, *(f"it could not be read whole: {what}" for what in carried.lost)]


def _numbers(held: Held) -> dict[str, object]:
    return {
        "subscribers": held.subscribers,
        "sessions": held.sessions,
        "deliveries": held.deliveries,
        "taken_at": held.taken_at or None,
    }


def _said(held: Held) -> str:
    at = f", as of {held.taken_at}" if held.taken_at else ""
    people, sessions = counted(held.subscribers, "subscriber"), counted(held.sessions, "session")
    return f"{people}, {sessions}, {_deliveries(held.deliveries)}{at}"


def _deliveries(count: int) -> str:
    return f"{count} {'delivery' if count == 1 else 'deliveries'}"


@click.command()
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Prove from the ledger that nothing due is missing and nothing was sent twice; else exit 1, with every row.

    What may have arrived, and what was sent once more because it might not have, is counted apart. It only reads, also
    beside a running daemon.
    """
    from notifier.inquiries import store

    audit = asyncio.run(store.proved(config_of(ctx), current_time()))
    if as_json:
        print_json(_audit_as_json(audit))
    else:
        for one in audit.findings:
            click.echo(": ".join(filter(None, (one.check, one.notice, _whom(one), one.what))))
        click.echo(_summed_up(audit))
    sys.exit(NOT_SO if audit.findings else DONE)


def _whom(one: Finding) -> str:
    """The address or, of who is erased, the number."""
    return one.address or (f"#{one.subscriber_id}" if one.subscriber_id is not None else "")


def _audit_as_json(audit: Audit) -> dict[str, object]:
    return {
        "holds": not audit.findings,
        "since": audit.facts.baseline.isoformat() if audit.facts and audit.until else None,
        "until": audit.until.isoformat() if audit.until else None,
        "sessions": len(audit.accepted.seminar.sessions) if audit.accepted else 0,
        "notices": audit.notices,
        "deliveries": dict(audit.deliveries),
        "ambiguous": audit.ambiguous,
        "resent": audit.resent,
        "findings": [
            {
                "check": one.check,
                "notice": one.notice or None,
                "subscriber": one.subscriber_id,
                "address": one.address or None,
                "what": one.what,
            }
            for one in audit.findings
        ],
    }


def _summed_up(audit: Audit) -> str:
    told = (
        f"{counted(audit.findings, 'finding')} in"
        if audit.findings
        else "nothing due is missing, nothing was sent twice:"
    )
    states = ", ".join(f"{count} {state}" for state, count in audit.deliveries.items())
    line = f"{told} {counted(audit.notices, 'notice')}, {_deliveries(sum(audit.deliveries.values()))}"
    line += f" ({states})" if states else ""
    if audit.facts and audit.until:
        line += f", {audit.facts.baseline:%Y-%m-%d %H:%MZ} to {audit.until:%Y-%m-%d %H:%MZ}"
    apart = ((audit.ambiguous, "may have arrived"), (audit.resent, "sent once more, since they might not have arrived"))
    return "; ".join([line, *(f"{count} {what}" for count, what in apart if count)])


COMMANDS: tuple[click.Command, ...] = (backup, restore, verify)
