"""Every page as a picture, in both languages, light and dark, on a telephone and on a desk: `pictures.py FOLDER`."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from stage import chromium, daemon, paths

SIZES = {"phone": (360, 740), "desk": (1100, 900)}


def main(folder: Path, only: str = "") -> None:
    """Takes the pictures into the folder, or only those whose name has this in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place, daemon(Path(place)) as stage, chromium() as browser:
        for (size, (width, height)), scheme, language in product(SIZES.items(), ("light", "dark"), ("en", "zh")):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # type: ignore[arg-type]
                timezone_id="America/New_York",
                locale=language,
            )
            page = context.new_page()
            for name, path in paths(stage).items():
                picture = f"{name}-{language}-{scheme}-{size}.png"
                if only in picture:
                    page.goto(f"{stage.url}{path}{'&' if '?' in path else '?'}lang={language}")
                    page.screenshot(path=folder / picture, full_page=True)
            context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
