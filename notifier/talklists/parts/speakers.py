"""The speakers of one talk's fields, each with the affiliations and the home page that the page gives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from notifier.talklists.parts.blocks import Block
from notifier.talklists.parts.fields import URL, Field
from notifier.talklists.parts.labels import Kind
from notifier.talklists.parts.people import affiliations, has_name_shape, is_nobody, names_only_titles, people
from notifier.talks import Speaker

Warn = Callable[..., None]  # line, message, and advice where there is some


def shortened(text: str) -> str:
    """The text on one line, cut for a message."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}…"


@dataclass
class _Draft:
    name: str
    affiliations: list[str] = field(default_factory=list)
    homepage: str = ""


def speakers_of(block: Block, warn: Warn) -> tuple[Speaker, ...]:
    """The speakers of a block in order. What stands after a speaker's line belongs to those of that line."""
    everyone: list[_Draft] = []
    latest: list[_Draft] = []
    waiting: list[Field] = []  # affiliations before any name
    for entry in _named(block, warn):
        if entry.kind is Kind.SPEAKER:
            latest = _people_of(entry, warn)
            everyone += latest
            for early in waiting if latest else ():
                _affiliate(early, latest, warn)
            waiting = [] if latest else waiting
        elif entry.kind is Kind.AFFILIATION:
            if latest:
                _affiliate(entry, latest, warn)
            else:
                waiting.append(entry)
    for entry in waiting:
        if affiliations(entry.text):
            warn(
                entry.number, f"the affiliation {shortened(entry.text)!r} belongs to no known speaker and was left out"
            )
    for entry in block.of(Kind.HOMEPAGE):
        _give_homepage(entry, everyone, warn)
    return tuple(Speaker(p.name, tuple(dict.fromkeys(p.affiliations)), p.homepage) for p in everyone)


def _named(block: Block, warn: Warn) -> list[Field]:
    """The fields that name people and places; without a SPEAKER, a bare line with the shape of one."""
    if not block.of(Kind.SPEAKER):
        for entry in block.of(Kind.TEXT):
            found, left = people(entry.text) if len(entry.text) < 150 else ([], [])
            if found and not left and has_name_shape(found[0].name) and found[0].affiliations:
                entry.kind = Kind.SPEAKER
                warn(entry.number, f"{shortened(entry.text)!r} was taken for the speaker, though no label says so")
                break
    return block.of(Kind.SPEAKER, Kind.AFFILIATION)


def _people_of(entry: Field, warn: Warn) -> list[_Draft]:
    if is_nobody(entry.text):
        return []
    # A line in parentheses below a name is its institution or its other script.
    found, left = people(re.sub(r"\n(?=[(（])", " ", entry.text))
    found = [person for person in found if not is_nobody(person.name)]
    for piece in left:
        warn(entry.number, f"{shortened(piece)!r} beside the speaker was left out")
    drafts = [_Draft(person.name, person.affiliations) for person in found]
    for line in entry.lines:
        for link in line.links:
            owner = next((draft for draft in drafts if link.words and link.words in draft.name), None)
            if owner is not None and link.url:
                owner.homepage = link.url
    return drafts


def _affiliate(entry: Field, speakers: list[_Draft], warn: Warn) -> None:
    found = affiliations(entry.text)
    for item in found:
        if names_only_titles(item):
            warn(
                entry.number, f"the affiliation {shortened(item)!r} names titles rather than an institution", "check it"
            )
    if len(speakers) == 1:
        speakers[0].affiliations += found
    elif len(found) == len(speakers):
        for speaker, item in zip(speakers, found, strict=True):
            speaker.affiliations.append(item)
        warn(entry.number, "several speakers and as many affiliations: given one to each in order", "check them")
    elif len(found) == 1:
        for speaker in speakers:
            speaker.affiliations += found
        warn(
            entry.number, f"several speakers and one affiliation: {shortened(found[0])!r} was given to each", "check it"
        )
    elif found:
        speakers[0].affiliations += found
        warn(entry.number, f"whose affiliations these are is not clear; given to {speakers[0].name}", "check them")


def _give_homepage(entry: Field, speakers: list[_Draft], warn: Warn) -> None:
    urls = [link.url for line in entry.lines for link in line.links if link.url]
    urls = urls or [found.rstrip(".,;") for found in URL.findall(entry.text)]
    if not urls:
        if not is_nobody(entry.text):
            warn(entry.number, f"homepage {shortened(entry.text)!r}: link target lost", "add the address by hand")
        return
    for url in urls:
        owner = _owner(url, [speaker for speaker in speakers if not speaker.homepage])
        if owner is None:
            warn(entry.number, f"the homepage {url} belongs to no known speaker and was left out")
            continue
        owner.homepage = url if "://" in url else f"http://{url}"
        if len(speakers) > 1:
            warn(
                entry.number,
                f"the homepage {url} was given to {owner.name}, one of {len(speakers)} speakers",
                "check it",
            )


def _owner(url: str, speakers: list[_Draft]) -> _Draft | None:
    """The speaker whose name the URL holds, else the first; `qianxiaoli` holds Qianxiao Li."""
    address = "".join(ch for ch in url.casefold() if ch.isalnum())
    return max(speakers, key=lambda speaker: _likeness(speaker.name, address), default=None)


def _likeness(name: str, address: str) -> int:
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", name)]
    if not words:
        return 0
    if "".join(words) in address or "".join(reversed(words)) in address:
        return 100
    return sum(len(word) for word in words if len(word) > 2 and word in address)
