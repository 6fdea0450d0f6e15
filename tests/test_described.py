"""Every operation of the description is called with what its schema allows and with what it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from test_server import NOW, SNAPSHOT, figures

from notifier import dialogues
from notifier.server import Server
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Allowance, Subscriber
from notifier.subscriptions import Subscriptions
from notifier.tokens import Grant, Keyring, Purpose

MANY = Allowance(10**6, 10**6, 10**6)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


HOUSE: dict[str, Any] = {}


async def door(scope: Any, receive: Any, send: Any) -> None:
    """The application that is called; it must be there before there is a test, and so before its house."""
    await HOUSE["app"](scope, receive, send)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    """The keys of the links, where behind the door is a server with a real ledger in which Ada is subscribed."""

    async def founded() -> SqliteStore:
        store = await SqliteStore.open(tmp_path_factory.mktemp("store") / "notifier.db")
        await store.begin(NOW, ())
        await store.subscribe([Subscriber("ada@example.org")], NOW)
        return store

    store, keyring = asyncio.run(founded()), Keyring.parse("a-key-of-this-test")
    people = Subscriptions(
        store, keyring, "https://x", MANY, now=lambda: NOW, coming=SNAPSHOT.seminar.next_session, wake=lambda: None
    )

    async def health() -> dict[str, str]:
        return {"store": ""}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialogues, "ANSWER_AFTER", timedelta(0))
        HOUSE["app"] = Server([], SNAPSHOT, people, health, figures=figures, has_open_probes=True).app
        yield keyring
    asyncio.run(store.close())


DESCRIPTION = schemathesis.openapi.from_dict(json.loads(SNAPSHOT.documents["/openapi.json"].body))
DESCRIPTION.app = door
DESCRIPTION.location = "/openapi.json"


@DESCRIPTION.parametrize()
@settings(max_examples=12, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_what_is_described_answers_as_described(case: Case, house: Keyring):
    purpose = case.path.split("/")[1]
    if "token" in case.path_parameters and len(case.path_parameters["token"]) % 2:  # half of them are true
        case.path_parameters["token"] = house.sign(Purpose(purpose), Grant(1))
    case.call_and_validate(checks=CHECKS)
