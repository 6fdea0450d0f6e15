"""The daemon in numbers → the text that Prometheus reads; never an address, a name or a link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from notifier import __version__
from notifier.stores import DeliveryState, Summary

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Mapping[str, float]  # by the value of the one label, "" where there is none


@dataclass(frozen=True, slots=True)
class Figures:
    """The state of the daemon at one moment; times are seconds, since 1970 where they are instants.

    `trouble` is what may need a person, each with its words or "" where it is well; `mailings` are how many mails are
    done of how many, by notice, and `per_minute` how many went out in the last one.
    """

    ledger: Summary
    reconciled_ago: float
    accepted_at: float
    is_clock_doubted: bool
    is_held: bool
    trouble: Mapping[str, str] = field(default_factory=dict)
    mailings: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    per_minute: int = 0


def render(figures: Figures, answered: Mapping[int, int], connections: int) -> str:
    """The figures and the server's own counts in Prometheus' text format, version 0.0.4."""
    deliveries = {state.value: figures.ledger.deliveries.get(state, 0) for state in DeliveryState}
    parts = (
        _part("build_info", "gauge", "The version that runs.", {__version__: 1}, "version"),
        _part("notice_debt", "gauge", "Deliveries that are due and not yet made.", {"": figures.ledger.overdue}),
        _part("ambiguous", "gauge", "Deliveries that may have arrived.", {"": deliveries["ambiguous"]}),
        _part("expired_total", "counter", "Deliveries that came too late to be made.", {"": deliveries["expired"]}),
        _part("deliveries", "gauge", "All deliveries that ever were, by state.", deliveries, "state"),
        _part(
            "mailing_done", "gauge", "Mails of a running mailing that are done.",
            {name: done for name, (done, _) in figures.mailings.items()}, "notice",
        ),
        _part(
            "mailing_total", "gauge", "Mails of a running mailing in all.",
            {name: total for name, (_, total) in figures.mailings.items()}, "notice",
        ),
        _part("mails_per_minute", "gauge", "Mails that went out in the last minute.", {"": figures.per_minute}),
        _part("subscribers", "gauge", "Subscribers by state.", figures.ledger.subscribers, "state"),
        _part(
            "last_reconcile_age_seconds", "gauge", "Time since what is due was derived.",
            {"": figures.reconciled_ago},
        ),
        _part(
            "last_accepted_list_timestamp_seconds", "gauge", "When the published list was taken.",
            {"": figures.accepted_at},
        ),
        _part("clock_hold", "gauge", "1 while the clock is not believed.", {"": figures.is_clock_doubted}),
        _part("hold", "gauge", "1 while nothing is sent, whatever the reason.", {"": figures.is_held}),
        _part(
            "trouble", "gauge", "1 for what needs a person, by cause.",
            {cause: bool(words) for cause, words in figures.trouble.items()}, "cause",
        ),
        _part(
            "http_responses_total", "counter", "Answers by status.",
            {str(status): count for status, count in sorted(answered.items())}, "status",
        ),
        _part("http_connections", "gauge", "Open connections.", {"": connections}),
    )  # fmt: skip
    return "".join(line for part in parts for line in part)


def _part(name: str, kind: str, told: str, samples: Samples, label: str = "") -> Iterator[str]:
    yield f"# HELP notifier_{name} {told}\n# TYPE notifier_{name} {kind}\n"
    for value, sample in samples.items():
        labels = f'{{{label}="{_escaped(value)}"}}' if label else ""
        yield f"notifier_{name}{labels} {float(sample):.15g}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
