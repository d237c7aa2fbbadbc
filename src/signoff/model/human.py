"""Who may sign: humans, the keys enrolled for them, and when an enrolment is refused. Pure.

A human is a person, not a name, a key or a group. Two entries that share key material,
or whose names read the same, are one person twice, and no such list is ever loaded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache

from signoff.model.errors import ConfigInvalid

SIGNOFF_KEY = "signoff-ed25519"
"""The prefix of a passphrase-protected key's public line: `signoff-ed25519 BASE64(32 bytes)`."""

_ED25519 = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
ALGORITHMS = (*_ED25519, *_ECDSA, _SK_ECDSA, "ssh-rsa")
"""SSH key types that can be enrolled; certificates and DSA are not among them."""


class Profile(str, Enum):
    """`team`: two or more humans besides the operator. `solo`: one human."""

    TEAM = "team"
    SOLO = "solo"


class KeyKind(str, Enum):
    """How a signature of the key is made and checked."""

    ED25519 = "ed25519"
    SSH = "ssh"


@dataclass(frozen=True)
class EnrolledKey:
    """One public key of one human, as its owner's settings name it.

    `public` is one line: `signoff-ed25519 BASE64` for a key kept under a passphrase,
    else the line of an OpenSSH `.pub` file (a comment is dropped). `line` is where the
    settings name it, 0 when unknown. Make one with `EnrolledKey.parse`.
    """

    kind: KeyKind
    public: str
    line: int = 0

    @classmethod
    def parse(cls, text: str, line: int = 0) -> EnrolledKey:
        """The key of one public line; raises `ConfigInvalid` for anything else."""
        words = text.split()
        if len(words) < 2:
            raise _bad_key(text, line, "a public key is `TYPE BASE64`")
        kind = KeyKind.ED25519 if words[0] == SIGNOFF_KEY else KeyKind.SSH
        key = cls(kind, " ".join(words[:2]), line)
        try:
            raw = base64.b64decode(words[1], validate=True)
            if kind is KeyKind.ED25519:
                if len(raw) != 32:
                    raise ValueError(f"the key has {len(raw)} bytes, not 32")
            else:
                _check_ssh(words[0], raw)
        except (ValueError, binascii.Error) as error:
            raise _bad_key(text, line, str(error)) from error
        return key

    @property
    def algorithm(self) -> str:
        """The SSH key type, or `signoff-ed25519`."""
        return self.public.split(" ", 1)[0]

    @cached_property
    def blob(self) -> bytes:
        """The key in SSH wire form (RFC 4253 6.6); a passphrase key as `ssh-ed25519`."""
        raw = base64.b64decode(self.public.split(" ", 1)[1], validate=True)
        return wire(b"ssh-ed25519", raw) if self.kind is KeyKind.ED25519 else raw

    @cached_property
    def fingerprint(self) -> str:
        """`SHA256:` and the unpadded base64 of the blob's hash, as `ssh-keygen -l` prints it."""
        return fingerprint(self.blob)

    @cached_property
    def material(self) -> bytes:
        """What is secret-bearing in the key, whatever it is wrapped in.

        Equal for two enrolments of one key pair: as a passphrase key and as an SSH
        key, or as a security key under two application names.
        """
        fields = unwire(self.blob)
        if self.algorithm in (SIGNOFF_KEY, *_ED25519):
            return b"ed25519:" + fields[1]
        if self.algorithm in (*_ECDSA, _SK_ECDSA):
            return b"ecdsa:" + fields[2]
        return b"rsa:" + fields[2].lstrip(b"\0")

    @property
    def is_security_key(self) -> bool:
        """Whether the private half lives in a FIDO device (`sk-` key types)."""
        return self.algorithm.startswith("sk-")

    @property
    def can_verify_user(self) -> bool:
        """Whether a signature of this key can show that its human was there."""
        return self.kind is KeyKind.ED25519 or self.is_security_key


@dataclass(frozen=True)
class Human:
    """One enrolled person. `name` is what policies and cards call them; `line` is where
    the settings name them, 0 when unknown."""

    name: str
    keys: tuple[EnrolledKey, ...]
    groups: tuple[str, ...] = ()
    line: int = 0


def wire(*fields: bytes) -> bytes:
    """The fields as SSH strings (RFC 4251 5): each behind its length in four bytes."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def unwire(blob: bytes) -> tuple[bytes, ...]:
    """The SSH strings of a blob; raises `ValueError` when it is not made of them alone."""
    fields, rest = [], blob
    while rest:
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size:
            raise ValueError("the key is cut off")
        fields.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    return tuple(fields)


def fingerprint(blob: bytes) -> str:
    """`SHA256:` and the unpadded base64 of the SHA-256 of a key in SSH wire form."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


# Letters of other scripts that look like a Latin one. Not the whole of Unicode's
# confusables: those that a person would type to pass for a colleague.
_LOOKALIKE = str.maketrans(
    "аеіјорсухѕһԁԛԝвкмнтαεικνορτυχ01ıɡ",
    "aeijopcyxshdqwbkmhtaeikvoptuxolig",
)


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """The name as a reader takes it: NFKC, case-folded, without marks, blanks and dots.

    `Alice`, ` alice`, `ALICE.`, `аlice` (Cyrillic) and `a<zero width>lice` fold to one text.
    """
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    kept = (c for c in text if unicodedata.category(c)[0] in "LN")
    return "".join(kept).translate(_LOOKALIKE)


def check_enrolment(
    humans: Sequence[Human], quorum_needed: int, profile: Profile = Profile.TEAM
) -> None:
    """Refuse a list of humans on which no safe sign-off can rest.

    `quorum_needed` is the largest quorum any policy asks for. Raises `ConfigInvalid`
    naming the entry, and its line when known: for an empty list or a wildcard, a name
    that is empty or reads like another, a human without a key, one key on two humans
    (also as passphrase key here and SSH key there) or twice on one, fewer humans than a
    quorum needs besides the operator, and in solo a human whose keys cannot show that
    they were there.
    """
    if not humans:
        raise ConfigInvalid(
            "no human is enrolled",
            "an empty list of approvers could never refuse or sign anything",
            "enrol a human with at least one key",
        )
    _check_names(humans)
    _check_keys(humans)
    if quorum_needed < 1:
        raise ConfigInvalid(
            f"a quorum of {quorum_needed}",
            "a sign-off by nobody is no sign-off; the least is 1 human",
            "set the quorum to 1 or more",
        )
    # The operator of a run never counts, and anyone enrolled may be an operator.
    besides = len(humans) - 1 if profile is Profile.TEAM else len(humans)
    if besides < quorum_needed:
        who = "besides the operator " if profile is Profile.TEAM else ""
        raise ConfigInvalid(
            f"a quorum of {quorum_needed} cannot be reached with {len(humans)} enrolled "
            f"{'human' if len(humans) == 1 else 'humans'}",
            f"{who}only {besides} could sign".strip(),
            "enrol more humans, or choose the solo profile when there is one",
        )
    if profile is Profile.SOLO and not any(k.can_verify_user for h in humans for k in h.keys):
        raise ConfigInvalid(
            f"no key of `{humans[0].name}`{_at(humans[0].line)} can show that its human was there",
            "a plain ssh key may sit in an agent that signs by itself",
            "enrol a passphrase-protected key or an `sk-` security key",
        )


def check_approvers(names: Iterable[str], humans: Sequence[Human], line: int = 0) -> None:
    """Refuse a list of approvers that is empty, holds a wildcard or names nobody enrolled.

    A name is a human's or a group's. Raises `ConfigInvalid` with the entry and its line.
    """
    listed = list(names)
    known = {h.name for h in humans} | {g for h in humans for g in h.groups}
    if not listed:
        raise ConfigInvalid(
            f"an empty list of approvers{_at(line)}",
            "nobody could ever sign",
            "name humans or groups",
        )
    for name in listed:
        if any(c in name for c in "*?["):
            raise _wildcard(name, line)
        if name not in known:
            raise ConfigInvalid(
                f"approver `{name}`{_at(line)} is not enrolled",
                "only enrolled humans and their groups can sign",
                "enrol this human, or correct the name",
            )


def _check_names(humans: Sequence[Human]) -> None:
    seen: dict[str, Human] = {}
    for human in humans:
        for name in (human.name, *human.groups):
            if any(c in name for c in "*?["):
                raise _wildcard(name, human.line)
        key = folded(human.name)
        if not key or not human.name.isprintable():
            raise ConfigInvalid(
                f"human `{human.name!a}`{_at(human.line)} has no readable name",
                "a name needs letters or digits and nothing invisible",
                "give this human a name",
            )
        if key in seen:
            other = seen[key]
            raise ConfigInvalid(
                f"human `{human.name}`{_at(human.line)} reads like `{other.name}`{_at(other.line)}",
                "one human under two names would count twice",
                "remove one of the two entries, or give them names nobody confuses",
            )
        seen[key] = human


def _check_keys(humans: Sequence[Human]) -> None:
    owners: dict[bytes, tuple[Human, EnrolledKey]] = {}
    for human in humans:
        if not human.keys:
            raise ConfigInvalid(
                f"human `{human.name}`{_at(human.line)} has no key",
                "a human without a key can never sign, yet would count as one who could",
                "enrol a key, or remove the entry",
            )
        for key in human.keys:
            if key.material in owners:
                other, first = owners[key.material]
                whose = "twice" if other.name == human.name else f"and for `{other.name}`"
                raise ConfigInvalid(
                    f"key `{key.fingerprint}` is enrolled for `{human.name}`"
                    f"{_at(key.line or human.line)} {whose}{_at(first.line or other.line)}",
                    "one key is one human, in whatever form it is enrolled",
                    "remove the key from one of the two entries",
                )
            owners[key.material] = (human, key)


def _check_ssh(algorithm: str, raw: bytes) -> None:
    if algorithm not in ALGORITHMS:
        raise ValueError(f"keys of type `{algorithm}` cannot be enrolled")
    fields = unwire(raw)
    if not fields or fields[0] != algorithm.encode():
        raise ValueError("the type before the key is not the type inside it")
    wanted = 2 if algorithm == "ssh-ed25519" else 4 if algorithm == _SK_ECDSA else 3
    if len(fields) != wanted:
        raise ValueError(f"the key has {len(fields)} fields, not {wanted}")
    if algorithm in _ED25519 and len(fields[1]) != 32:
        raise ValueError(f"the key has {len(fields[1])} bytes, not 32")


def _wildcard(name: str, line: int) -> ConfigInvalid:
    return ConfigInvalid(
        f"approver `{name}`{_at(line)} is a wildcard",
        "a sign-off by anyone is no sign-off",
        "name the humans who may sign",
    )


def _bad_key(text: str, line: int, why: str) -> ConfigInvalid:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ConfigInvalid(
        f"`{shown}`{_at(line)} is not a public key",
        why,
        "paste the line that `signoff human key` or `ssh-keygen` wrote into the `.pub` file",
    )


def _at(line: int) -> str:
    return f" (line {line})" if line else ""
