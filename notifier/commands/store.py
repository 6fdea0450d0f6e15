"""Commands about the store: back it up, put it back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from notifier.commands import config_of, counted, current_time, json_option, print_json, progress

if TYPE_CHECKING:
    from notifier.backups import PutBack
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
    things = ((held.subscribers, "subscriber"), (held.sessions, "session"), (held.deliveries, "delivery"))
    return ", ".join(counted(n, noun) for n, noun in things).replace("deliverys", "deliveries") + at


COMMANDS: tuple[click.Command, ...] = (backup, restore)
