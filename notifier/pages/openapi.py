"""What programs may ask of this site, as an OpenAPI 3.1 document; it names what is there and nothing else."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from notifier.pages.documents import Site
from notifier.pages.feeds import LONGEST_ALARM, MOST_ALARMS
from notifier.subscribers import DECLINABLE
from notifier.talks import Seminar, Status
from notifier.templates import LANGUAGES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_LINK: Schema = {"type": "string", "description": "An address as the organisers wrote it; on a page, https as a rule."}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_HTML = {"text/html": {"schema": _TEXT}}
_CALENDAR = {"text/calendar": {"schema": {**_TEXT, "description": "iCalendar (RFC 5545, RFC 7986)"}}}
_FORM = "application/x-www-form-urlencoded"


def describe(seminar: Seminar, site: Site, version: str) -> Schema:
    """The whole document, with the addresses of this site."""
    described = {**_calendars(seminar), **_PROGRAMS, **_PAGES, **_LETTERS, **_PROBES}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": seminar.name,
            "version": version,
            "description": "Talks, calendars and mail of a seminar. No GET or HEAD changes anything.",
        },
        "servers": [{"url": site.base_url}],
        "paths": {
            path: {
                method: {"operationId": _name(method, path), **operation} for method, operation in operations.items()
            }
            for path, operations in described.items()
        },
        "components": {"schemas": dict(SCHEMAS)},
    }


def _name(method: str, path: str) -> str:
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in path).split()
    return "-".join((method, *(words or ["landing"])))


def _object(required: str, **properties: Schema) -> Schema:
    """An object with these properties and no others, of which those named are always there."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS = MappingProxyType(
    {
        "Talks": _object(
            "seminar sessions warnings",
            seminar=_of("Seminar"),
            sessions=_list(_of("Session")),
            warnings=_list(_object("message", line={"type": "integer"}, message=_TEXT)),
        ),
        "Seminar": _object(
            "id name timezone",
            id=_TEXT,
            name=_TEXT,
            name_zh=_TEXT,
            description=_TEXT,
            description_zh=_TEXT,
            timezone={**_TEXT, "description": "A name of the IANA time zone database."},
            organisers=_list(_TEXT),
            homepage=_LINK,
        ),
        "Session": _object(
            "id uid revision start end timezone status room livestream talks",
            id={**_TEXT, "description": "The organisers' name for it; it stays when the session moves."},
            uid={**_TEXT, "description": "The UID of its event, for ever."},
            revision={"type": "integer", "minimum": 0, "description": "The SEQUENCE of its event."},
            start=_INSTANT,
            end=_INSTANT,
            timezone=_TEXT,
            status={"enum": [str(status) for status in Status]},
            notice={**_TEXT, "description": "What readers are told first, what is urgent on its first line."},
            room=_of("Room"),
            livestream=_of("Link"),
            talks=_list(_of("Talk")),
            quiet={"type": "boolean", "description": "The organisers want no mail about the last change."},
            created=_INSTANT,
            modified={**_INSTANT, "description": "The LAST-MODIFIED of its event."},
            edited={**_INSTANT, "description": "When it was changed itself, where only how it is shown changed since."},
        ),
        "Room": {
            **_object("", url=_LINK, meeting_id=_TEXT, passcode=_TEXT, alternate_id=_TEXT, download_url=_LINK),
            "description": "How to take part; what is not for the public is absent.",
        },
        "Link": _object("", url=_LINK, label=_TEXT),
        "Talk": _object(
            "title speakers",
            title={**_TEXT, "description": "Empty while it is not known."},
            title_zh=_TEXT,
            speakers=_list(_of("Speaker")),
            start=_INSTANT,
            end=_INSTANT,
            abstract=_TEXT,
            abstract_zh=_TEXT,
            bio=_TEXT,
            references=_list(_TEXT),
            slides=_of("Link"),
            replay=_LINK,
            kind=_TEXT,
        ),
        "Speaker": _object("name affiliations", name=_TEXT, affiliations=_list(_TEXT), homepage=_LINK),
        "Health": _object(
            "ok checks",
            ok={"type": "boolean"},
            checks={"type": "object", "additionalProperties": {**_TEXT, "description": '"ok", or what is wrong.'}},
        ),
    }
)


def _query(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path(name: str, description: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": _TEXT}


def _get(summary: str, content: Schema, *parameters: Schema) -> Schema:
    """Something published: with validators, in the encoding that is asked for, the same for GET and HEAD."""
    headers = {"ETag": {"schema": _TEXT}, "Last-Modified": {"schema": _TEXT}}
    answers = {
        "200": {"description": "As it is now.", "headers": headers, "content": content},
        "304": {"description": "Nothing has changed since the validators that were sent."},
        "412": {"description": "It is no more what If-Match or If-Unmodified-Since ask for."},
    }
    if any(parameter["in"] == "path" for parameter in parameters):
        answers["404"] = {"description": "There is none of this name.", "content": _HTML}
    reading: Schema = {"summary": summary, "responses": answers}
    return {**reading, "parameters": list(parameters)} if parameters else reading


_LANGUAGE = _query("lang", "In this language; else the reader's, or both in a calendar.", enum=list(LANGUAGES))
_CHOICES = (
    _LANGUAGE,
    _query(
        "past",
        "How far back it goes. By default a year, and the last hundred sessions however old.",
        type="string",
        pattern="^(all|none|[0-9]{1,4}d)$",
    ),
    _query("split", "An event for each talk instead of each session.", enum=["talks"]),
    _query("cancelled", "0 leaves cancelled sessions out.", enum=["0", "1"]),
    _query(
        "alarm",
        f"Minutes before the start at which the calendar rings; up to {MOST_ALARMS}, the shortest count.",
        type="array",
        items={"type": "integer", "minimum": 0, "maximum": LONGEST_ALARM},
    ),
)
_SESSION = _path("id", "The session's id in /talks.json.")
_TOKEN = _path("token", "The signed word of a link in a mail.")


def _calendars(seminar: Seminar) -> Schema:
    said = "The calendar feed. Parameters that it does not know, and values that make no sense, are passed over."
    one = "One session as a calendar file."
    own = "The calendar of one subscriber, with what is for subscribers alone, in their language."
    choices = [choice for choice in _CHOICES if choice["name"] in ("lang", "split", "alarm")]
    return {
        "/calendar.ics": {"get": _get(said, _CALENDAR, *_CHOICES)},
        f"/{quote(seminar.id)}.ics": {
            "get": _get(f"{said} The same, under the seminar's own name.", _CALENDAR, *_CHOICES)
        },
        "/sessions/{id}.ics": {"get": _get(one, _CALENDAR, _SESSION, *choices)},
        f"/feed/{{token}}/{quote(seminar.id)}.ics": {"get": _get(own, _CALENDAR, _TOKEN, *_CHOICES)},
    }


_PROGRAMS = {
    "/talks.json": {"get": _get("All sessions and talks.", {"application/json": {"schema": _of("Talks")}})},
    "/calendar.json": {
        "get": _get(
            "The calendar in JSON (jCal, RFC 7265).", {"application/calendar+json": {"schema": {"type": "array"}}}
        )
    },
    "/openapi.json": {"get": _get("This document.", {"application/json": {"schema": {"type": "object"}}})},
    "/sitemap.xml": {"get": _get("What search engines are to find.", {"application/xml": {"schema": _TEXT}})},
    "/feed.atom": {
        "get": _get(
            "The sessions that changed last, for programs that follow news (RFC 4287).",
            {"application/atom+xml": {"schema": _TEXT}},
            _LANGUAGE,
        )
    },
    "/robots.txt": {"get": _get("What robots may read.", {"text/plain": {"schema": _TEXT}})},
}
# `website` is left out: whoever fills it in is no person.
_REQUEST = dict.fromkeys(("address", "language", "timezone"), _TEXT)
_PAGES = {
    "/": {"get": _get("The landing page; also at /zh/ and /en/.", _HTML, _LANGUAGE)},
    "/history": {
        "get": _get(
            "Past sessions, or those in which words stand; also below /zh/ and /en/.",
            _HTML,
            _query("q", "Words that must all stand in a session.", type="string"),
            _query("year", "Only the sessions of this year.", type="string", pattern="^[0-9]{1,4}$"),
            _LANGUAGE,
        )
    },
    "/subscribe": {
        "get": _get("How to subscribe in every calendar; also below /zh/ and /en/.", _HTML, _LANGUAGE),
        "post": {
            "summary": "Has an address asked by mail whether it wants a subscription; the answer is the same for all.",
            "requestBody": {"content": {_FORM: {"schema": {"type": "object", "properties": _REQUEST}}}},
            "responses": {
                "200": {"description": "A mail is on its way, if the address takes one.", "content": _HTML},
                "400": {"description": "What is wrong with the form is said in it.", "content": _HTML},
                "403": {"description": "Another site sent the form, or nobody may subscribe here.", "content": _HTML},
                "413": {"description": "The form is longer than any of ours.", "content": _HTML},
                "429": {"description": "Too many requests; when to try again is in Retry-After.", "content": _HTML},
            },
        },
    },
    "/embed": {
        "get": _get("The next session, for a frame in other pages; also below /zh/ and /en/.", _HTML, _LANGUAGE)
    },
    "/sessions/{id}": {"get": _get("The page of one session; also below /zh/ and /en/.", _HTML, _SESSION, _LANGUAGE)},
}


def _dialogue(shows: str, does: str, fields: Schema) -> Schema:
    """A page with a button, and what the button does; both are never kept by caches."""
    links = {
        "404": {"description": "The link is none of ours, or was revoked.", "content": _HTML},
        "410": {"description": "The link is too old, or whom it was for is forgotten.", "content": _HTML},
    }
    failures = {
        **links,
        "400": {"description": "What is wrong with the form is said in it.", "content": _HTML},
        "403": {"description": "Another site sent the form, or mail to the address came back.", "content": _HTML},
        "413": {"description": "The form is longer than any of ours.", "content": _HTML},
    }
    return {
        "get": {
            "summary": shows,
            "parameters": [_TOKEN, _LANGUAGE],
            "responses": {"200": {"description": "The page.", "content": _HTML}, **links},
        },
        "post": {
            "summary": does,
            "parameters": [_TOKEN, _LANGUAGE],
            "requestBody": {"content": {_FORM: {"schema": {"type": "object", "properties": fields}}}},
            "responses": {"200": {"description": "It is done.", "content": _HTML}, **failures},
        },
    }


_LETTERS = {
    "/confirm/{token}": _dialogue(
        "Asks whether to begin a subscription.", "Begins it, and shows the next session.", {"action": _TEXT}
    ),
    "/preferences/{token}": _dialogue(
        "Shows what somebody gets, and lets them choose.",
        "Saves the choices; or gives all that is known of them as JSON, makes older links void, or erases them.",
        {
            "action": {"enum": ["save", "record", "revoke", "erase"]},
            **dict.fromkeys(("name", "language", "timezone", "leads", "words", "paused_until"), _TEXT),
            "lead": {"type": "array", "items": _TEXT},
            "kind": {"type": "array", "items": {"enum": [str(kind) for kind in DECLINABLE]}},
            "sure": {"enum": ["yes"]},
        },
    ),
    "/unsubscribe/{token}": _dialogue(
        "Asks whether to end all mail.",
        "Ends all mail to whom the link was sent (RFC 8058), or takes that back.",
        {"List-Unsubscribe": {"const": "One-Click"}, "action": {"enum": ["resubscribe"]}},
    ),
}


def _probe(summary: str) -> Schema:
    content = {"application/json": {"schema": _of("Health")}}
    answers = {"200": "All is well.", "503": "Something needs a person."}
    return {
        "get": {
            "summary": summary,
            "responses": {code: {"description": said, "content": content} for code, said in answers.items()},
        }
    }


_PROBES = {
    "/healthz": _probe("Whether the process lives."),
    "/readyz": _probe("Whether list, store, clock and mail are well; by default only this machine may ask."),
    "/metrics": {
        "get": {
            "summary": "Figures for Prometheus; by default only this machine may ask.",
            "responses": {
                "200": {"description": "The figures.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            },
        }
    },
}
