"""The command line: what organisers and operators ask, with results on stdout and all else on stderr.

Exit codes: 0 done; 1 the thing asked for is not so; 2 wrong usage; 3 cannot go on. Every command imports what it needs
when it runs, because `notifier --help` should not wait for a mail library.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from notifier import __version__
from notifier.errors import ConfigError, ListenError, NotifierError, Problem, SourceError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from notifier.config import Config
    from notifier.intake import Accepted
    from notifier.notices import Decision
    from notifier.talks import Seminar, Session

log = logging.getLogger(__name__)

DONE, NOT_SO, CANNOT_GO_ON = 0, 1, 3
_DEFAULT_CONFIGS = (Path("config.toml"), Path("/etc/notifier/config.toml"))
_KINDS = ("announcement", "reminder", "change", "cancelled")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class _Group(click.Group):
    """Commands in the order in which they are first needed, and our errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NotifierError as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            cannot = isinstance(error, ConfigError | StoreError | SourceError | ListenError)
            ctx.exit(CANNOT_GO_ON if cannot else NOT_SO)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", "config_path", metavar="PATH", help="The settings; else $NOTIFIER_CONFIG, ./config.toml, /etc."
)
@click.version_option(__version__, prog_name="notifier")
@click.pass_context
def main(ctx: click.Context, config_path: str | None) -> None:
    """A calendar and notification daemon for scientific seminars.

    One talk list in; a calendar feed, pages, and exactly-once e-mail reminders out.
    """
    ctx.obj = config_path


def _config(ctx: click.Context) -> Config:
    from notifier import wiring

    given = ctx.obj or os.environ.get("NOTIFIER_CONFIG")
    path = Path(given) if given else next((p for p in _DEFAULT_CONFIGS if p.exists()), None)
    if path is None:
        raise ConfigError(
            Problem("there is no config.toml here", "make one with 'notifier init', or name it with --config")
        )
    return wiring.config(path)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def _warn(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        where = f"line {warning.line}: " if warning.line is not None else ""
        advice = f"; {warning.advice}" if warning.advice else ""
        click.echo(f"warning: {where}{warning.message}{advice}", err=True)


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
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


def _now() -> datetime:
    from notifier import clock

    return clock.now()


# --- a new house -----------------------------------------------------------------------------------------------------


@main.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sample", is_flag=True, help="Also add three sample subscribers.")
def init(directory: Path, sample: bool) -> None:
    """Write a config.toml and a talks.toml that run as they are; what is there already stays."""
    from notifier import files, wiring

    directory.mkdir(parents=True, exist_ok=True)
    texts = wiring.first_files(_now())
    written = 0
    for name, text in texts.items():
        path = directory / name
        if path.exists():
            click.echo(f"{path} is there already and stays as it is", err=True)
            continue
        files.write_atomically(path, text, overwrite=False)
        click.echo(str(path))
        written += 1
    if sample:
        asyncio.run(_add_samples(directory / "config.toml"))
    sys.exit(DONE if written else NOT_SO)


async def _add_samples(path: Path) -> None:
    from notifier import desk, wiring

    request = {"do": "subscribe", "subscribers": [desk.written(one) for one in wiring.sample_subscribers()]}
    await _ask(wiring.config(path), request)


@main.command()
@as_json
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Say every problem of the settings, the talk list and the templates at once, warnings apart from errors."""
    from notifier import inquiries

    errors: list[Problem] = []
    warnings: list[Problem] = []
    try:
        config = _config(ctx)
        warnings += config.warnings
        for look in (inquiries.list_warnings, inquiries.template_warnings):
            try:
                warnings += asyncio.run(look(config))
            except NotifierError as error:
                errors += error.problems
    except ConfigError as error:
        errors += error.problems
    if as_json:
        _print_json({"errors": [_problem(p) for p in errors], "warnings": [_problem(p) for p in warnings]})
    else:
        for problem in errors:
            click.echo(f"error: {problem}")
        for problem in warnings:
            click.echo(f"warning: {problem}")
        click.echo(f"{len(errors)} errors, {len(warnings)} warnings", err=True)
    sys.exit(NOT_SO if errors else DONE)


def _problem(problem: Problem) -> dict[str, Any]:
    fields = {"source": problem.source, "line": problem.line, "message": problem.message, "advice": problem.advice}
    return {name: value for name, value in fields.items() if value}


# --- the talk list ---------------------------------------------------------------------------------------------------


@main.command("import")
@click.argument("source")
@click.option("--format", "form", default="", metavar="F", help="ics, records, toml, table or page; else by its looks.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the talk list here.")
@click.option("--timezone", default="Asia/Shanghai", show_default=True, help="The zone of times that name none.")
@as_json
def import_(source: str, form: str, output: Path | None, timezone: str, as_json: bool) -> None:
    """Turn a seminar's page, table, records or calendar into a talk list of ours.

    SOURCE is a file, a URL, or - for stdin. Everything doubtful or lost is told as a warning with its line.
    """
    from notifier import inquiries
    from notifier.talklists import FORMS, toml
    from notifier.talks import as_json as written

    if form and form not in FORMS:
        raise click.BadParameter(f"'{form}' is none of {', '.join(FORMS)}", param_hint="--format")
    seminar, warnings = asyncio.run(inquiries.imported(source, form, timezone, output))
    _warn(warnings)
    if as_json:
        listed = [{k: v for k, v in _problem(w).items() if k in ("line", "message")} for w in warnings]
        text = json.dumps({**written(seminar), "warnings": listed}, ensure_ascii=False, indent=1) + "\n"
    else:
        text = toml.write(seminar, warnings)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_list(output, text)
        talks = sum(len(session.talks) for session in seminar.sessions)
        click.echo(f"{output}: {len(seminar.sessions)} sessions, {talks} talks, {len(warnings)} warnings", err=True)


def _write_list(path: Path, text: str) -> None:
    """Writes the list; one that was there before is kept beside it, since a person may have added to it."""
    from notifier import files

    if path.exists():
        kept = path.with_name(path.name + ".before")
        files.write_atomically(kept, files.read(path), overwrite=True)
        click.echo(f"{path} was there already; it is kept as {kept}", err=True)
    files.write_atomically(path, text, overwrite=True)


@main.command()
@click.argument("source", required=False)
@as_json
@click.pass_context
def diff(ctx: click.Context, source: str | None, as_json: bool) -> None:
    """Say per session, in words, what would change if this list were loaded."""
    from notifier import inquiries, revisions

    changes, refusal = asyncio.run(inquiries.compared(_config(ctx), source))
    if as_json:
        listed = [
            {"session": c.session_id, "kind": str(c.kind), "words": c.words, "material": c.material} for c in changes
        ]
        _print_json({"changes": listed, "refused": [_problem(p) for p in refusal]})
    else:
        for change in changes:
            click.echo(f"{change.session_id}: {change.kind}: {change.words}")
        click.echo(revisions.summary(changes), err=True)
        for problem in refusal:
            click.echo(f"would be refused: {problem}", err=True)
    sys.exit(NOT_SO if refusal else DONE)


@main.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the feed here.")
@click.pass_context
def feed(ctx: click.Context, output: Path | None) -> None:
    """Print the iCalendar document, the same bytes that the server gives."""
    from notifier import files, inquiries

    config = _config(ctx)
    data = inquiries.public_feed(config, _published(config).seminar, _now())
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        files.write_atomically(output, data, overwrite=True)


@main.command()
@as_json
@click.pass_context
def export(ctx: click.Context, as_json: bool) -> None:
    """Print the talk list as loaded, in JSON."""
    from notifier.talks import as_json as written

    del as_json  # the talk list has one form for programs, and it is this one
    config = _config(ctx)
    _print_json({**written(_published(config).seminar), "warnings": []})


def _published(config: Config) -> Accepted:
    """What is published or, where no daemon keeps it, what would be; a list that would be refused is told of."""
    from notifier import inquiries

    accepted, problems = asyncio.run(inquiries.published(config))
    _warn(problems)
    return accepted


# --- notices ---------------------------------------------------------------------------------------------------------


def _instant(text: str | None, config: Config) -> datetime:
    """The instant that a person wrote; without an offset it is in the seminar's zone."""
    from zoneinfo import ZoneInfo

    if text is None:
        return _now()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"'{text}' is no time; write it like 2021-11-26T09:00+08:00", param_hint="--at"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(config.seminar.timezone))


@main.command()
@click.option("--at", metavar="TIME", help="As if it were this time; now by default.")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 3660), help="How far to look ahead.")
@as_json
@click.pass_context
def plan(ctx: click.Context, at: str | None, days: int, as_json: bool) -> None:
    """Say every notice that would go out, when, to how many, and why others would not."""
    from notifier import inquiries

    config = _config(ctx)
    instant = _instant(at, config)
    accepted, problems = asyncio.run(inquiries.published(config))
    _warn(problems)
    planned = asyncio.run(inquiries.planned(config, accepted.seminar, instant, timedelta(days=days)))
    zone = accepted.seminar.timezone
    if as_json:
        _print_json([_decision(d, people) for d, people in planned])
    else:
        rows = [
            (_local(d.notice.due, zone), d.notice.session_id, d.notice.rule, _fate(d, instant), people, d.reason)
            for d, people in planned
        ]
        _table(("due", "session", "notice", "verdict", "people", "because"), rows)
    sys.exit(DONE if any(_goes_out(d) for d, _ in planned) else NOT_SO)


def _goes_out(decision: Decision) -> bool:
    return decision.verdict in ("waiting", "open")


def _fate(decision: Decision, now: datetime) -> str:
    if decision.verdict == "waiting":
        return "goes out" if decision.notice.due > now else "waits"
    return {"open": "goes out now", "done": "done"}.get(decision.verdict, f"not: {decision.verdict}")


def _local(at: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %z")


def _decision(decision: Decision, people: int) -> dict[str, Any]:
    notice = decision.notice
    return {
        "session": notice.session_id,
        "kind": str(notice.kind),
        "rule": notice.rule,
        "due": notice.due.isoformat(),
        "deadline": notice.deadline.isoformat(),
        "verdict": str(decision.verdict),
        "reason": decision.reason,
        "people": people,
    }


@main.command()
@click.argument("address")
@click.argument("session_id", metavar="[SESSION]", required=False)
@as_json
@click.pass_context
def explain(ctx: click.Context, address: str, session_id: str | None, as_json: bool) -> None:
    """Say which notices one subscriber gets, when, sent or not, and why."""
    from notifier import inquiries

    config = _config(ctx)
    accepted, _ = asyncio.run(inquiries.published(config))
    told = asyncio.run(inquiries.explained(config, accepted.seminar, address, _now()))
    rows = [row for row in told.rows if session_id in (None, row.session_id)]
    if as_json:
        _print_json({"address": told.address, "state": told.state, "notices": [row.as_json() for row in rows]})
    else:
        click.echo(f"{told.address}: {told.state}", err=True)
        zone = accepted.seminar.timezone
        _table(
            ("when", "session", "notice", "state", "because"),
            [(_local(row.at, zone), row.session_id, row.rule, row.state, row.reason) for row in rows],
        )
    sys.exit(DONE if rows else NOT_SO)


@main.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--lang", type=click.Choice(("zh", "en")), default="en", show_default=True)
@click.option("--part", type=click.Choice(("text", "html", "eml")), default="text", show_default=True)
@click.pass_context
def preview(ctx: click.Context, session_id: str, kind: str, lang: str, part: str) -> None:
    """Print the real message of this kind, personalised for a sample subscriber."""
    from notifier import inquiries, wiring

    config = _config(ctx)
    seminar = _published(config).seminar
    session = _session(seminar, session_id)
    reader = next(one for one in wiring.sample_subscribers() if one.language == lang)
    message = asyncio.run(inquiries.composed(config, seminar, session, kind, reader, _now()))
    sys.stdout.buffer.write(_part(message.body, part))


def _part(body: bytes, part: str) -> bytes:
    if part == "eml":
        return body
    from email import message_from_bytes
    from email.policy import default

    found = message_from_bytes(body, policy=default).get_body(("plain",) if part == "text" else ("html",))
    assert found is not None
    return str(found.get_content()).encode()


def _session(seminar: Seminar, session_id: str) -> Session:
    found = seminar.session(session_id)
    if found is None:
        import difflib

        near = difflib.get_close_matches(session_id, [s.id for s in seminar.sessions], 3, 0)
        raise NotifierError(Problem(f"there is no session '{session_id}'", f"did you mean {', '.join(near)}?"))
    return found


@main.command("send-test")
@click.argument("address")
@click.argument("kind", type=click.Choice(_KINDS), default="reminder")
@click.option("--session", "session_id", metavar="SESSION", help="The next one by default.")
@click.option("--lang", type=click.Choice(("zh", "en")), default="en", show_default=True)
@as_json
@click.pass_context
def send_test(ctx: click.Context, address: str, kind: str, session_id: str | None, lang: str, as_json: bool) -> None:
    """Send one real message through the configured transport, and say what the mail server answered."""
    from notifier import inquiries
    from notifier.subscribers import subscriber

    config = _config(ctx)
    seminar = _published(config).seminar
    now = _now()
    session = _session(seminar, session_id) if session_id else seminar.next_session(now) or seminar.sessions[-1]
    message = asyncio.run(
        inquiries.composed(config, seminar, session, kind, subscriber({"address": address, "language": lang}), now)
    )
    outcome = asyncio.run(inquiries.sent_test(config, message))
    if as_json:
        _print_json({"answer": str(outcome.answer), "code": outcome.code, "reply": outcome.reply})
    else:
        click.echo(f"{outcome.answer}: {outcome.reply}")
    sys.exit(DONE if outcome.answer == "accepted" else NOT_SO)


# --- the daemon ------------------------------------------------------------------------------------------------------


@main.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads the talk list and the templates."""
    from notifier import logs
    from notifier.daemon import Daemon

    config = _config(ctx)
    logs.set_up(config.log.level, config.log.format)
    for warning in config.warnings:
        log.warning("%s", warning)
    asyncio.run(_live(Daemon(config)))


async def _live(daemon: Any) -> None:
    await daemon.run()


@main.command()
@as_json
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Say what comes next, the deliveries by state, and what is wrong; exit 1 when something needs a person."""
    from notifier import inquiries

    told = asyncio.run(inquiries.status(_config(ctx), _now()))
    if as_json:
        _print_json(told)
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


@main.command()
@click.option("--accept-removals", is_flag=True, help="Count sessions and talks that vanished as removed.")
@click.pass_context
def reload(ctx: click.Context, accept_removals: bool) -> None:
    """Tell the running daemon to load the talk list and the templates now."""
    answer = asyncio.run(_ask_daemon(_config(ctx), {"do": "reload", "accept_removals": accept_removals}))
    click.echo(answer["changed"])


@main.command()
@click.argument("reason", default="")
@click.pass_context
def hold(ctx: click.Context, reason: str) -> None:
    """Stop all sending, while feed and pages go on."""
    asyncio.run(_ask(_config(ctx), {"do": "hold", "reason": reason}))


@main.command()
@click.pass_context
def release(ctx: click.Context) -> None:
    """Resume sending after `hold`."""
    asyncio.run(_ask(_config(ctx), {"do": "release"}))


async def _ask_daemon(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    from notifier import control

    answer = await control.call(control.socket_path(config.store.path), request)
    if answer is None:
        raise NotifierError(Problem("no daemon runs on this store", "start it with 'notifier run'"))
    return answer


async def _ask(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    """Asks the daemon or, where none runs, does it at the store itself."""
    from notifier import control, desk, wiring

    answer = await control.call(control.socket_path(config.store.path), request)
    if answer is not None:
        return answer
    async with wiring.locked_store(config) as store:
        return await desk.perform(store, request, _now())


# --- subscribers -----------------------------------------------------------------------------------------------------


@main.group(cls=_Group)
def subscribers() -> None:
    """List, add, remove, import and export those who get mail."""


@subscribers.command("list")
@as_json
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every subscriber with state and preferences."""
    from notifier import desk, inquiries

    everyone = asyncio.run(inquiries.everyone(_config(ctx)))
    if as_json:
        _print_json([{**desk.written(one), "id": one.id} for one in everyone])
    else:
        rows = [(one.address, one.name, one.language, one.timezone or "-", _leads(one), one.state) for one in everyone]
        _table(("address", "name", "language", "time zone", "lead times", "state"), rows)


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
    answer = asyncio.run(_ask(_config(ctx), {"do": "subscribe", "subscribers": [desk.written(one)]}))
    click.echo(f"{'added' if answer['added'] else 'updated'} {one.address}")


@subscribers.command()
@click.argument("address")
@click.pass_context
def remove(ctx: click.Context, address: str) -> None:
    """End all mail to an address; its record stays as the proof of what was sent."""
    answer = asyncio.run(_ask(_config(ctx), {"do": "unsubscribe", "address": address}))
    click.echo(f"unsubscribed {answer['address']}")


@subscribers.command("import")
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
@as_json
@click.pass_context
def import_subscribers(ctx: click.Context, source: str, dry_run: bool, as_json: bool) -> None:
    """Add the subscribers of a CSV file (or -): good lines are taken, bad ones told by number.

    The first line names the columns: address, and any of name, language, timezone, leads, state.
    """
    from notifier import desk, files, talklists
    from notifier.subscribers import read_csv

    config = _config(ctx)
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
        answer = asyncio.run(_ask(config, {"do": "subscribe", "subscribers": good}))
    counts = {"good": len(good), "bad": bad, "added": answer["added"], "updated": answer["updated"]}
    if as_json:
        _print_json(counts)
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

    text = "".join(write_csv(asyncio.run(inquiries.everyone(_config(ctx)))))
    if output is None:
        click.echo(text, nl=False)
    else:
        files.write_atomically(output, text, overwrite=True)


if __name__ == "__main__":
    main()
