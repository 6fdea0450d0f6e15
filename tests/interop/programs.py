"""The calendar programs that read a file: what each is, how it is run, and what of an event it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
READERS = HERE / "readers"
TOOLS = "make interop"  # installs what comes from registries, in versions that are locked
ALL = ("uid", "start", "end", "summary", "description", "location", "url", "status", "sequence")

Event = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """What a program made of one file: its events in the order of their starts, or why it has none."""

    events: tuple[Event, ...] = ()
    error: str = ""
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A program, the command that reads calendars with it, and the files that it takes to run it."""

    name: str
    who: str  # has it inside
    command: tuple[str, ...]
    install: str
    version: tuple[str, ...]
    needs: tuple[str, ...]
    shows: tuple[str, ...] = ALL
    longest: int | None = None  # so much of a text it shows for certain, None for all
    build: str = ""

    @property
    def is_missing(self) -> str:
        """What has to be installed to run it; empty where nothing is missing."""
        is_whole = all(shutil.which(one) or Path(one).exists() for one in self.needs)
        return "" if is_whole else f"{self.name} is missing: {self.install}"

    def ask_version(self) -> str:
        """The version that is installed, in the program's own words."""
        return _said(self.version).split("\n")[0].strip()

    def read(self, feeds: Mapping[str, bytes], folder: Path) -> dict[str, Reading]:
        """Every feed as the program has it, on a machine in New York. All are read in one run, which is fast."""
        if self.build:
            _built(self.build)
        paths = [folder / f"{number}.ics" for number in range(len(feeds))]
        for path, data in zip(paths, feeds.values(), strict=True):
            path.write_bytes(data)
        said = _said((*self.command, *map(str, paths)))
        lines = said.splitlines()
        assert len(lines) == len(paths), (
            f"{self.name} stopped after {len(lines)} of {len(paths)} files:\n{said[-2000:]}"
        )
        return dict(zip(feeds, map(self._reading, lines), strict=True))

    def _reading(self, line: str) -> Reading:
        said = json.loads(line)
        events = [{name: event.get(name) for name in self.shows} for event in said.get("events", ())]
        return Reading(in_order(events), said.get("error", ""), tuple(said.get("complaints", ())))


def differences(program: Any, expected: Iterable[Event], reading: Reading) -> list[str]:
    """In what a program shows another thing than what is expected; empty where it shows just that."""
    if reading.error:
        return [reading.error]
    wanted = in_order({name: event[name] for name in program.shows} for event in expected)
    if len(wanted) != len(reading.events):
        return [f"{len(reading.events)} events and not {len(wanted)}"]
    return [
        f"{name} of {event['summary']!r} is {found[name]!r} and not {event[name]!r}"
        for event, found in zip(wanted, reading.events, strict=True)
        for name in program.shows
        if _cut(event[name], program.longest) != _cut(found[name], program.longest)
    ]


def _cut(value: Any, longest: int | None) -> Any:
    return value[:longest] if isinstance(value, str) else value


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: (str(event.get("start")), str(event.get("summary")))))


def environment(**more: str) -> dict[str, str]:
    """Where and how the programs run: far from the seminar, with UTF-8."""
    return {**os.environ, "TZ": "America/New_York", "LC_ALL": "C.UTF-8", **more}


def _said(command: Iterable[str]) -> str:
    run = subprocess.run([*command], capture_output=True, env=environment(), timeout=120)
    assert run.returncode == 0, f"{command} ended with {run.returncode}:\n{run.stderr.decode(errors='replace')[-2000:]}"
    return run.stdout.decode(errors="replace")


@cache
def _built(command: str) -> None:
    (HERE / ".built").mkdir(exist_ok=True)
    _said(("sh", "-c", command))


def _python(library: str, who: str, shows: tuple[str, ...] = ALL) -> Program:
    python = str(HERE / ".venv" / "bin" / "python")
    command = (python, "-W", "ignore", str(READERS / "python.py"), library)
    return Program(library, who, command, TOOLS, (*command, "--version"), (python,), shows)


def _javascript(library: str, who: str, shows: tuple[str, ...] = ALL) -> Program:
    command = ("node", str(READERS / "javascript.mjs"), library)
    installed = str(HERE / "node_modules" / library / "package.json")
    return Program(library, who, command, TOOLS, (*command, "--version"), ("node", installed), shows)


def _compiled(name: str, who: str, source: str, package: str, header: str, install: str) -> Program:
    binary = str(HERE / ".built" / Path(source).stem)
    compiler = "c++" if source.endswith(".cpp") else "cc"
    return Program(
        name,
        who,
        (binary,),
        f"apt-get install {compiler.replace('c', 'g').replace('gg', 'gcc')} pkg-config {install}",
        ("pkg-config", "--modversion", package),
        (compiler, "pkg-config", header),
        build=f"{compiler} -Wall -Wextra -fPIC -o {binary} {READERS / source} $(pkg-config --cflags --libs {package})",
    )


PROGRAMS = (
    _python("icalendar", "Plone, khal"),
    _python("recurring-ical-events", "Open Web Calendar"),
    _python("ical", "Home Assistant"),
    _python("ics", "", tuple(name for name in ALL if name != "sequence")),
    _python("vobject", "Radicale"),
    _javascript("ical.js", "Thunderbird, Nextcloud"),
    _javascript("node-ical", "MagicMirror"),
    _javascript("ts-ics", ""),
    _compiled(
        "libical", "GNOME, Evolution, Cyrus", "libical.c", "libical", "/usr/include/libical/ical.h", "libical-dev"
    ),
    _compiled(
        "KCalendarCore",
        "KOrganizer, Merkuro, Plasma",
        "kcalendarcore.cpp",
        "KF5CalendarCore",
        "/usr/include/KF5/KCalendarCore",
        "libkf5calendarcore-dev",
    ),
    Program(
        "sabre/vobject",
        "Nextcloud, ownCloud, Baikal",
        ("php", str(READERS / "sabre.php")),
        "apt-get install php-cli php-sabre-vobject",
        ("php", str(READERS / "sabre.php"), "--version"),
        ("php", "/usr/share/php/Sabre/VObject"),
    ),
    Program(
        "golang-ical",
        "services in Go",
        (str(HERE / ".built" / "golang"),),
        "apt-get install golang-go golang-github-arran4-golang-ical-dev",
        ("dpkg-query", "--show", "--showformat=${Version}", "golang-github-arran4-golang-ical-dev"),
        ("go", "/usr/share/gocode/src/github.com/arran4/golang-ical"),
        build=f"GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE={HERE}/.built/go"
        f" go build -o {HERE}/.built/golang {READERS}/golang.go",
    ),
    Program(
        "Ruby icalendar",
        "GitLab",
        ("ruby", str(READERS / "ruby.rb")),
        "apt-get install ruby ruby-icalendar",
        ("ruby", str(READERS / "ruby.rb"), "--version"),
        ("ruby", "/usr/share/doc/ruby-icalendar"),
    ),
    Program(
        "Emacs",
        "the diary",
        ("emacs", "--batch", "-Q", "-l", str(READERS / "emacs.el")),
        "apt-get install emacs-nox",
        ("emacs", "--version"),
        ("emacs",),
        tuple(name for name in ALL if name != "sequence"),
    ),
    Program(
        "calcurse",
        "the terminal",
        (sys.executable, str(READERS / "calcurse.py")),
        "apt-get install calcurse",
        ("calcurse", "--version"),
        ("calcurse",),
        ("start", "end", "summary", "description", "location"),
        longest=2000,  # it keeps eight thousand octets
    ),
)
