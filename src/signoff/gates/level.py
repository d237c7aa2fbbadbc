"""How much the agent at the other end of a connection could get round, told by the kernel.

A connection over TCP may come from anywhere on the machine: advisory. On the gate's unix
socket the kernel names the peer: another user's process is separated; one that lives in
mount, network and process namespaces of its own came through `signoff run`: contained.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from signoff.model.action import Level

NAMESPACES = ("mnt", "net", "pid")


def level_of(transport: asyncio.BaseTransport | None) -> Level:
    """The level of one connection. Any doubt is `advisory`."""
    wrapped = transport.get_extra_info("socket") if transport is not None else None
    if wrapped is None or wrapped.family != socket.AF_UNIX:
        return Level.ADVISORY
    try:
        # uvloop's socket has no getsockopt, so ask a duplicate.
        with socket.socket(fileno=os.dup(wrapped.fileno())) as peer:
            raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", raw)
        if uid not in (os.geteuid(), 0):
            return Level.SEPARATED
        apart = all(
            os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
            for name in NAMESPACES
        )
    except OSError:
        return Level.ADVISORY
    return Level.CONTAINED if apart else Level.ADVISORY
