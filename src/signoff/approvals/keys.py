"""Keys kept under a passphrase: made, opened for one signature, closed again.

The private half is an Ed25519 seed, sealed with AES-256-GCM under a key that scrypt
(RFC 7914) makes of the passphrase. The text is one line of JSON, so that it can be read,
copied and checked by eye; see docs/spec/hold.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from signoff.model.errors import SignOffInvalid
from signoff.model.human import SIGNOFF_KEY
from signoff.model.values import canonical

FORMAT = "signoff-key/1"
PASSPHRASE_LEAST = 12
"""The fewest characters of a passphrase, after NFC."""
COST = 2**17
"""scrypt's N: 128 MiB and about half a second a guess, with r=8 and p=1."""
COST_LEAST, COST_MOST = 2**14, 2**20
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: `encrypted` is the text to keep, `public` the line to enrol."""

    encrypted: str
    public: str


def create_key(passphrase: str, *, cost: int = COST) -> NewKey:
    """A new key that only the passphrase opens; the seed exists in memory alone.

    `cost` is scrypt's N, a power of two from 2^14 to 2^20. Raises `SignOffInvalid` when
    the passphrase is shorter than 12 characters or made of a single one.
    """
    secret = _checked(passphrase)
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    salt, nonce = os.urandom(16), os.urandom(12)
    head = {"format": FORMAT, "kdf": "scrypt", "n": cost, "r": _BLOCK, "p": 1, "public": public}
    sealed = AESGCM(_derive(secret, salt, cost)).encrypt(
        nonce, private.private_bytes_raw(), canonical(head)
    )
    body = {name: base64.b64encode(raw).decode() for name, raw in _named(salt, nonce, sealed)}
    return NewKey(json.dumps({**head, **body}) + "\n", f"{SIGNOFF_KEY} {public}")


def sign(encrypted: str, passphrase: str, payload: bytes) -> bytes:
    """The 64 bytes of an Ed25519 signature (RFC 8032) over the payload.

    Raises `SignOffInvalid` when the text is no key or the passphrase does not open it.
    """
    private = _open(encrypted, passphrase)
    return private.sign(payload)


def public_line(encrypted: str) -> str:
    """The line to enrol, read from the text without its passphrase; raises `SignOffInvalid`."""
    return f"{SIGNOFF_KEY} {_parse(encrypted)[0]['public']}"


def _open(encrypted: str, passphrase: str) -> Ed25519PrivateKey:
    head, salt, nonce, sealed = _parse(encrypted)
    cost = head["n"]
    if not isinstance(cost, int):
        raise _no_key("its cost is not a number")
    text = unicodedata.normalize("NFC", passphrase).encode()
    try:
        seed = AESGCM(_derive(text, salt, cost)).decrypt(nonce, sealed, canonical(head))
    except InvalidTag as error:
        raise SignOffInvalid(
            "the key does not open",
            "the passphrase is another, or the key was altered",
            "try again",
        ) from error
    private = Ed25519PrivateKey.from_private_bytes(seed)
    if base64.b64encode(private.public_key().public_bytes_raw()).decode() != head["public"]:
        raise _no_key("its public half is another key's")
    return private


def _parse(encrypted: str) -> tuple[dict[str, object], bytes, bytes, bytes]:
    try:
        members = json.loads(encrypted)
        head = {name: members[name] for name in ("format", "kdf", "n", "r", "p", "public")}
        salt, nonce, sealed = (
            base64.b64decode(members[name], validate=True) for name in ("salt", "nonce", "sealed")
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise _no_key("it does not read as one") from error
    cost = head["n"]
    if head["format"] != FORMAT or head["kdf"] != "scrypt" or (head["r"], head["p"]) != (_BLOCK, 1):
        raise _no_key(f"its format is not `{FORMAT}`")
    # A text from elsewhere must not make this process fill the memory, nor be cheap to guess.
    if type(cost) is not int or not COST_LEAST <= cost <= COST_MOST or cost & (cost - 1):
        raise _no_key(f"its cost is not a power of two from {COST_LEAST} to {COST_MOST}")
    if (len(salt), len(nonce), len(sealed)) != (16, 12, 48):
        raise _no_key("a part of it has the wrong length")
    return head, salt, nonce, sealed


def _derive(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=_BLOCK, p=1).derive(passphrase)


def _checked(passphrase: str) -> bytes:
    text = unicodedata.normalize("NFC", passphrase)
    if len(text) < PASSPHRASE_LEAST or len(set(text)) < 2:
        raise SignOffInvalid(
            f"a passphrase of {len(text)} characters",
            f"the key file may be copied and guessed at; the least is {PASSPHRASE_LEAST} "
            "characters, not all the same",
            "choose four or more unrelated words",
        )
    return text.encode()


def _named(salt: bytes, nonce: bytes, sealed: bytes) -> tuple[tuple[str, bytes], ...]:
    return (("salt", salt), ("nonce", nonce), ("sealed", sealed))


def _no_key(why: str) -> SignOffInvalid:
    return SignOffInvalid(
        "this is not a key of Signoff", why, "give the text that `signoff` wrote for this human"
    )
