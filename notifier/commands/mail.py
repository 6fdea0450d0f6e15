"""Commands about how mail leaves."""

from __future__ import annotations

import asyncio
import sys

import click

from notifier.commands import DONE, NOT_SO, config_of, counted, current_time, json_option, print_json, problem_as_json


@click.command("check-smtp")
@json_option
@click.pass_context
def check_smtp(ctx: click.Context, as_json: bool) -> None:
    """Say what the mail server offers, which rules of its provider the settings break, and what the DNS lacks.

    Connects, encrypts and logs in; sends nothing.
    """
    from notifier import inspection
    from notifier.resolver import Resolver

    found = asyncio.run(inspection.inspected(config_of(ctx), current_time(), Resolver()))
    if as_json:
        problems, doubts = map(problem_as_json, found.problems), map(problem_as_json, found.doubts)
        print_json({**found.as_json(), "errors": list(problems), "warnings": list(doubts)})
        sys.exit(NOT_SO if found.problems else DONE)
    for section, report in found.reports.items():
        click.echo(f"[{section}] {report.outcome.reply}")
        if report.offer.tls:
            until = report.offer.certified_until
            click.echo(
                f"  {report.offer.tls}, its certificate good until {until:%Y-%m-%d}" if until else report.offer.tls
            )
        for meaning in found.meanings.get(section, ()):
            click.echo(f"  {meaning}")
    if found.has_mailbox:
        click.echo("[bounces] the mailbox can be read")
    for section, domain in found.domains.items():
        click.echo(f"[{'mail' if section == 'smtp' else section}] {domain.name}")
        for finding in domain.findings:
            click.echo(f"  {finding.kind}: {finding.standing}: {finding.words}")
    for problem in found.problems:
        click.echo(f"error: {problem}")
    for doubt in found.doubts:
        click.echo(f"warning: {doubt}")
    click.echo(f"{counted(found.problems, 'error')}, {counted(found.doubts, 'warning')}", err=True)
    sys.exit(NOT_SO if found.problems else DONE)


COMMANDS: tuple[click.Command, ...] = (check_smtp,)
