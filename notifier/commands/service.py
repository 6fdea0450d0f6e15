"""Commands about the daemon: run it, look at it, stop and resume its mail."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import click

from notifier.commands import DONE, NOT_SO, ask, ask_daemon, config_of, current_time, json_option, print_json
from notifier.errors import NotifierError, Problem

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
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Say what comes next, the deliveries by state, and what is wrong; exit 1 when something needs a person."""
    from notifier import inquiries

    told = asyncio.run(inquiries.status(config_of(ctx), current_time()))
    if as_json:
        print_json(told)
    else:
        for name, value in told.items():
            click.echo(f"{name.replace('_', ' ')}: {_plain(value)}")
    sys.exit(NOT_SO if told["needs_a_person"] else DONE)


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
@click.option("--accept-removals", is_flag=True, help="Count sessions and talks that vanished as removed.")
@click.pass_context
def reload(ctx: click.Context, accept_removals: bool) -> None:
    """Tell the running daemon to load the talk list and the templates now."""
    answer = asyncio.run(ask_daemon(config_of(ctx), {"do": "reload", "accept_removals": accept_removals}))
    click.echo(answer["changed"])


@click.command()
@click.argument("reason", default="")
@click.pass_context
def hold(ctx: click.Context, reason: str) -> None:
    """Stop all sending, while feed and pages go on."""
    asyncio.run(ask(config_of(ctx), {"do": "hold", "reason": reason}))


@click.command()
@click.pass_context
def release(ctx: click.Context) -> None:
    """Resume sending after `hold`."""
    asyncio.run(ask(config_of(ctx), {"do": "release"}))


@click.command()
@click.argument("notice", metavar="[ID]", required=False)
@json_option
@click.pass_context
def approve(ctx: click.Context, notice: str | None, as_json: bool) -> None:
    """Let out a change that waits for a second look, or all that do; without any waiting, exit 1.

    ID is SESSION/RULE/GENERATION, as `plan` and `status` give it. `preview` shows the mail.
    """
    from notifier import inquiries

    config = config_of(ctx)
    waiting = asyncio.run(inquiries.unapproved(config, current_time()))
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
