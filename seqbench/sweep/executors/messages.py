"""What processes say to each other: a JSON object and named bytes, over a stream.

A message is the length of its head (8 bytes, big-endian), the head, the bytes one after the other.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

Message = tuple[dict[str, Any], dict[str, bytes]]

LENGTH = struct.Struct("!Q")


def pack(head: Mapping[str, Any], parts: Mapping[str, bytes] | None = None) -> bytes:
    """A message as bytes; NaN and infinities survive."""
    parts = parts or {}
    sizes = {name: len(part) for name, part in parts.items()}
    text = json.dumps({"head": head, "sizes": sizes}).encode()
    return b"".join([LENGTH.pack(len(text)), text, *parts.values()])


class Inbox:
    """Bytes in, as they come; whole messages out."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete with these bytes."""
        self.buffer += data
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> Message | None:
        if len(self.buffer) < LENGTH.size:
            return None
        start = LENGTH.size + LENGTH.unpack_from(self.buffer)[0]
        if len(self.buffer) < start:
            return None
        told = json.loads(self.buffer[LENGTH.size : start])
        end = start + sum(told["sizes"].values())
        if len(self.buffer) < end:
            return None
        parts = {}
        for name, size in told["sizes"].items():
            parts[name] = bytes(self.buffer[start : start + size])
            start += size
        del self.buffer[:end]
        return told["head"], parts


def receive(connection: socket.socket) -> Message | None:
    """Wait for one message; None if the other side is gone."""
    inbox = Inbox()
    while data := connection.recv(1 << 16):
        for message in inbox.feed(data):
            return message
    return None
