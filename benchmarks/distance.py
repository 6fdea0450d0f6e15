"""A way to another port that takes half a round trip each way: `python -m benchmarks.distance OWN PORT SECONDS`."""

from __future__ import annotations

import asyncio
import sys


class Way(asyncio.Protocol):
    """One direction of a connection, and the opening of the other one."""

    def __init__(self, port: int, seconds: float, other: Way | None = None) -> None:
        self._port, self._seconds = port, seconds
        self._other = other
        self._early = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._other is None:
            self._task = asyncio.ensure_future(self._open())

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        else:
            asyncio.get_running_loop().call_later(self._seconds / 2, self._other.transport.write, data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._other is not None:
            asyncio.get_running_loop().call_later(self._seconds / 2, self._other.transport.close)

    async def _open(self) -> None:
        other = Way(self._port, self._seconds, self)
        await asyncio.get_running_loop().create_connection(lambda: other, "127.0.0.1", self._port)
        self._other = other
        if self._early:
            self.data_received(self._early)


async def main(own: int, port: int, seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Way(port, seconds), "127.0.0.1", own)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
