"""The picture that messengers show beside a link, drawn of colours alone: a calendar with every second Saturday."""

from __future__ import annotations

import functools
import math
import struct
import zlib

WIDTH, HEIGHT = 1200, 630  # what messengers ask for; anything else they cut

_Colour = tuple[int, int, int]
_PAPER, _CARD, _LINE, _ACCENT = (0xF6, 0xF7, 0xF5), (0xFF, 0xFF, 0xFF), (0xD5, 0xDC, 0xD9), (0x0B, 0x6B, 0x5D)
_ROWS, _COLUMNS = 4, 7
_CELL, _GAP = 62, 20
_BAND, _MARGIN = 76, 36  # the head of the sheet, and what is left free around its days


@functools.cache
def picture() -> bytes:
    """A PNG of ten kilobytes. It says nothing in words: fonts for all scripts would be a thousand times as large."""
    canvas = [bytearray(bytes(_PAPER) * WIDTH) for _ in range(HEIGHT)]
    width = _COLUMNS * (_CELL + _GAP) - _GAP + 2 * _MARGIN
    height = _BAND + _ROWS * (_CELL + _GAP) - _GAP + 2 * _MARGIN
    left, top = (WIDTH - width) / 2, (HEIGHT - height) / 2
    _fill(canvas, left - 2, top - 2, width + 4, height + 4, 30, _LINE)
    _fill(canvas, left, top, width, height, 28, _ACCENT)
    _fill(canvas, left, top + _BAND, width, height - _BAND, 28, _CARD)
    _fill(canvas, left, top + _BAND, width, 40, 0, _CARD)
    for ring in (left + width * 0.22, left + width * 0.78):
        _fill(canvas, ring - 9, top - 24, 18, 64, 9, _LINE)
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            is_session = column == 5 and row % 2 == 1
            x = left + _MARGIN + column * (_CELL + _GAP)
            y = top + _BAND + _MARGIN + row * (_CELL + _GAP)
            _fill(canvas, x, y, _CELL, _CELL, _CELL / 2 if is_session else 14, _ACCENT if is_session else _PAPER)
    return _png(canvas)


def _fill(
    canvas: list[bytearray], left: float, top: float, width: float, height: float, radius: float, colour: _Colour
) -> None:
    """Draws a rectangle with round corners, with the pixels at its left and right in between the colours."""
    for row in range(math.ceil(top), math.ceil(top + height)):
        beyond = max(radius - (row + 0.5 - top), radius - (top + height - row - 0.5), 0)
        inset = radius - math.sqrt(max(radius**2 - beyond**2, 0)) if radius else 0
        begin, end = left + inset, left + width - inset
        first, last = math.ceil(begin), math.floor(end)
        canvas[row][3 * first : 3 * last] = bytes(colour) * (last - first)
        _blend(canvas[row], first - 1, first - begin, colour)
        _blend(canvas[row], last, end - last, colour)


def _blend(row: bytearray, column: int, share: float, colour: _Colour) -> None:
    for part in range(3):
        place = 3 * column + part
        row[place] = round(row[place] * (1 - share) + colour[part] * share)


def _png(canvas: list[bytearray]) -> bytes:
    """The rows of red, green and blue as a file (ISO/IEC 15948)."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in canvas), 9)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
