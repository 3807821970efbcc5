# SPDX-License-Identifier: MIT
"""
What systemd is told, where it runs the keeper: started, alive, stopping (`sd_notify(3)`).

Elsewhere there is no `NOTIFY_SOCKET`, and nothing happens.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send a line such as ``READY=1``; whoever does not listen misses it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_UNIX, kind) as out, suppress(OSError):
        # "@" stands for the zero byte with which abstract names begin
        out.sendto(state.encode(), address.replace("@", "\0", 1))
