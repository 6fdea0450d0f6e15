"""A mail server is reached safely or not at all, and what stands in the way is said in words."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from mailserver import HOST, MailServer, free_port

from notifier.errors import ConfigError
from notifier.relay import SmtpSettings, check, tls_context
from notifier.replies import Answer

PASSWORD = "lost in the flood"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls": "none", "username": "seminar", "password": PASSWORD},
        {"links": 0},
        {"host": ""},
        {"host": "mail.example.org\n"},
        {"local_hostname": "my machine"},
    ],
)
def test_settings_that_cannot_work_are_refused_without_naming_a_secret(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        SmtpSettings(**{"host": "mail.example.org", **wrong})
    assert len(caught.value.problems) == 1
    assert PASSWORD not in str(caught.value)


def test_settings_do_not_show_the_password() -> None:
    assert PASSWORD not in repr(SmtpSettings(HOST, username="seminar", password=PASSWORD))


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_a_problem_of_the_settings(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="ca_file"):
        tls_context(SmtpSettings(HOST, ca_file=path))


async def test_a_check_tells_what_the_server_offers_and_sends_nothing(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("starttls", certified(), login=("seminar", PASSWORD), size=1000) as server:
        changes: dict[str, Any] = {
            "tls": "starttls",
            "ca_file": authority[1],
            "username": "seminar",
            "password": PASSWORD,
        }
        report = await check(
            SmtpSettings(
                HOST, server.port, local_hostname="notifier.example.org", timeout=timedelta(seconds=20), **changes
            )
        )
    assert report.outcome.answer is Answer.ACCEPTED
    assert report.offer.tls == "TLSv1.3"
    assert report.offer.features == {"size": "1000", "8bitmime": "", "auth": "LOGIN PLAIN", "help": ""}
    assert report.offer.logins == ("LOGIN", "PLAIN")
    assert report.offer.certified_until is not None
    assert report.offer.certified_until.tzinfo is UTC
    assert [command.split()[0] for command in server.commands] == ["EHLO", "EHLO", "AUTH", "QUIT"]


async def test_a_check_tells_why_a_server_cannot_be_used() -> None:
    report = await check(SmtpSettings(HOST, free_port(), "none"))
    assert (report.outcome.answer, report.offer.features) == (Answer.RELAY, {})
