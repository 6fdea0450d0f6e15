"""Notices + people + a mail server's limits → how long each mailing takes, and how many would get it too late."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from notifier.errors import Problem
from notifier.notices import Notice
from notifier.rates import Limits, capacity, duration
from notifier.spans import format_span


@dataclass(frozen=True, slots=True)
class Mailing:
    """One notice for so many people: it `takes` so long, and `late` of them would get it after its deadline."""

    notice: Notice
    people: int
    takes: timedelta
    late: int


def mailing(notice: Notice, people: int, limits: Limits) -> Mailing:
    """What a mail server with these limits makes of a notice."""
    late = max(0, people - capacity(limits, notice.deadline - notice.due))
    return Mailing(notice, people, duration(limits, people), late)


def doubts(mailings: Iterable[Mailing], limits: Limits) -> tuple[Problem, ...]:
    """What an operator should know of mailings that cannot be through in time; of each rule once."""
    seen: dict[str, Problem] = {}
    for one in mailings:
        if one.late and one.notice.rule not in seen:
            takes = format_span(one.takes)
            told = (
                f"{one.notice.rule} of {one.notice.session_id} cannot reach everyone in time: {one.people} mails take"
                f" {takes} at {limits}, and {one.late} of them would be too late"
            )
            advice = "raise [smtp] rate if the provider allows it, take another provider, or remind earlier"
            seen[one.notice.rule] = Problem(told, advice)
    return tuple(seen.values())
