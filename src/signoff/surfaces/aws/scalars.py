"""Reading and refusing: the scalar values of AWS requests, from text and from JSON. Pure.

A value is either read exactly as the service would read it, or refused: a request is
never judged by a guess.
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from signoff.model.errors import MalformedRequest
from signoff.model.values import Value

DEPTH_MOST = 64
RESERVED_KEYS = frozenset({"$bytes", "$time", "$body"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = frozenset({"integer", "long", "short", "byte", "biginteger"})
_FLOATS = frozenset({"float", "double", "bigdecimal"})
_HEX = frozenset("0123456789abcdefABCDEF")


def refuse(what: str, why: str = "", next_step: str = "") -> NoReturn:
    """Raise `MalformedRequest`; the next step defaults to sending it as the SDKs do."""
    raise MalformedRequest(what, why, next_step or "send the request as the AWS SDKs write it")


def clip(text: str) -> str:
    """User input for a message: at most 80 characters, printable, in backticks."""
    if len(text) <= 80 and text.isprintable() and "`" not in text:
        return f"`{text}`"
    shown = "".join(c if c.isprintable() and c != "`" else "?" for c in text[:80])
    return f"`{shown}`"


def percent_decoded(text: str, *, plus: bool = False) -> str:
    """The text behind percent-encoding; only whole escapes of valid UTF-8 are accepted."""
    if plus and "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        if not text.isascii():
            return _no_surrogates(text)
        return text
    pieces = text.split("%")
    for piece in pieces[1:]:
        if len(piece) < 2 or piece[0] not in _HEX or piece[1] not in _HEX:
            refuse("a percent sign without two hexadecimal digits", f"in {clip(text)}")
    _no_surrogates(text)
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        refuse("text that is not UTF-8", f"in {clip(text)}")


def _no_surrogates(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        refuse("text that is not UTF-8")
    return text


def from_text(shape: Any, text: str, where: str, timestamp_format: str = "iso8601") -> Value:
    """The value a scalar of this shape has when written as text (query, XML, header)."""
    kind = shape.type_name
    if kind in ("string", "character"):
        return text
    if kind in _INTEGERS:
        return _integer(text, where)
    if kind == "boolean":
        if text in ("true", "false"):
            return text == "true"
        refuse(f"{where} is not a boolean", f"got {clip(text)}", "write `true` or `false`")
    if kind in _FLOATS:
        return _number(text, where)
    if kind == "timestamp":
        stated = shape.serialization.get("timestampFormat", timestamp_format)
        return _time(text, str(stated).lower(), where)
    if kind == "blob":
        return base64_decoded(text, where)
    refuse(f"{where} has the type `{kind}`, which has no text form")


def from_json(shape: Any, value: object, where: str) -> Value:
    """The value a scalar of this shape has when it came as JSON or CBOR."""
    kind = shape.type_name
    if kind in ("string", "character"):
        if isinstance(value, str):
            return value
    elif kind == "boolean":
        if isinstance(value, bool):
            return value
    elif kind in _INTEGERS:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif kind in _FLOATS:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    elif kind == "blob":
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return base64_decoded(value, where)
    elif kind == "timestamp":
        return _json_time(shape, value, where)
    refuse(f"{where} is not a {kind}", f"got a value of type `{type(value).__name__}`")


def base64_decoded(text: str, where: str) -> bytes:
    """The bytes behind canonical base64 (RFC 4648 section 4)."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        refuse(f"{where} is not base64")


def _integer(text: str, where: str) -> int:
    digits = text[1:] if text[:1] == "-" else text
    if digits.isascii() and digits.isdigit() and len(digits) <= 40:
        return int(text)
    refuse(f"{where} is not an integer", f"got {clip(text)}")


def _number(text: str, where: str) -> float | int:
    if text.isascii() and len(text) <= 400 and not set(text) - set("0123456789+-.eE"):
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            digits = text[1:] if text[:1] == "-" else text
            return int(text) if digits.isdigit() and len(digits) < 16 else number
    refuse(f"{where} is not a finite number", f"got {clip(text)}")


def _json_time(shape: Any, value: object, where: str) -> datetime:
    stated = str(shape.serialization.get("timestampFormat", "unixtimestamp")).lower()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_seconds(value, where)
    if isinstance(value, str):
        return _time(value, stated if stated != "unixtimestamp" else "iso8601", where)
    refuse(f"{where} is not a time", f"got a value of type `{type(value).__name__}`")


def _from_seconds(seconds: float, where: str) -> datetime:
    try:
        whole = math.floor(seconds)
        micros = round((seconds - whole) * 1_000_000)
        return _EPOCH + timedelta(seconds=whole, microseconds=micros)
    except (OverflowError, ValueError):
        refuse(f"{where} is a time out of range")


def _time(text: str, stated: str, where: str) -> datetime:
    try:
        if stated == "unixtimestamp":
            return _from_seconds(_number(text, where), where)
        if stated == "rfc822":
            return _utc(parsedate_to_datetime(text))
        fraction = text.partition(".")[2].rstrip("Zz")
        if len(fraction.partition("+")[0]) <= 6:
            return _utc(datetime.fromisoformat(text))
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    refuse(f"{where} is not a time", f"got {clip(text)}", "write it as the AWS SDKs do")


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
