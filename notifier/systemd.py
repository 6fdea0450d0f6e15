"""What the service manager wants to hear (sd_notify(3)): ready, alive, reloading, stopping, and a line of status."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def tell(*words: str) -> None:
    """Sends words such as `READY=1` to the service manager, where one listens; nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An abstract socket is written with @ and named with a leading NUL.
    target = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(target)
        channel.sendall("\n".join(words).encode())
