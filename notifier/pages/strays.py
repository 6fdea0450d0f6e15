"""A path at which nothing is → the one that was meant, where only slips on the way part the two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from notifier.pages.archive import HISTORY
from notifier.pages.documents import spoken
from notifier.pages.shown import SESSIONS, event_path, page_path
from notifier.pages.snapshots import Snapshot

# What mail programs, chats and people leave behind an address: a slash, or the end of the sentence it stood in.
TAIL = "/.,;:!?'\"*)]}>…。，、；：！？’”）】》」』"

_DIGEST = re.compile(r"-[0-9a-f]{10}(?=\.[a-z]+$)")  # in the names of style and script, which change with their bytes
_CUT = {SESSIONS.rstrip("/"): HISTORY}  # where who cuts off the end of an address finds what stood there


def meant(snapshot: Snapshot, path: str) -> str:
    """The path of something published that differs from this one by slashes, letter case or its tail alone, or ""."""
    wanted = re.sub("//+", "/", path).rstrip(TAIL).casefold().removesuffix("/index.html")
    language, rest = spoken(f"{wanted}/")
    rest = rest.rstrip("/") or "/"
    rest = _DIGEST.sub("", _CUT.get(rest, rest))
    prefix = f"/{language}" if language else ""
    found = (prefix + place for place in _places(snapshot, rest) if _DIGEST.sub("", place.casefold()) == rest)
    known = snapshot.site.language
    return next((place for place in found if place != path and snapshot.find(place, "", known)), "")


def _places(snapshot: Snapshot, rest: str) -> Iterator[str]:
    """The paths of what is published, without the language that may stand before them."""
    name = rest.removeprefix(SESSIONS)
    for one in snapshot.shown.values() if name != rest else ():
        if one.session.id.casefold() in (name, name.removesuffix(".ics")):
            yield from (page_path(one.session), event_path(one.session))
    named = (name for name, _ in snapshot.pages if name.startswith("/"))
    yield from chain(named, snapshot.archive.pages, snapshot.documents)
