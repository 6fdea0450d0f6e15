"""What the programs make of every feed, asked once for each program."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from interop.feeds import BROKEN, GOOD
from interop.programs import PROGRAMS, Reading
from interop.subscribers import SUBSCRIBERS

ALL_OF_THEM = (*PROGRAMS, *SUBSCRIBERS)


@pytest.fixture(scope="session")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function: a program → all feeds, right and broken, as it has them. It skips where the program is missing."""

    @cache
    def read(program: Any) -> dict[str, Reading]:
        found: dict[str, Reading] = program.read({**GOOD, **BROKEN}, tmp_path_factory.mktemp("feeds"))
        return found

    def unless_missing(program: Any) -> dict[str, Reading]:
        if program.is_missing:
            pytest.skip(program.is_missing)
        return read(program)

    return unless_missing
