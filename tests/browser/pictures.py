"""Every page and every mail as a picture, in both languages, light and dark, on a telephone and on a desk.

python tests/browser/pictures.py FOLDER [PART OF A NAME]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from stage import Stage, chromium, daemon, join, paths, short_list

from notifier.notices import Kind

LANGUAGES = ("en", "zh")
KEY = "a-key-for-pictures"
DESK = f'[desk]\nkey = "{KEY}"\n'
SIZES = {"phone": (360, 740), "desk": (1100, 900)}


def main(folder: Path, only: str = "") -> None:
    """Takes the pictures into the folder, or only those whose name has this in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place, daemon(Path(place), settings=DESK) as stage, chromium() as browser:
        join(stage, "ada@example.org")
        shown = dict(addresses(stage))
        for (size, (width, height)), scheme in product(SIZES.items(), ("light", "dark")):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # type: ignore[arg-type]
                timezone_id="America/New_York",
            )
            page = context.new_page()
            page.goto(f"{stage.url}/desk")
            page.fill("input[name=key]", KEY)
            page.click("button[value=enter]")
            for name, url in shown.items():
                picture = f"{name}-{scheme}-{size}.png"
                if only in picture:
                    page.goto(url)
                    page.screenshot(path=folder / picture, full_page=True)
            context.close()


def addresses(stage: Stage) -> Iterator[tuple[str, str]]:
    """What is shown by the name of its picture: pages, then mails as files."""
    for language in LANGUAGES:
        for name, path in paths(stage).items():
            yield f"{name}-{language}", f"{stage.url}{path}{'&' if '?' in path else '?'}lang={language}"
        yield f"office-{language}", f"{stage.url}/desk?lang={language}"
        for kind in Kind:
            mail = stage.folder / f"{kind}-{language}.html"
            mail.write_text(stage.run("preview", short_list(stage)["soon"], kind, "--lang", language, "--part", "html"))
            yield f"mail-{kind}-{language}", mail.as_uri()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
