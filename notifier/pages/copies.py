"""A snapshot → the same documents as plain files, for a web host that knows nothing but files.

A page `/history` becomes `history/index.html`, which such hosts show for `/history/`, and send those there who ask for
`/history`. What a reader asks for by headers or a query has a path of its own below `/zh` and `/en`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from notifier.errors import Problem
from notifier.pages.documents import Document, spoken
from notifier.pages.shown import event_path, page_path
from notifier.pages.snapshots import JCALENDAR, Snapshot
from notifier.templates import LANGUAGES

NOT_FOUND = "404.html"  # what most hosts show for an address that they do not know
_LONGEST_NAME = 255  # octets, of nearly all file systems


def copies(snapshot: Snapshot) -> tuple[Mapping[str, bytes], tuple[Problem, ...]]:
    """The files by their path in the folder of the site, and what cannot be one. Raises TemplateError.

    What others refer to comes before them: who is there while the files are put in place finds nothing missing.
    """
    files = {NOT_FOUND: snapshot.pages["not-found", snapshot.site.language].body}
    problems = []
    for address in addresses(snapshot):
        language, _ = spoken(address)
        document = snapshot.find(address, "", language or snapshot.site.language)
        if document is None:
            continue
        path = _path(address, document)
        if is_safe(path):
            files[path] = document.body
        else:
            problems.append(Problem(f"'{address}' can be no file", "give the session an id of letters and digits"))
    folders = {str(folder) for path in files for folder in PurePosixPath(path).parents}
    for path in sorted(folders & files.keys()):
        problems.append(Problem(f"'/{path}' is a file and a folder at once", "give one of the sessions another id"))
        del files[path]
    return dict(sorted(files.items(), key=lambda item: item[0].endswith(".html"))), tuple(problems)


def addresses(snapshot: Snapshot) -> Iterator[str]:
    """The path of everything that is published and has one of its own, some of them more than once."""
    yield from snapshot.documents
    yield JCALENDAR
    sessions = [one.session for one in snapshot.shown.values()]
    pages = {name for name, _ in snapshot.pages if name.startswith("/")}
    for prefix in ("", *(f"/{language}" for language in LANGUAGES)):
        for path in (*pages, *snapshot.archive.pages, *map(page_path, sessions), *map(event_path, sessions)):
            yield prefix + path
        yield f"{prefix}/calendar.ics"
        yield f"{prefix}/{snapshot.seminar.id}.ics"


def is_safe(path: str) -> bool:
    """Whether the path names a file inside a folder, on any system, and nothing else."""
    names = path.split("/")
    is_plain = not any(name in ("", ".", "..") or not name.isprintable() or "\\" in name for name in names)
    return is_plain and all(len(name.encode()) <= _LONGEST_NAME for name in names)


def _path(address: str, document: Document) -> str:
    path = address.removeprefix("/")
    if not document.media_type.startswith("text/html"):
        return path
    return f"{path.removesuffix('/')}/index.html" if path else "index.html"
