"""The commands of the command line: one file for each thing that people ask about; here what all of them share.

Every command imports what it needs when it runs, because `notifier --help` should not wait for a mail library.
"""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from notifier.errors import ConfigError, ListenError, NotifierError, OutputError, Problem, SourceError, StoreError

if TYPE_CHECKING:
    from notifier.config import Config
    from notifier.intake import Accepted

DONE, NOT_SO, CANNOT_GO_ON = 0, 1, 3
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_DEFAULT_CONFIGS = (Path("config.toml"), Path("/etc/notifier/config.toml"))

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def counted(things: Sequence[Any] | int, noun: str) -> str:
    """How many there are, like `1 error` and `2 errors`."""
    count = things if isinstance(things, int) else len(things)
    return f"{count} {noun}{'s' * (count != 1)}"


class Group(click.Group):
    """Commands in the order in which they are first needed, and our errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which the commands were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """What the command returns; an error of ours ends it with its problems on stderr and the exit code for it."""
        try:
            return super().invoke(ctx)
        except NotifierError as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            cannot = isinstance(error, ConfigError | StoreError | SourceError | OutputError | ListenError)
            ctx.exit(CANNOT_GO_ON if cannot else NOT_SO)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Ends the program like `click.Group.main`, and with one line where results could not be written to stdout."""
        if sys.stdout is None:
            # Closed by whoever wants no results; what is opened next must not stand where they are written to.
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the program lives
        _write_in_letters_that_readers_know()
        try:
            try:
                return super().main(*args, **extra)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            _let_go_of_stdout()
            sys.exit(NOT_SO)
        except OSError as error:
            if error.filename or error.errno not in _UNWRITABLE:
                raise
            _let_go_of_stdout()
            told = Problem(f"it cannot be written: {error.strerror}", "make room, or write elsewhere", "stdout")
            click.echo(str(told), err=True)
            sys.exit(CANNOT_GO_ON)


def _write_in_letters_that_readers_know() -> None:
    """Has what goes into a pipe or a file be UTF-8, as TOML, JSON and calendars are, whatever the locale is.

    On a terminal the locale says which letters there are; others become question marks there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def _let_go_of_stdout() -> None:
    """Has what is still to be written go nowhere, lest Python try once more and complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def config_of(ctx: click.Context) -> Config:
    """The settings that this call goes by. Raises SourceError if there are none, ConfigError if they are wrong."""
    from notifier import wiring

    given = ctx.obj or os.environ.get("NOTIFIER_CONFIG")
    path = Path(given) if given else next((p for p in _DEFAULT_CONFIGS if p.exists()), None)
    if path is None:
        raise SourceError(
            Problem("there is no config.toml here", "make one with 'notifier init', or name it with --config")
        )
    return wiring.config(path)


def print_json(value: Any) -> None:
    """Prints for programs: on one line in a pipe, indented on a terminal."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def warn(warnings: Iterable[Problem]) -> None:
    """Tells on stderr what is doubtful, with its line where it has one."""
    for warning in warnings:
        where = f"line {warning.line}: " if warning.line is not None else ""
        advice = f"; {warning.advice}" if warning.advice else ""
        click.echo(f"warning: {where}{warning.message}{advice}", err=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A drawn table on a terminal, tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(str, row)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, told how much is done; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def current_time() -> datetime:
    """The time now, in UTC."""
    from notifier import clock

    return clock.now()


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """The problem for programs, without what it lacks."""
    fields = {"source": problem.source, "line": problem.line, "message": problem.message, "advice": problem.advice}
    return {name: value for name, value in fields.items() if value}


def published(config: Config) -> Accepted:
    """What is published or, where no daemon keeps it, what would be; a list that would be refused is told of."""
    from notifier.inquiries import lists

    accepted, problems = asyncio.run(lists.published(config))
    warn(problems)
    return accepted


def local(at: datetime, zone: str) -> str:
    """The instant by the clocks of this zone, with its offset."""
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %z")


async def ask_daemon(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    """What the running daemon answers. Raises NotifierError where none runs."""
    from notifier import control

    answer = await control.call(control.socket_path(config.store.path), request)
    if answer is None:
        raise NotifierError(Problem("no daemon runs on this store", "start it with 'notifier run'"))
    return answer


async def ask(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    """Asks the daemon or, where none runs, does it at the store itself."""
    from notifier import control, desk, wiring

    answer = await control.call(control.socket_path(config.store.path), request)
    if answer is not None:
        return answer
    async with wiring.locked_store(config) as store:
        return await desk.perform(store, request, current_time())
