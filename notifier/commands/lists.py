"""Commands about settings and the talk list: write, check, read, compare, publish."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

import click

from notifier.commands import (
    DONE,
    NOT_SO,
    ask,
    config_of,
    counted,
    current_time,
    json_option,
    print_json,
    problem_as_json,
    published,
    warn,
)
from notifier.errors import ConfigError, NotifierError, Problem


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sample", is_flag=True, help="Also add three sample subscribers.")
def init(directory: Path, sample: bool) -> None:
    """Write a config.toml and a talks.toml that run as they are; what is there already stays."""
    from notifier import files, wiring

    files.make_folder(directory)
    texts = wiring.first_files(current_time())
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
    await ask(wiring.config(path), request)


@click.command()
@json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Say every problem of the settings, the talk list and the templates at once, warnings apart from errors."""
    from notifier.inquiries import lists, mail, notices

    errors: list[Problem] = []
    warnings: list[Problem] = []
    try:
        config = config_of(ctx)
        warnings += config.warnings
        now = current_time()
        looks = (
            lists.list_warnings(config, now),
            mail.template_warnings(config),
            mail.page_warnings(config, now),
            mail.mail_warnings(config),
        )
        for look in looks:
            try:
                warnings += asyncio.run(look)
            except NotifierError as error:
                errors += (problem for problem in error.problems if problem not in errors)
        if not errors:
            warnings += asyncio.run(notices.rate_warnings(config, now))
    except ConfigError as error:
        errors += error.problems
    if as_json:
        print_json({"errors": [problem_as_json(p) for p in errors], "warnings": [problem_as_json(p) for p in warnings]})
    else:
        for problem in errors:
            click.echo(f"error: {problem}")
        for problem in warnings:
            click.echo(f"warning: {problem}")
        click.echo(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}", err=True)
    sys.exit(NOT_SO if errors else DONE)


@click.command("import")
@click.argument("source")
@click.option("--format", "form", default="", metavar="F", help="ics, records, toml, table or page; else by its looks.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the talk list here.")
@click.option(
    "--timezone", default="", show_default="Asia/Shanghai, and a warning", help="The zone of times that name none."
)
@json_option
@click.pass_context
def import_(ctx: click.Context, source: str, form: str, output: Path | None, timezone: str, as_json: bool) -> None:
    """Turn a seminar's page, table, records or calendar into a talk list of ours.

    SOURCE is a file, a URL, or - for stdin. Everything doubtful or lost is told as a warning with its line.
    """
    from notifier.inquiries import lists
    from notifier.talklists import FORMS, toml
    from notifier.talks import as_json as written

    if form and form not in FORMS:
        raise click.BadParameter(f"'{form}' is none of {', '.join(FORMS)}", param_hint="--format")
    seminar, warnings = asyncio.run(lists.imported(source, form, timezone, output))
    warn(warnings)
    if as_json:
        listed = [{k: v for k, v in problem_as_json(w).items() if k in ("line", "message")} for w in warnings]
        with suppress(NotifierError):  # without settings nobody knows under which UIDs it would be published
            seminar = asyncio.run(lists.with_uids(config_of(ctx), seminar))
        text = json.dumps({**written(seminar), "warnings": listed}, ensure_ascii=False, indent=1) + "\n"
    else:
        text = toml.write(seminar, warnings)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_list(output, text)
        talks = sum(len(session.talks) for session in seminar.sessions)
        counts = (counted(seminar.sessions, "session"), counted(talks, "talk"), counted(warnings, "warning"))
        click.echo(f"{output}: {', '.join(counts)}", err=True)


def _write_list(path: Path, text: str) -> None:
    """Writes the list; one that was there before is kept beside it, since a person may have added to it."""
    from notifier import files

    if path.exists():
        kept = path.with_name(path.name + ".before")
        files.write_atomically(kept, files.read(path), overwrite=True)
        click.echo(f"{path} was there already; it is kept as {kept}", err=True)
    files.write_atomically(path, text, overwrite=True)


@click.command()
@click.argument("source", required=False)
@json_option
@click.pass_context
def diff(ctx: click.Context, source: str | None, as_json: bool) -> None:
    """Say per session, in words, what would change if this list were loaded."""
    from notifier import revisions
    from notifier.inquiries import lists

    changes, refusal = asyncio.run(lists.compared(config_of(ctx), source))
    if as_json:
        listed = [
            {"session": c.session_id, "kind": str(c.kind), "words": c.words, "material": c.material} for c in changes
        ]
        print_json({"changes": listed, "refused": [problem_as_json(p) for p in refusal]})
    else:
        for change in changes:
            click.echo(f"{change.session_id}: {change.kind}: {change.words}")
        if changes or not refusal:
            click.echo(revisions.summary(changes), err=True)
        for problem in refusal:
            click.echo(f"would be refused: {problem}", err=True)
    sys.exit(NOT_SO if refusal else DONE)


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the feed here.")
@click.pass_context
def feed(ctx: click.Context, output: Path | None) -> None:
    """Print the iCalendar document, the same bytes that the server gives."""
    from notifier import files
    from notifier.inquiries import lists

    config = config_of(ctx)
    data = lists.public_feed(config, published(config).seminar, current_time())
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        files.write_atomically(output, data, overwrite=True)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@json_option
@click.pass_context
def publish(ctx: click.Context, directory: Path, as_json: bool) -> None:
    """Put pages, feeds and calendars into a folder, as plain files for any web host.

    They are the bytes that the server gives, so that what only a server can answer is told of as a warning. Only what
    has changed is written; what is no longer published is removed again; files of others stay.
    """
    from notifier import mirror
    from notifier.inquiries import lists
    from notifier.pages.copies import copies

    config = config_of(ctx)
    files, problems = copies(lists.snapshot(config, published(config).seminar, current_time()))
    if config.subscriptions.open:
        told = "the pages have a form for mail, which plain files cannot answer"
        warn([Problem(told, "where the daemon is out of reach of readers, set [subscriptions] open = false")])
    warn(problems)
    done = mirror.update(directory, files)
    for path in done.kept:
        click.echo(
            f"warning: {directory / path} is no longer published, but was changed by somebody and stays", err=True
        )
    if as_json:
        print_json({"files": len(files), "written": done.written, "removed": done.removed, "kept": done.kept})
    else:
        click.echo(f"{directory}: {len(files)} files, {len(done.written)} written, {len(done.removed)} removed")


@click.command()
@json_option
@click.pass_context
def export(ctx: click.Context, as_json: bool) -> None:
    """Print the talk list as loaded, in JSON."""
    from notifier.bulletins import with_lines
    from notifier.talks import as_json as written

    del as_json  # the talk list has one form for programs, and it is this one
    config = config_of(ctx)
    print_json({**written(with_lines(published(config).seminar, {})), "warnings": []})


COMMANDS: tuple[click.Command, ...] = (init, check, import_, diff, feed, publish, export)
