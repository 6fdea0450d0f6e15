"""Commands about subscribers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from notifier.commands import (
    DONE,
    NOT_SO,
    Group,
    ask,
    config_of,
    counted,
    json_option,
    print_json,
    print_table,
    progress,
    published,
)
from notifier.errors import NotifierError

if TYPE_CHECKING:
    from notifier.config import Config
    from notifier.subscribers import Subscriber

BATCH = 1000  # subscribers that are added in one request


@click.group(cls=Group)
def subscribers() -> None:
    """List, add, remove, restore, import and export those who get mail."""


@subscribers.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every subscriber with state and wishes."""
    from notifier import desk
    from notifier.inquiries import people
    from notifier.subscribers import written

    everyone = asyncio.run(people.everyone(config_of(ctx)))
    if as_json:
        since = {one.id: one.changed.isoformat() if one.changed else None for one in everyone}
        print_json([{**desk.written(one), "id": one.id, "since": since[one.id]} for one in everyone])
        return
    columns = ("address", "name", "language", "timezone", "leads", "state", "reason", "declined", "words")
    rows = ((*(written(one)[name] or "-" for name in columns), _pause(one)) for one in everyone)
    print_table((*columns, "paused until"), rows)


def _pause(one: Subscriber) -> str:
    return f"{one.paused_until:%Y-%m-%d}" if one.paused_until else "-"


@subscribers.command()
@click.argument("address")
@click.option("--name")
@click.option("--lang", "language", help="zh or en; en by default.")
@click.option("--timezone", help="Like Europe/Berlin; the seminar's by default.")
@click.option("--leads", help="Like '1d 1h'; the seminar's by default.")
@click.option("--declined", help="Kinds of mail that they do not want: announcement, reminder, replay.")
@click.option("--words", help="Only sessions that hold one of these, parted by commas.")
@click.option("--pause-until", "paused_until", help="No mail before this date, like 2026-12-31.")
@click.pass_context
def add(ctx: click.Context, /, address: str, **given: str | None) -> None:
    """Add a confirmed subscriber, or change one; what is not given stays."""
    from notifier import desk
    from notifier.inquiries import people
    from notifier.subscribers import State, normalised_address, subscriber, written

    config = config_of(ctx)
    known = asyncio.run(people.subscriber(config, normalised_address(address)))
    values = {name: value for name, value in given.items() if value is not None}
    values |= {"address": address, "state": State.CONFIRMED, "reason": ""}
    one = subscriber({**(written(known) if known else {}), **values}, config.seminar.timezone)
    answer = asyncio.run(ask(config, {"do": "subscribe", "subscribers": [desk.written(one)]}))
    click.echo(f"{'added' if answer['added'] else 'updated'} {one.address}")


@subscribers.command()
@click.argument("address")
@click.pass_context
def remove(ctx: click.Context, address: str) -> None:
    """End all mail to an address; its record stays as the proof of what was sent."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "unsubscribe", "address": address}))
    click.echo(f"unsubscribed {answer['address']}")


@subscribers.command()
@click.argument("address")
@click.pass_context
def restore(ctx: click.Context, address: str) -> None:
    """Send mail again to an address that was blocked, because mail came back or its owner complained."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "restore", "address": address}))
    click.echo(f"restored {answer['address']}")


@subscribers.command()
@click.argument("address")
@click.pass_context
def record(ctx: click.Context, address: str) -> None:
    """Print all that is known of a subscriber as JSON: wishes, consents, mails."""
    from notifier.inquiries import people
    from notifier.subscribers import normalised_address

    print_json(asyncio.run(people.record(config_of(ctx), normalised_address(address))))


@subscribers.command()
@click.argument("address")
@click.pass_context
def revoke(ctx: click.Context, address: str) -> None:
    """Make the private links in a subscriber's mails void; those to unsubscribe still work."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "revoke", "address": address}))
    click.echo(f"revoked the links of {answer['address']}")


@subscribers.command()
@click.argument("address")
@click.confirmation_option(prompt="Forget this subscriber for ever?")
@click.pass_context
def erase(ctx: click.Context, address: str) -> None:
    """Forget a subscriber; what was sent stays as numbers, without an address."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "erase", "address": address}))
    click.echo(f"erased {answer['address']}")


@subscribers.command("rotate-key")
@click.option("--retire", is_flag=True, help="Make every link in mails already sent void, the way out too.")
@click.pass_context
def rotate_key(ctx: click.Context, retire: bool) -> None:
    """Sign links with a new key from now on; those in mails already sent go on working unless --retire."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "rotate", "retire": retire}))
    click.echo(f"a new key signs; links are valid of {counted(answer['keys'], 'key')}")


@subscribers.command("feed")
@click.argument("address")
@click.option("--revoke", is_flag=True, help="Make all private links void that this subscriber has had.")
@click.pass_context
def feed_of(ctx: click.Context, address: str, revoke: bool) -> None:
    """Print the address of a subscriber's own calendar, which shows what is for subscribers alone."""
    from urllib.parse import quote

    config = config_of(ctx)
    seminar = published(config).seminar
    answer = asyncio.run(ask(config, {"do": "feed", "address": address, "revoke": revoke}))
    click.echo(f"{config.server.base_url}/feed/{quote(answer['token'])}/{quote(seminar.id)}.ics")


@subscribers.command("import")
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
@json_option
@click.pass_context
def import_subscribers(ctx: click.Context, source: str, dry_run: bool, as_json: bool) -> None:
    """Add the subscribers of a CSV file (or -): good lines are taken, bad ones told by number.

    The first line names the columns: address, and any of name, language, timezone, leads, state, declined, words,
    paused_until. What the columns leave unsaid of known subscribers stays; who unsubscribed is not brought back.
    """
    from notifier import desk, files, talklists
    from notifier.inquiries import people
    from notifier.rosters import read_csv
    from notifier.subscribers import comparable

    config = config_of(ctx)
    text = talklists.decode(files.read(source), source)
    known = {comparable(one.address): one for one in asyncio.run(people.everyone(config))}
    good, bad = [], 0
    with progress("reading", text.count("\n") + 1) as advance:
        for line, read in read_csv(text, known, config.seminar.timezone):
            if isinstance(read, NotifierError):
                bad += 1
                for problem in read.problems:
                    click.echo(f"{source}:{line}: {problem.message}; {problem.advice}", err=True)
            else:
                good.append(desk.written(read))
            advance(line)
    added = 0 if dry_run else asyncio.run(_add_all(config, good))
    updated = 0 if dry_run else len(good) - added
    counts = {"good": len(good), "bad": bad, "added": added, "updated": updated}
    if as_json:
        print_json(counts)
    else:
        click.echo("{good} good, {bad} bad; {added} added, {updated} updated".format(**counts))
    sys.exit(NOT_SO if bad else DONE)


async def _add_all(config: Config, people: list[dict[str, Any]]) -> int:
    """Has them added, in parts that do not keep a running daemon from its work; tells how many are new."""
    added = 0
    with progress("adding", len(people)) as advance:
        for start in range(0, len(people), BATCH):
            part = people[start : start + BATCH]
            answer = await ask(config, {"do": "subscribe", "subscribers": part, "is_import": True})
            added += answer["added"]
            advance(start + len(part))
    return added


@subscribers.command("export")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the CSV here.")
@click.pass_context
def export_subscribers(ctx: click.Context, output: Path | None) -> None:
    """Print everyone as CSV, as `subscribers import` reads it."""
    from notifier import files
    from notifier.inquiries import people
    from notifier.rosters import write_csv

    text = "".join(write_csv(asyncio.run(people.everyone(config_of(ctx)))))
    if output is None:
        click.echo(text, nl=False)
    else:
        files.write_atomically(output, text, overwrite=True)


COMMANDS: tuple[click.Command, ...] = (subscribers,)
