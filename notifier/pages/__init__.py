"""All that is published: rendered once into a `Snapshot` at every change, and every answer is read from it."""

from notifier.pages.answers import HEARD, Response, answer, kept, made, page, private
from notifier.pages.documents import Changes, Document, Headers, Site
from notifier.pages.press import Templates
from notifier.pages.shown import Shown
from notifier.pages.snapshots import DIALOGUES, PAST, PROBLEMS, UPCOMING, Snapshot, build

__all__ = [
    "DIALOGUES",
    "HEARD",
    "PAST",
    "PROBLEMS",
    "UPCOMING",
    "Changes",
    "Document",
    "Headers",
    "Response",
    "Shown",
    "Site",
    "Snapshot",
    "Templates",
    "answer",
    "build",
    "kept",
    "made",
    "page",
    "private",
]
