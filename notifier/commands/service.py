"""Commands about the daemon: run it, look at it, stop and resume its mail."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from notifier.commands import DONE, NOT_SO, ask, ask_daemon, config_of, counted, current_time, json_option, print_json
from notifier.errors import NotifierError, Problem

if TYPE_CHECKING:
    from notifier.config import Config

log = logging.getLogger(__name__)


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads the talk list and the templates."""
    from notifier import logs, wiring
    from notifier.daemon import Daemon

    config = config_of(ctx)
    logs.set_up(config.log.level, config.log.format)
    for warning in config.warnings:
        log.warning("%s", warning)
    with asyncio.Runner(loop_factory=wiring.loop_factory(config)) as runner:
        runner.run(_live(Daemon(config)))


async def _live(daemon: Any) -> None:
    await daemon.run()


@click.command()
@click.option("--watch", is_flag=True, help="Show the mailings that are under way until they are over.")
@json_option
@click.pass_context
def status(ctx: click.Context, watch: bool, as_json: bool) -> None:
    """Say what comes next, the deliveries by state, and what is wrong; exit 1 when something needs a person."""
    from notifier.inquiries import service

    if watch:
        _watch(config_of(ctx))
    told = asyncio.run(service.status(config_of(ctx), current_time()))
    if as_json:
        print_json(told)
    else:
        for name, value in told.items():
            click.echo(f"{name.replace('_', ' ')}: {_plain(value)}")
    sys.exit(NOT_SO if told["needs_a_person"] else DONE)


def _watch(config: Config) -> None:
    """A bar for every mailing on a terminal, else a line for every step, until none is under way."""
    from notifier.inquiries import service

    with _bars() as show:
        while mailings := asyncio.run(service.mailings(config, current_time())):
            for one in mailings:
                show(one)
            time.sleep(1)


@contextmanager
def _bars() -> Iterator[Callable[[dict[str, Any]], None]]:
    if not sys.stderr.isatty():
        seen: dict[str, int] = {}

        def tell(one: dict[str, Any]) -> None:
            name = f"{one['session']}/{one['rule']}"
            if seen.get(name) != one["done"]:
                seen[name] = one["done"]
                click.echo(f"{name}: {one['done']} of {one['total']}, {one['per_minute']} a minute", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[ends]}"))
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def move(one: dict[str, Any]) -> None:
            name = f"{one['session']}/{one['rule']}"
            ends = f"{one['per_minute']} a minute, ends {one['ends'][11:16]}Z" if one["ends"] else ""
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=one["total"], ends=ends)
            bars.update(tasks[name], completed=one["done"], total=one["total"], ends=ends)

        yield move
        for task in bars.tasks:
            bars.update(task.id, completed=task.total)


def _plain(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "none"
        case list():
            return "".join(f"\n  {_plain(item)}" for item in value) or "none"
        case bool():
            return "yes" if value else "no"
        case _:
            return "none" if value is None else str(value)


@click.command()
@click.option("--accept-removals", is_flag=True, help="Count what vanished as removed, which is told to nobody.")
@json_option
@click.pass_context
def reload(ctx: click.Context, accept_removals: bool, as_json: bool) -> None:
    """Tell the running daemon to load the talk list and the templates now."""
    answer = asyncio.run(ask_daemon(config_of(ctx), {"do": "reload", "accept_removals": accept_removals}))
    if as_json:
        print_json({"changed": answer["changed"]})
    else:
        click.echo(answer["changed"])


@click.command()
@click.argument("reason", default="")
@json_option
@click.pass_context
def hold(ctx: click.Context, reason: str, as_json: bool) -> None:
    """Stop all sending, while feed and pages go on."""
    answer = asyncio.run(ask(config_of(ctx), {"do": "hold", "reason": reason}))
    if as_json:
        print_json(answer)
    else:
        click.echo(f"nothing is sent until notifier release: {answer['hold']}")


@click.command()
@click.option(
    "--ambiguous",
    "decision",
    type=click.Choice(["resend", "sent"]),
    help="Instead: send once more, or count as sent, what may have arrived and is not sent again by itself.",
)
@click.option("--sent", "is_sent", is_flag=True, help="Count as sent what was due before a backup was put back.")
@json_option
@click.pass_context
def release(ctx: click.Context, decision: str | None, is_sent: bool, as_json: bool) -> None:
    """Resume sending after `hold` or `restore`, or settle what may have arrived; without any such, exit 1."""
    if decision is not None:
        _decide(config_of(ctx), decision, as_json)
    if is_sent:
        answer = asyncio.run(ask_daemon(config_of(ctx), {"do": "release", "is_sent": True}))
    else:
        answer = asyncio.run(ask(config_of(ctx), {"do": "release"}))
    if as_json:
        print_json(answer)
    else:
        if is_sent:
            click.echo(f"counted as sent: {counted(answer['counted'], 'mail')}")
        click.echo("what is due is sent again")


def _decide(config: Config, decision: str, as_json: bool) -> NoReturn:
    answer = asyncio.run(ask(config, {"do": "decide", "as": decision}))
    done = "sent once more" if decision == "resend" else "counted as sent"
    if as_json:
        print_json(answer)
    else:
        count = answer["decided"]
        click.echo(f"{done}: {count} that may have arrived" if count else "nothing waits for this decision")
    sys.exit(DONE if answer["decided"] else NOT_SO)


@click.command()
@click.argument("notice", metavar="[ID]", required=False)
@json_option
@click.pass_context
def approve(ctx: click.Context, notice: str | None, as_json: bool) -> None:
    """Let out a change that waits for a second look, or all that do; without any waiting, exit 1.

    ID is SESSION/RULE/GENERATION, as `plan` and `status` give it. `preview` shows the mail.
    """
    from notifier.inquiries import notices

    config = config_of(ctx)
    waiting = asyncio.run(notices.unapproved(config, current_time()))
    chosen = [name for name in waiting if notice in (None, name)]
    if chosen:
        asyncio.run(ask(config, {"do": "approve", "notices": chosen}))
    elif notice is not None:
        told = f"'{notice}' does not wait to be approved"
        raise NotifierError(Problem(told, f"these do: {', '.join(waiting) or 'none'}"))
    if as_json:
        print_json({"approved": chosen})
    else:
        click.echo("\n".join(f"approved {name}" for name in chosen) or "nothing waits to be approved")
    sys.exit(DONE if chosen else NOT_SO)


COMMANDS: tuple[click.Command, ...] = (run, status, reload, hold, release, approve)
