"""The description for programs: that it is one, and that it is true."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from samples import DAYS, START, seminar, session

from notifier import pages, talks
from notifier.pages import Site, Templates, openapi
from notifier.talks import Link, Livestream, Seminar, Speaker, Status, Talk

FOLDER = Path(__file__).parents[2] / "templates"
TEMPLATES = Templates({str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*.*") if p.is_file()})
FULL = session(
    START + 14 * DAYS,
    id="full",
    uid="full@x",
    status=Status.TENTATIVE,
    notice="Late.",
    quiet=True,
    livestream=Livestream("https://live.example", "Live"),
    talks=(
        Talk(
            "T", "题", (Speaker("Ada", ("A", "B"), "https://ada.example"),), START, START, "a", "摘", "b", ("r",),
            Link("https://s.example", "s"), "https://r.example", "keynote",
        ),
    ),
)  # fmt: skip
SERIES = replace(
    seminar(session(), FULL),
    name_zh="研讨会",
    description="d",
    description_zh="述",
    organisers=("Ada",),
    homepage="https://home.example",
)
SNAPSHOT = pages.build(SERIES, TEMPLATES, Site("https://seminar.example.org/ml"), now=START)
DESCRIPTION: dict[str, Any] = json.loads(SNAPSHOT.documents["/openapi.json"].body)


def test_every_published_document_is_described():
    assets = re.compile(r"/\w+-[0-9a-f]{10}\.\w+")
    published = {path for path in SNAPSHOT.documents if not assets.fullmatch(path)}
    published |= {name for name, _ in SNAPSHOT.pages if name.startswith("/") and not name.startswith("/sessions/")}
    assert published - set(DESCRIPTION["paths"]) == set()


def test_what_is_described_as_published_is_there():
    for path, operations in DESCRIPTION["paths"].items():
        if "{token}" not in path and "ETag" in operations.get("get", {}).get("responses", {}).get("200", {}).get(
            "headers", {}
        ):
            answered = pages.answer(SNAPSHOT, "GET", path.replace("{id}", "full"), "", {})
            assert answered.status == 200, path
            kind = dict(answered.headers)["Content-Type"].partition(";")[0]
            assert list(operations["get"]["responses"]["200"]["content"]) == [kind]


def test_the_description_is_valid_by_the_rules_of_openapi():
    assert DESCRIPTION["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(DESCRIPTION).validate()


def test_the_site_is_named_with_its_folder():
    assert DESCRIPTION["servers"] == [{"url": "https://seminar.example.org/ml"}]


def test_the_talks_are_as_the_schema_says():
    schema = {"$ref": "#/components/schemas/Talks", "components": DESCRIPTION["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for series in (SERIES, Seminar("s", "", "UTC"), seminar(session(talks=(), urgent="Starts late"))):
        snapshot = pages.build(series, TEMPLATES, Site("https://x.example"), now=START)
        validator.validate(json.loads(snapshot.documents["/talks.json"].body))
    (listed,) = json.loads(snapshot.documents["/talks.json"].body)["sessions"]
    assert listed["notice"] == "Starts late"
    unknown = json.loads(SNAPSHOT.documents["/talks.json"].body)
    unknown["sessions"][0]["colour"] = "teal"
    assert not validator.is_valid(unknown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Seminar", SERIES),
        ("Session", FULL),
        ("Talk", FULL.talks[0]),
        ("Speaker", FULL.speakers[0]),
        ("Room", FULL.room),
    ],
)
def test_the_schema_knows_every_field_of_the_model(name: str, value: object):
    # The seminar's head stands beside its sessions, and what is urgent is the first line of the notice.
    fields = set(type(value).__dataclass_fields__) - {"sessions", "urgent"}  # type: ignore[attr-defined]
    assert set(openapi.SCHEMAS[name]["properties"]) == fields


def test_the_json_schema_is_the_same_that_the_export_has():
    exported = talks.as_json(SERIES)
    schema = {"$ref": "#/components/schemas/Talks", "components": DESCRIPTION["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate({**exported, "warnings": []})
