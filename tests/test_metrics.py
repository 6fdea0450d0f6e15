"""The daemon in numbers, as Prometheus reads them."""

from __future__ import annotations

import re

from notifier import __version__, metrics
from notifier.metrics import Figures
from notifier.stores import DeliveryState, Summary

LEDGER = Summary({"sent": 1_234_567, "ambiguous": 2, "expired": 3}, {"confirmed": 40, "unsubscribed": 1}, overdue=5)
FIGURES = Figures(
    LEDGER, 7.25, 1_637_726_400.0, False, True, {"mail": "421 try later", "clock": ""}, {"a/reminder-1d/0": (7, 9)}, 3
)


def samples(text: str) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_every_figure_is_there_by_its_name():
    assert samples(metrics.render(FIGURES, {304: 9, 200: 8}, 3)) == {
        f'notifier_build_info{{version="{__version__}"}}': "1",
        "notifier_notice_debt": "5",
        "notifier_ambiguous": "2",
        "notifier_expired_total": "3",
        **{f'notifier_deliveries{{state="{state.value}"}}': "0" for state in DeliveryState},
        'notifier_deliveries{state="sent"}': "1234567",
        'notifier_deliveries{state="ambiguous"}': "2",
        'notifier_deliveries{state="expired"}': "3",
        'notifier_mailing_done{notice="a/reminder-1d/0"}': "7",
        'notifier_mailing_total{notice="a/reminder-1d/0"}': "9",
        "notifier_mails_per_minute": "3",
        'notifier_subscribers{state="confirmed"}': "40",
        'notifier_subscribers{state="unsubscribed"}': "1",
        "notifier_last_reconcile_age_seconds": "7.25",
        "notifier_last_accepted_list_timestamp_seconds": "1637726400",
        "notifier_clock_hold": "0",
        "notifier_hold": "1",
        'notifier_trouble{cause="mail"}': "1",
        'notifier_trouble{cause="clock"}': "0",
        'notifier_http_responses_total{status="200"}': "8",
        'notifier_http_responses_total{status="304"}': "9",
        "notifier_http_connections": "3",
    }


def test_each_name_is_explained_once_and_before_its_samples():
    text = metrics.render(FIGURES, {200: 1}, 0)
    for name in {re.split("[{ ]", line)[0] for line in samples(text)}:
        lines = [line for line in text.splitlines() if re.search(rf"\b{name}\b", line)]
        assert [line.split()[1] for line in lines[:2]] == ["HELP", "TYPE"]
        assert not any(line.startswith("#") for line in lines[2:])
    assert text.endswith("\n")


def test_words_of_a_mail_server_are_in_no_figure_and_quotes_end_no_label():
    odd = Figures(Summary(), 0, 0, False, False, {'a "cause"\\\n': "said of ada@example.org"})
    text = metrics.render(odd, {}, 0)
    assert "ada@example.org" not in text
    assert 'notifier_trouble{cause="a \\"cause\\"\\\\\\n"} 1' in text
