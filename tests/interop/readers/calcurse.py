"""Calendars on the disk → one JSON line for each: the events as calcurse has them once it has imported the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIST = ["-Q", "--filter-type", "cal", "--from", "01/01/2000", "--to", "01/01/2037"]
FORMAT = r"%(start:epoch)\t%(end:epoch)\t%n\t%m\n"


def calcurse(folder: str, *arguments: str) -> str:
    run = subprocess.run(["calcurse", "-D", folder, *arguments], capture_output=True, check=True, timeout=60)
    return run.stdout.decode()


def event(line: str, notes: Path) -> dict[str, Any]:
    start, end, note, summary = line.split("\t", 3)
    # Below a line of its own stands what it has no field for; a long text is cut at an octet.
    kept = (notes / note).read_text(encoding="utf-8", errors="ignore") if note else ""
    text, _, rest = kept.rpartition("-- \n")
    location = re.search(r"^Location: (.*)", rest, re.MULTILINE)
    return {
        "start": in_utc(start),
        "end": in_utc(end),
        "summary": summary,
        "description": text.rstrip("\n"),
        "location": location and location[1],
    }


def in_utc(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reading(path: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = calcurse(folder, "-i", path)
            lines = calcurse(folder, *LIST, "--format-apt", FORMAT).splitlines()
            events = [event(line, Path(folder, "notes")) for line in lines if "\t" in line]
        except (subprocess.SubprocessError, ValueError, OSError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
    skipped = re.search(r"([1-9]\d*) skipped", report)
    return {"error": report} if skipped else {"events": events}


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(json.dumps(reading(file)))
