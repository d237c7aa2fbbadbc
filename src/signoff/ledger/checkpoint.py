"""Signed heads of the ledger: C2SP signed-note, tlog-checkpoint and tlog-proof. Pure.

A checkpoint is three lines of text and its signatures, so that people and the tools and
witnesses of transparency logs can read it (c2sp.org/signed-note, /tlog-checkpoint):

    signoff.example/ledger
    5
    Ql3x9...=                     the root hash, base64

    — signoff.example/ledger 8f2c...=      base64(key hash, 4 bytes, and the signature)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signoff.ledger.merkle import HASH_BYTES
from signoff.model.errors import ProofInvalid

MOST_BYTES = 64 * 1024
"""A longer note is refused unread."""

_ED25519 = b"\x01"
_DASH = "— "
_PROOF = "c2sp.org/tlog-proof@v1"
_WRONG_KEY = "check the public key, or treat the ledger as forged"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head: the log's name, the number of receipts, and the root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed: three lines, each ended."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's name and public key, as `name+hash+base64` (C2SP signed-note, verifier key)."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        """The first 4 bytes of SHA-256 over name, newline, algorithm and key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.hash.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key of one line; raises `ProofInvalid` for anything else."""
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        raw = _unbase64(encoded, "the public key")
        if not _is_name(name) or raw[:1] != _ED25519 or len(raw) != 33:
            raise ProofInvalid("not a verifier key", "expected `name+hash+base64` of Ed25519")
        key = cls(name, raw[1:])
        if key.hash.hex() != stated:
            raise ProofInvalid("not a verifier key", f"its hash is {key.hash.hex()}")
        return key


class Signer:
    """Signs the heads of one log, and reads them back. Holds the private key."""

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        if not _is_name(origin):
            raise ProofInvalid(
                f"`{origin}` is no name for a ledger", "blanks and `+` are not allowed"
            )
        self._private = private
        self.key = VerifierKey(origin, private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """The signed checkpoint of this head."""
        text = Checkpoint(self.key.name, size, root).text()
        signature = self.key.hash + self._private.sign(text.encode())
        return f"{text}\n{_DASH}{self.key.name} {base64.b64encode(signature).decode()}\n"

    def read(self, note: str) -> tuple[int, bytes]:
        """Size and root of a checkpoint this key signed; raises `ProofInvalid` otherwise."""
        head = verify_checkpoint(note, self.key)
        return head.size, head.root


def parse_checkpoint(note: str) -> tuple[Checkpoint, tuple[tuple[str, bytes], ...]]:
    """The checkpoint of a note and its signatures as (name, key hash and signature).

    Nothing is verified here. Raises `ProofInvalid` when it is not one.
    """
    if len(note) > MOST_BYTES:
        raise ProofInvalid("not a checkpoint", f"{len(note)} bytes, at most {MOST_BYTES}")
    text, blank, tail = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) < 3 or not tail.endswith("\n"):
        raise ProofInvalid("not a checkpoint", "expected three lines, a blank line, signatures")
    origin, size, root = lines[0], lines[1], _unbase64(lines[2], "the root hash")
    # Only the one shortest way of writing a number counts, else two texts are one head.
    if not (size.isascii() and size.isdigit()) or str(int(size[:20])) != size:
        raise ProofInvalid("not a checkpoint", f"`{size[:20]}` is no size")
    if not origin or len(root) != HASH_BYTES:
        raise ProofInvalid("not a checkpoint", f"the root has {len(root)} bytes, not {HASH_BYTES}")
    if len(lines) > 3:
        raise ProofInvalid("not a checkpoint", "extension lines are not understood")
    signatures = []
    for line in tail[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not _is_name(name):
            raise ProofInvalid("not a checkpoint", "a signature line is malformed")
        signatures.append((name, _unbase64(encoded, "a signature")))
    return Checkpoint(origin, int(size), root), tuple(signatures)


def verify_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint, once the log's own signature is verified; raises `ProofInvalid`.

    Signatures of others (witnesses) are passed over, a second one of the log is not.
    """
    head, signatures = parse_checkpoint(note)
    if head.origin != key.name:
        raise ProofInvalid(
            "the checkpoint is of another ledger", f"`{head.origin}`, not `{key.name}`", _WRONG_KEY
        )
    own = [raw for name, raw in signatures if name == key.name and raw[:4] == key.hash]
    if len(own) != 1:
        raise ProofInvalid(
            "the checkpoint is not signed with the ledger's key",
            f"{len(own)} signatures of key {key.hash.hex()}",
            _WRONG_KEY,
        )
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(own[0][4:], head.text().encode())
    except InvalidSignature as error:
        raise ProofInvalid(
            "the checkpoint's signature does not verify", "the text or the key differs", _WRONG_KEY
        ) from error
    return head


def format_proof(index: int, hashes: Sequence[bytes], note: str) -> str:
    """One receipt's inclusion proof with its checkpoint (c2sp.org/tlog-proof)."""
    encoded = "".join(base64.b64encode(h).decode() + "\n" for h in hashes)
    return f"{_PROOF}\nindex {index}\n{encoded}\n{note}"


def parse_proof(text: str) -> tuple[int, tuple[bytes, ...], str]:
    """Index, hashes and checkpoint note of a proof; raises `ProofInvalid`."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != _PROOF:
        raise ProofInvalid("not a proof", f"expected `{_PROOF}` in the first line")
    word, _, index = lines[1].partition(" ")
    if word != "index" or not (index.isascii() and index.isdigit()) or len(index) > 19:
        raise ProofInvalid("not a proof", "expected `index N` in the second line")
    hashes = tuple(_unbase64(line, "a hash") for line in lines[2:])
    if len(hashes) > 63 or any(len(h) != HASH_BYTES for h in hashes):
        raise ProofInvalid("not a proof", f"expected at most 63 hashes of {HASH_BYTES} bytes")
    return int(index), hashes, note


def _unbase64(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofInvalid("not a checkpoint", f"{what} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ProofInvalid("not a checkpoint", f"{what} is not base64 in its one form")
    return raw


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)
