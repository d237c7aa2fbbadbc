"""A strict reader of CBOR, as far as Smithy RPC v2 uses it (RFC 8949). Pure.

Everything that could be read in two ways is refused: duplicate keys, keys that are not
text, numbers that are not finite, unknown tags, trailing bytes.
"""

from __future__ import annotations

import math
import struct

DEPTH_MOST = 64


class Timestamp(float):
    """Seconds since the epoch, marked as a time by tag 1."""


def decode(data: bytes) -> object:
    """The one item the bytes hold; times come as `Timestamp`. Raises `ValueError`."""
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes follow the end of the item")
    return value


_BREAK = object()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise ValueError("the item is cut off")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def item(self, depth: int) -> object:
        value = self.any(depth)
        if value is _BREAK:
            raise ValueError("a break where no item is open")
        return value

    def any(self, depth: int) -> object:
        if depth > DEPTH_MOST:
            raise ValueError(f"nested deeper than {DEPTH_MOST}")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self.simple(info)
        size = self.argument(info, open_allowed=major in (2, 3, 4, 5))
        match major:
            case 0:
                return self.closed(size)
            case 1:
                return -1 - self.closed(size)
            case 2:
                return self.chunks(size, 2)
            case 3:
                return self.chunks(size, 3).decode("utf-8")
            case 4:
                return self.array(size, depth)
            case 5:
                return self.mapping(size, depth)
        return self.tagged(self.closed(size), depth)

    def argument(self, info: int, *, open_allowed: bool) -> int | None:
        if info < 24:
            return info
        if info <= 27:
            return int.from_bytes(self.take(1 << (info - 24)), "big")
        if info == 31 and open_allowed:
            return None
        raise ValueError("a length that CBOR does not define")

    @staticmethod
    def closed(size: int | None) -> int:
        if size is None:
            raise ValueError("a length that CBOR does not define")
        return size

    def chunks(self, size: int | None, major: int) -> bytes:
        if size is not None:
            return self.take(size)
        pieces: list[bytes] = []
        while True:
            first = self.take(1)[0]
            if first == 0xFF:
                return b"".join(pieces)
            if first >> 5 != major:
                raise ValueError("a chunk of another type inside a text or byte string")
            length = self.argument(first & 31, open_allowed=False)
            pieces.append(self.take(self.closed(length)))

    def array(self, size: int | None, depth: int) -> list[object]:
        values: list[object] = []
        while size is None or len(values) < size:
            value = self.any(depth + 1)
            if value is _BREAK:
                if size is None:
                    return values
                raise ValueError("a break inside a list of known length")
            values.append(value)
        return values

    def mapping(self, size: int | None, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        while size is None or len(values) < size:
            key = self.any(depth + 1)
            if key is _BREAK and size is None:
                return values
            if not isinstance(key, str):
                raise ValueError("a key that is not text")
            if key in values:
                raise ValueError(f"the key `{key[:80]}` appears twice")
            values[key] = self.item(depth + 1)
        return values

    def tagged(self, tag: int, depth: int) -> object:
        if tag != 1:
            raise ValueError(f"tag {tag}, which the protocol does not use")
        value = self.item(depth + 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError("a time that is not a number")
        try:
            return Timestamp(value)
        except OverflowError as error:
            raise ValueError("a time out of range") from error

    def simple(self, info: int) -> object:
        match info:
            case 20 | 21:
                return info == 21
            case 22 | 23:
                return None
            case 25 | 26 | 27:
                code = {25: ">e", 26: ">f", 27: ">d"}[info]
                number: float = struct.unpack(code, self.take(1 << (info - 24)))[0]
                if not math.isfinite(number):
                    raise ValueError("a number that is not finite")
                return number
            case 31:
                return _BREAK
        raise ValueError("a simple value that the protocol does not use")
