"""The plain body behind transfer forms, and the checksums that vouch for it. Pure.

AWS clients wrap S3 bodies as `aws-chunked` with a trailing checksum (AWS documentation,
"Signature calculations: transferring payload in multiple chunks"), and some compress a
large body. Both are undone here, within bounds, so that what is judged and what is sent
are the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

from signoff.surfaces.aws.scalars import clip, refuse
from signoff.surfaces.aws.wire import WireRequest

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
INFLATED_MOST = 64 * 1024 * 1024

CHECKSUM_PREFIX = "x-amz-checksum-"


def checksum(algorithm: str, body: bytes) -> str | None:
    """The base64 checksum by its AWS name; None for those nobody here can compute."""
    match algorithm.lower():
        case "crc32":
            raw = zlib.crc32(body).to_bytes(4, "big")
        case "sha1":
            raw = hashlib.sha1(body, usedforsecurity=False).digest()
        case "sha256":
            raw = hashlib.sha256(body).digest()
        case "sha512":
            raw = hashlib.sha512(body).digest()
        case "md5":
            raw = hashlib.md5(body, usedforsecurity=False).digest()
        case _:
            return None
    return base64.b64encode(raw).decode()


def plain_body(wire: WireRequest) -> bytes:
    """The body without its transfer form. Raises `MalformedRequest`."""
    return unwrap(wire)[0]


def unwrap(wire: WireRequest) -> tuple[bytes, Mapping[str, str]]:
    """The plain body and the trailers that came with it, lower-case, checked.

    Also checks the body against the hash its signature vouches for.
    """
    stated = wire.header("x-amz-content-sha256") or ""
    encodings = [e.strip() for e in (wire.header("content-encoding") or "").split(",") if e.strip()]
    if stated.startswith("STREAMING-"):
        if stated != UNSIGNED_TRAILER:
            refuse(
                f"a body signed chunk by chunk ({clip(stated)})",
                "the chunk signatures cannot be kept when the request is written again",
                "use https towards the gate, or switch payload signing off in the client",
            )
        if "aws-chunked" not in encodings:
            refuse("a chunked body without `content-encoding: aws-chunked`")
        return _unchunk(wire)
    if "aws-chunked" in encodings:
        refuse("`content-encoding: aws-chunked` on a body that is not marked as chunked")
    if wire.header("x-amz-trailer") is not None:
        refuse("a trailer is announced for a body that is not chunked")
    if stated and stated != "UNSIGNED-PAYLOAD" and stated != hashlib.sha256(wire.body).hexdigest():
        refuse("the body does not match `x-amz-content-sha256`")
    return wire.body, {}


def inflate(body: bytes) -> bytes:
    """The body behind gzip, at most 64 MiB of it. Raises `MalformedRequest`."""
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(body, INFLATED_MOST)
    except zlib.error:
        refuse("a body that is not gzip", "though `content-encoding` says so")
    if not engine.eof or engine.unused_data or engine.unconsumed_tail:
        refuse(f"a compressed body that is cut off, or larger than {INFLATED_MOST} bytes")
    return plain


def _unchunk(wire: WireRequest) -> tuple[bytes, Mapping[str, str]]:
    body, at, pieces, total = wire.body, 0, [], 0
    while True:
        end = body.find(b"\r\n", at, at + 64)
        size_text = body[at:end] if end >= 0 else b""
        if not size_text or len(size_text) > 16 or set(size_text) - set(b"0123456789abcdefABCDEF"):
            refuse("a chunk whose size cannot be read")
        size = int(size_text, 16)
        at = end + 2
        if size == 0:
            break
        if at + size + 2 > len(body) or body[at + size : at + size + 2] != b"\r\n":
            refuse("a chunked body that is cut off")
        pieces.append(body[at : at + size])
        total += size
        at += size + 2
    plain = b"".join(pieces)
    length = wire.header("x-amz-decoded-content-length")
    if length is None or not length.isascii() or not length.isdigit() or int(length[:20]) != total:
        refuse("`x-amz-decoded-content-length` does not match the body", f"it has {total} bytes")
    return plain, _trailers(wire, body[at:], plain)


def _trailers(wire: WireRequest, rest: bytes, plain: bytes) -> Mapping[str, str]:
    announced = [n.strip().lower() for n in (wire.header("x-amz-trailer") or "").split(",")]
    lines = rest.removesuffix(b"\r\n").removesuffix(b"\r\n")
    found: dict[str, str] = {}
    for line in lines.split(b"\r\n") if lines else ():
        try:
            name, colon, value = line.decode("ascii").partition(":")
        except UnicodeDecodeError:
            refuse("a trailer that is not ASCII")
        name = name.strip().lower()
        if not colon or name in found or name not in announced:
            refuse(f"a trailer {clip(name)} that was not announced, or came twice")
        found[name] = value.strip()
    if set(found) != {n for n in announced if n}:
        refuse("an announced trailer did not come")
    for name, value in found.items():
        if not name.startswith(CHECKSUM_PREFIX):
            refuse(f"a trailer {clip(name)} that is not a checksum")
        check_checksum(name.removeprefix(CHECKSUM_PREFIX), value, plain)
    return found


def check_checksum(algorithm: str, value: str, body: bytes) -> None:
    """Refuse a body whose checksum differs, where the algorithm can be computed here."""
    computed = checksum(algorithm, body)
    if computed is not None and computed != value:
        refuse(f"the body does not match its {clip(algorithm)} checksum")
