"""A session as the public may see it → the description of it that search engines read (schema.org, as JSON-LD)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from notifier.mathtext import plain_math
from notifier.talks import Seminar, Session, Speaker, Status
from notifier.templates import LANGUAGES

_STATES = {Status.CANCELLED: "EventCancelled"}


def structured(session: Session, seminar: Seminar, language: str, page_url: str, *, is_over: bool) -> Markup:
    """The session as an EducationEvent: JSON that may stand within a script element."""
    titles = [plain_math(talk.title_in(language)) for talk in session.talks if talk.title_in(language)]
    is_shut = is_over or session.is_cancelled  # nobody is sent into a room where nothing is on
    event = {
        "@context": "https://schema.org",
        "@type": "EducationEvent",
        "@id": f"{page_url}#event",
        "url": page_url,
        "name": " / ".join(titles) or seminar.name_in(language),
        "description": " ".join(plain_math(talk.abstract_in(language)) for talk in session.talks).strip(),
        "startDate": session.start.isoformat(),
        "endDate": session.end.isoformat(),
        "eventStatus": f"https://schema.org/{_STATES.get(session.status, 'EventScheduled')}",
        "eventAttendanceMode": "https://schema.org/OnlineEventAttendanceMode",
        "location": {"@type": "VirtualLocation", "url": page_url if is_shut else session.room.url or page_url},
        "performer": [_person(speaker) for speaker in session.speakers],
        "organizer": _known({"@type": "Organization", "name": seminar.name_in(language), "url": seminar.homepage}),
        "inLanguage": LANGUAGES[language],
        "recordedIn": list(_replays(session, language)) if is_over else [],
    }
    text = json.dumps(_known(event), ensure_ascii=False, separators=(",", ":"))
    # Nothing that could end the element, or open a comment in it, is left.
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def _person(speaker: Speaker) -> dict[str, Any]:
    affiliations = [{"@type": "Organization", "name": name} for name in speaker.affiliations]
    return _known({"@type": "Person", "name": speaker.name, "url": speaker.homepage, "affiliation": affiliations})


def _replays(session: Session, language: str) -> Iterator[dict[str, Any]]:
    for talk in session.talks:
        if talk.replay:
            name = plain_math(talk.title_in(language))
            yield _known({"@type": "VideoObject", "name": name, "url": talk.replay})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", [])}
