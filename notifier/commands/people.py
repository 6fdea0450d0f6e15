"""Commands about subscribers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from notifier.commands import DONE, NOT_SO, Group, ask, config_of, json_option, print_json, print_table
from notifier.errors import NotifierError


@click.group(cls=Group)
def subscribers() -> None:
    """List, add, remove, import and export those who get mail."""


@subscribers.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every subscriber with state and preferences."""
    from notifier import desk, inquiries

    everyone = asyncio.run(inquiries.everyone(config_of(ctx)))
    if as_json:
        print_json([{**desk.written(one), "id": one.id} for one in everyone])
    else:
        rows = [(one.address, one.name, one.language, one.timezone or "-", _leads(one), one.state) for one in everyone]
        print_table(("address", "name", "language", "time zone", "lead times", "state"), rows)


def _leads(one: Any) -> str:
    from notifier.spans import format_span

    return "-" if one.leads is None else " ".join(map(format_span, one.leads))


@subscribers.command()
@click.argument("address")
@click.option("--name", default="")
@click.option("--lang", "language", default="en", show_default=True, help="zh or en")
@click.option("--timezone", default="", help="Like Europe/Berlin; the seminar's by default.")
@click.option("--leads", default="", help="Like '1d 1h'; the seminar's by default.")
@click.pass_context
def add(ctx: click.Context, /, **values: str) -> None:
    """Add a confirmed subscriber, or change one."""
    from notifier import desk
    from notifier.subscribers import subscriber

    one = subscriber(values)
    answer = asyncio.run(ask(config_of(ctx), {"do": "subscribe", "subscribers": [desk.written(one)]}))
    click.echo(f"{'added' if answer['added'] else 'updated'} {one.address}")


@subscribers.command()
@click.argument("address")
@click.pass_context
def remove(ctx: click.Context, address: str) -> None:
    """End all mail to an address; its record stays as the proof of what was sent."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "unsubscribe", "address": address}))
    click.echo(f"unsubscribed {answer['address']}")


@subscribers.command("import")
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
@json_option
@click.pass_context
def import_subscribers(ctx: click.Context, source: str, dry_run: bool, as_json: bool) -> None:
    """Add the subscribers of a CSV file (or -): good lines are taken, bad ones told by number.

    The first line names the columns: address, and any of name, language, timezone, leads, state.
    """
    from notifier import desk, files, talklists
    from notifier.subscribers import read_csv

    config = config_of(ctx)
    text = talklists.decode(files.read(source), source)
    good, bad = [], 0
    with _progress(text.count("\n") + 1) as advance:
        for line, read in read_csv(text):
            if isinstance(read, NotifierError):
                bad += 1
                for problem in read.problems:
                    click.echo(f"{source}:{line}: {problem.message}; {problem.advice}", err=True)
            else:
                good.append(desk.written(read))
            advance(line)
    answer = {"added": 0, "updated": 0}
    if good and not dry_run:
        answer = asyncio.run(ask(config, {"do": "subscribe", "subscribers": good}))
    counts = {"good": len(good), "bad": bad, "added": answer["added"], "updated": answer["updated"]}
    if as_json:
        print_json(counts)
    else:
        click.echo("{good} good, {bad} bad; {added} added, {updated} updated".format(**counts))
    sys.exit(NOT_SO if bad else DONE)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda line: bar.update(task, completed=line)


@subscribers.command("export")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the CSV here.")
@click.pass_context
def export_subscribers(ctx: click.Context, output: Path | None) -> None:
    """Print everyone as CSV, as `subscribers import` reads it."""
    from notifier import files, inquiries
    from notifier.subscribers import write_csv

    text = "".join(write_csv(asyncio.run(inquiries.everyone(config_of(ctx)))))
    if output is None:
        click.echo(text, nl=False)
    else:
        files.write_atomically(output, text, overwrite=True)


COMMANDS: tuple[click.Command, ...] = (subscribers,)
