"""The picture beside a link that is passed on: small, the size that messengers ask for, and a proper PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from bs4 import BeautifulSoup
from house import House

from notifier.pages.pictures import HEIGHT, WIDTH, picture

PAPER, ACCENT = (0xF6, 0xF7, 0xF5), (0x0B, 0x6B, 0x5D)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place = 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(kind + body),)
        yield kind, body
        place += 12 + length


def test_it_is_a_small_png_of_the_size_that_messengers_ask_for() -> None:
    head, data, end = chunks(picture())
    assert head == (b"IHDR", struct.pack(">IIBBBBB", 1200, 630, 8, 2, 0, 0, 0))
    assert (data[0], end) == (b"IDAT", (b"IEND", b""))
    assert len(picture()) < 20_000
    rows = zlib.decompress(data[1])
    assert len(rows) == HEIGHT * (1 + 3 * WIDTH)

    def pixel(x: int, y: int) -> tuple[int, ...]:
        place = y * (1 + 3 * WIDTH) + 1 + 3 * x
        return tuple(rows[place : place + 3])

    assert [pixel(x, y) for x in (0, WIDTH - 1) for y in (0, HEIGHT - 1)] == [PAPER] * 4
    assert [pixel(WIDTH // 2, 100), pixel(764, 312), pixel(764, 476)] == [ACCENT] * 3
    assert pixel(764, 230) == PAPER  # a Saturday without a session


async def test_every_page_that_may_be_passed_on_names_it_by_its_whole_address(house: House) -> None:
    house.site = "https://seminar.example.org/ml"
    await house.start()
    named = set()
    for path in ("/en/", "/zh/history", "/en/subscribe", "/zh/sessions/2021-11-27"):
        page = BeautifulSoup((await house.get(path)).content, "html.parser")
        about = {tag["property"]: tag["content"] for tag in page.select("meta[property]")}
        assert (about["og:image:width"], about["og:image:height"]) == (str(WIDTH), str(HEIGHT))
        assert about["og:image:alt"] == about["og:site_name"]
        named.add(about["og:image"])
    (address,) = named
    assert address.startswith("https://seminar.example.org/ml/picture-")
    answered = await house.get(address.removeprefix("https://seminar.example.org/ml"))
    assert (answered.content, answered.headers["content-type"]) == (picture(), "image/png")
    assert "immutable" in answered.headers["cache-control"]
