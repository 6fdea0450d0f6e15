from __future__ import annotations

import pytest
from nameserver import NameServer

from notifier.resolver import Resolver


async def test_records_are_told_as_they_are_read() -> None:
    records = {
        ("TXT", "example.org"): ['"v=spf1 mx" " ~all"', '"\\229\\155\\155"'],
        ("MX", "example.org"): ["20 b.example.org.", "10 a.example.org."],
        ("MX", "null.example.org"): ["0 ."],
    }
    with NameServer(records) as server:
        resolver = Resolver(["127.0.0.1"], server.port)
        assert sorted(await resolver.texts("example.org") or ()) == ["v=spf1 mx ~all", "四"]
        assert await resolver.mail_hosts("example.org") == ("a.example.org", "b.example.org")
        assert await resolver.mail_hosts("null.example.org") == (".",)


async def test_no_records_and_no_such_name_are_an_answer() -> None:
    with NameServer({("MX", "example.org"): ["10 a.example.org."]}) as server:
        resolver = Resolver(["127.0.0.1"], server.port)
        assert await resolver.texts("example.org") == ()
        assert await resolver.texts("_dmarc.example.org") == ()


async def test_a_server_that_fails_or_is_silent_or_is_not_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.resolver.PATIENCE", 0.5)
    with NameServer() as server:
        resolver = Resolver(["127.0.0.1"], server.port)
        server.broken.add("example.org")
        assert await resolver.texts("example.org") is None
        server.is_silent = True
        assert await resolver.mail_hosts("example.org") is None
    assert await resolver.texts("example.org") is None


async def test_names_that_are_none_are_no_answer() -> None:
    with NameServer() as server:
        assert await Resolver(["127.0.0.1"], server.port).texts("a" * 64 + ".example.org") is None
