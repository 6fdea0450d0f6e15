"""Commands about notices and the mail that they become: what goes out, to whom, why, and how it looks."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from notifier.commands import (
    DONE,
    NOT_SO,
    config_of,
    current_time,
    json_option,
    local,
    print_json,
    print_table,
    published,
    warn,
)
from notifier.errors import NotifierError, Problem, StoreError
from notifier.spans import format_span

if TYPE_CHECKING:
    from notifier.config import Config
    from notifier.mailings import Mailing
    from notifier.notices import Decision
    from notifier.talks import Seminar, Session


_KINDS = ("announcement", "reminder", "change", "cancelled", "urgent", "replay", "confirmation", "welcome")


def _instant(text: str | None, config: Config) -> datetime:
    """The instant that a person wrote; without an offset it is in the seminar's zone."""
    from zoneinfo import ZoneInfo

    if text is None:
        return current_time()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"'{text}' is no time; write it like 2021-11-26T09:00+08:00", param_hint="--at"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(config.seminar.timezone))


@click.command()
@click.option("--at", metavar="TIME", help="As if it were this time; now by default.")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 3660), help="How far to look ahead.")
@json_option
@click.pass_context
def plan(ctx: click.Context, at: str | None, days: int, as_json: bool) -> None:
    """Say every notice that would go out, when, to how many, and why others would not."""
    from notifier import wiring
    from notifier.inquiries import lists, notices
    from notifier.mailings import doubts

    config = config_of(ctx)
    instant = _instant(at, config)
    accepted, problems = asyncio.run(lists.published(config))
    warn(problems)
    planned = asyncio.run(notices.planned(config, accepted.seminar, instant, timedelta(days=days)))
    zone = accepted.seminar.timezone
    if as_json:
        print_json([_decision(d, mailing) for d, mailing in planned])
    else:
        rows = [
            (local(d.notice.due, zone), d.notice.session_id, d.notice.rule, _fate(d, instant), m.people, _reason(d, m))
            for d, m in planned
        ]
        print_table(("due", "session", "notice", "verdict", "people", "because"), rows)
    warn(doubts([mailing for _, mailing in planned], wiring.limits(config)))
    sys.exit(DONE if any(_goes_out(d) for d, _ in planned) else NOT_SO)


def _goes_out(decision: Decision) -> bool:
    return decision.verdict in ("waiting", "open")


def _fate(decision: Decision, now: datetime) -> str:
    if decision.verdict == "waiting":
        return "goes out" if decision.notice.due > now else "waits"
    return {"open": "goes out now", "done": "done"}.get(decision.verdict, f"not: {decision.verdict}")


def _reason(decision: Decision, mailing: Mailing) -> str:
    if not mailing.takes:
        return decision.reason
    head_start = f", so it begins {format_span(decision.notice.head_start)} early" * bool(decision.notice.head_start)
    return "; ".join(filter(None, (decision.reason, f"takes {format_span(mailing.takes)}{head_start}")))


def _decision(decision: Decision, mailing: Mailing) -> dict[str, Any]:
    notice = decision.notice
    return {
        "id": notice.name,
        "session": notice.session_id,
        "kind": str(notice.kind),
        "rule": notice.rule,
        "due": notice.due.isoformat(),
        "deadline": notice.deadline.isoformat(),
        "verdict": str(decision.verdict),
        "reason": decision.reason,
        "people": mailing.people,
        "takes_seconds": int(mailing.takes.total_seconds()),
        "head_start_seconds": int(notice.head_start.total_seconds()),
        "late": mailing.late,
    }


@click.command()
@click.argument("address")
@click.argument("session_id", metavar="[SESSION]", required=False)
@json_option
@click.pass_context
def explain(ctx: click.Context, address: str, session_id: str | None, as_json: bool) -> None:
    """Say which notices one subscriber gets, when, sent or not, and why."""
    from notifier.inquiries import lists, notices

    config = config_of(ctx)
    accepted, _ = asyncio.run(lists.published(config))
    if session_id is not None:
        _session(accepted.seminar, session_id)
    told = asyncio.run(notices.explained(config, accepted.seminar, address, current_time()))
    rows = [row for row in told.rows if session_id in (None, row.session_id)]
    if as_json:
        print_json({"address": told.address, "state": told.state, "notices": [row.as_json() for row in rows]})
    else:
        click.echo(f"{told.address}: {told.state}", err=True)
        zone = accepted.seminar.timezone
        print_table(
            ("when", "session", "notice", "state", "because"),
            [(local(row.at, zone), row.session_id, row.rule, row.state, row.reason) for row in rows],
        )
    sys.exit(DONE if rows else NOT_SO)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--lang", type=click.Choice(("zh", "en")), default="en", show_default=True)
@click.option("--part", type=click.Choice(("text", "html", "eml")), default="text", show_default=True)
@click.pass_context
def preview(ctx: click.Context, session_id: str, kind: str, lang: str, part: str) -> None:
    """Print the real message of this kind, personalised for a sample subscriber."""
    from notifier import wiring
    from notifier.inquiries import mail

    config = config_of(ctx)
    seminar = published(config).seminar
    session = _session(seminar, session_id)
    reader = next(one for one in wiring.sample_subscribers() if one.language == lang)
    message = asyncio.run(mail.composed(config, seminar, session, kind, reader, current_time()))
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


@click.command("send-test")
@click.argument("address")
@click.argument("kind", type=click.Choice(_KINDS), default="reminder")
@click.option("--session", "session_id", metavar="SESSION", help="The next one by default, for a replay the last one.")
@click.option("--lang", type=click.Choice(("zh", "en")), default="en", show_default=True)
@json_option
@click.pass_context
def send_test(ctx: click.Context, address: str, kind: str, session_id: str | None, lang: str, as_json: bool) -> None:
    """Send one real message through the configured transport, and say what the mail server answered."""
    from notifier.inquiries import mail
    from notifier.subscribers import subscriber

    config = config_of(ctx)
    seminar = published(config).seminar
    now = current_time()
    session = _session(seminar, session_id) if session_id else mail.sample_session(seminar, kind, now)
    message = asyncio.run(
        mail.composed(config, seminar, session, kind, subscriber({"address": address, "language": lang}), now)
    )
    outcome = asyncio.run(mail.sent_test(config, message))
    if as_json:
        print_json({"answer": str(outcome.answer), "code": outcome.code, "reply": outcome.reply})
    else:
        click.echo(f"{outcome.answer}: {outcome.reply}")
    sys.exit(DONE if outcome.answer == "accepted" else NOT_SO)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--text", "line", metavar="T", help="The line, for readers of both languages; everybody can read it.")
@click.option("--clear", is_flag=True, help="Instead: take away the line that is out; nobody is mailed.")
@click.option("--dry-run", is_flag=True, help="Only say to how many it would go, and print the mail.")
@click.option("--lang", type=click.Choice(("zh", "en")), default="en", show_default=True, help="Of the mail printed.")
@json_option
@click.pass_context
def announce(
    ctx: click.Context, session_id: str, line: str | None, clear: bool, dry_run: bool, lang: str, as_json: bool
) -> None:
    """Put an urgent line above all else on page and feed, and mail it at once.

    It goes to those who have been told of the session, before any other mail, and needs no approve. It stays until the
    session is over or another line takes its place, and reminders that go out meanwhile begin with it. Page and feed
    show it to everybody: no passcode belongs in it.
    """
    if clear == (line is not None) or (clear and dry_run):
        raise click.UsageError("give the line with --text, or --clear and nothing else")
    config = config_of(ctx)
    if line is not None and dry_run:
        _show_urgent(config, session_id, line, lang, as_json)
        return
    answer = asyncio.run(_announced(config, {"do": "announce", "session": session_id, "line": line}))
    if as_json:
        print_json(answer)
    elif clear:
        click.echo(f"{session_id}: the line is taken away")
    else:
        click.echo(_what_became_of_line(config, answer))


def _show_urgent(config: Config, session_id: str, line: str, language: str, as_json: bool) -> None:
    from notifier import wiring
    from notifier.inquiries import mail, notices

    seminar, now = published(config).seminar, current_time()
    session, decision, mailing = asyncio.run(notices.announcing(config, seminar, session_id, line, now))
    reader = next(one for one in wiring.sample_subscribers() if one.language == language)
    message = asyncio.run(mail.composed(config, seminar, session, "urgent", reader, now, decision.before))
    text = _part(message.body, "text").decode()
    if as_json:
        print_json({"session": session_id, "people": mailing.people, "text": text})
    else:
        click.echo(f"it would go to {_how_many(mailing.people)}{_how_long(mailing.takes, mailing.late)}", err=True)
        click.echo(text, nl=False)


async def _announced(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    from notifier import control

    answer = await control.call(control.socket_path(config.store.path), request)
    if answer is None:
        told = "no daemon runs on this store, so nothing was announced"
        raise StoreError(Problem(told, "start it with 'notifier run', and announce it again"))
    return answer


def _what_became_of_line(config: Config, answer: dict[str, Any]) -> str:
    from notifier import rates, wiring

    people, until = answer["people"], datetime.fromisoformat(answer["until"])
    shown = f"{answer['session']}: page and feed show it until {until:%a %Y-%m-%d %H:%M %z}"
    if not people:
        return f"{shown}; nobody has been told of this session yet, so nobody is mailed now"
    if answer["hold"]:
        return f"{shown}; mail to {_how_many(people)} waits for notifier release: {answer['hold']}"
    limits = wiring.limits(config)
    late = people - rates.capacity(limits, until - current_time())
    return f"{shown}; mail goes to {_how_many(people)}{_how_long(rates.duration(limits, people), late)}"


def _how_many(people: int) -> str:
    return "1 person" if people == 1 else f"{people} people"


def _how_long(takes: timedelta, late: int) -> str:
    slow = f", which takes {format_span(takes)}" if takes else ""
    return slow + (f", too late for {late} of them" if late > 0 else "")


COMMANDS: tuple[click.Command, ...] = (plan, explain, preview, send_test, announce)
