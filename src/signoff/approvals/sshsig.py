"""SSHSIG, the signature text of `ssh-keygen -Y sign`, read and written again. Pure.

The format is OpenSSH's PROTOCOL.sshsig; a security key's signature ends in a byte of
flags and a counter (PROTOCOL.u2f). Both are read here, so that what Signoff concludes
and what `ssh-keygen` verifies are the same bytes: the text given to it is written anew.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from signoff.model.errors import SignOffInvalid
from signoff.model.human import wire

NAMESPACE = "signoff"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_MOST = 16_384
USER_PRESENT, USER_VERIFIED = 0x01, 0x04


@dataclass(frozen=True, slots=True)
class SshSignature:
    """The fields of an SSHSIG. `flags` is None but for a security key's signature."""

    public: bytes
    namespace: bytes
    hash_name: bytes
    signature: bytes
    flags: int | None

    def armoured(self) -> bytes:
        """The one text of these fields, with lines of 70 characters as OpenSSH writes it."""
        raw = _MAGIC + (1).to_bytes(4, "big")
        raw += wire(self.public, self.namespace, b"", self.hash_name, self.signature)
        text = base64.b64encode(raw).decode()
        lines = [text[i : i + 70] for i in range(0, len(text), 70)]
        return "\n".join([_BEGIN, *lines, _END, ""]).encode()


def parse(armoured: bytes) -> SshSignature:
    """The fields of an armoured signature; raises `SignOffInvalid` for anything else."""
    try:
        if len(armoured) > _MOST:
            raise ValueError(f"it has {len(armoured)} bytes, more than {_MOST}")
        text = armoured.decode("ascii").strip()
        if not (text.startswith(_BEGIN) and text.endswith(_END)):
            raise ValueError("it does not begin and end as one")
        inside = "".join(text[len(_BEGIN) : -len(_END)].split())
        raw = base64.b64decode(inside, validate=True)
        if raw[:6] != _MAGIC or raw[6:10] != (1).to_bytes(4, "big"):
            raise ValueError("its version is not 1")
        rest = raw[10:]
        fields = []
        for _ in range(5):
            field, rest = _string(rest)
            fields.append(field)
        if rest or fields[2]:
            raise ValueError("there is more in it than the five fields")
        return SshSignature(fields[0], fields[1], fields[3], fields[4], _flags(*fields[::4]))
    except (ValueError, binascii.Error) as error:
        raise SignOffInvalid(
            "this is not an ssh signature",
            str(error),
            f"sign with `ssh-keygen -Y sign -n {NAMESPACE} -f KEY`",
        ) from error


def _flags(public: bytes, signature: bytes) -> int | None:
    key_type, _ = _string(public)
    signed_with, rest = _string(signature)
    if not key_type.startswith(b"sk-"):
        return None
    if signed_with != key_type:
        raise ValueError("it was made by another type of key than it names")
    _, tail = _string(rest)
    if len(tail) != 5:
        raise ValueError("a security key's signature ends in flags and a counter")
    return tail[0]


def _string(raw: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 + size:
        raise ValueError("it is cut off")
    return raw[4 : 4 + size], raw[4 + size :]
