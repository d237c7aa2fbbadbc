"""People who can sign in tests: soft keys of every kind, and a hold worth signing.

The signatures of security keys are built here by hand, from OpenSSH's PROTOCOL.u2f and
PROTOCOL.sshsig alone: nothing of the product is used to make them.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.approvals.holds import open_hold
from signoff.approvals.signatures import payload_of
from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Hold, Ruling, SignOff, Verdict
from signoff.model.effect import Bound, Effect, Resource, Reversibility, Step, Understanding, Verb
from signoff.model.human import EnrolledKey, Human
from signoff.model.values import frozen

NOW = 1_800_000_000_000
AGENT = Principal("fixer", "R-1", "olga")


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _private(label: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def _armour(public: bytes, signature: bytes, namespace: bytes) -> bytes:
    raw = b"SSHSIG" + (1).to_bytes(4, "big")
    raw += _string(public) + _string(namespace) + _string(b"")
    raw += _string(b"sha512") + _string(signature)
    text = base64.b64encode(raw).decode()
    return (
        "-----BEGIN SSH SIGNATURE-----\n"
        + "\n".join(text[i : i + 70] for i in range(0, len(text), 70))
        + "\n-----END SSH SIGNATURE-----\n"
    ).encode()


def _to_be_signed(payload: bytes, namespace: bytes) -> bytes:
    hashed = hashlib.sha512(payload).digest()
    return b"SSHSIG" + b"".join(map(_string, (namespace, b"", b"sha512", hashed)))


@dataclass(frozen=True)
class Pen:
    """A key that signs without a passphrase being typed. `kind`: `ed25519` as Signoff
    enrols it, `ssh` a plain SSH key, `sk` a security key that sets `flags`."""

    label: str
    kind: str = "ed25519"
    flags: int = 0x05
    counter: int = 7
    namespace: bytes = b"signoff"

    @property
    def raw(self) -> bytes:
        return _private(self.label).public_key().public_bytes_raw()

    @property
    def blob(self) -> bytes:
        if self.kind == "sk":
            parts = (b"sk-ssh-ed25519@openssh.com", self.raw, b"ssh:")
            return b"".join(map(_string, parts))
        return _string(b"ssh-ed25519") + _string(self.raw)

    @property
    def enrolled(self) -> EnrolledKey:
        if self.kind == "ed25519":
            return EnrolledKey.parse(f"signoff-ed25519 {base64.b64encode(self.raw).decode()}")
        name = "sk-ssh-ed25519@openssh.com" if self.kind == "sk" else "ssh-ed25519"
        return EnrolledKey.parse(f"{name} {base64.b64encode(self.blob).decode()} {self.label}")

    def sign(self, payload: bytes) -> bytes:
        private = _private(self.label)
        if self.kind == "ed25519":
            return private.sign(payload)
        message = _to_be_signed(payload, self.namespace)
        if self.kind == "ssh":
            signature = _string(b"ssh-ed25519") + _string(private.sign(message))
        else:
            tail = bytes([self.flags]) + self.counter.to_bytes(4, "big")
            application = hashlib.sha256(b"ssh:").digest()
            signed = private.sign(application + tail + hashlib.sha256(message).digest())
            signature = _string(b"sk-ssh-ed25519@openssh.com") + _string(signed) + tail
        return _armour(self.blob, signature, self.namespace)


def human(name: str, *pens: Pen, groups: tuple[str, ...] = ()) -> Human:
    """A human with the given keys, or with one of their own."""
    return Human(name, tuple(p.enrolled for p in pens or (Pen(name),)), groups)


ALICE, BOB, CAROL, OLGA = (human(n) for n in ("alice", "bob", "carol", "olga"))
HUMANS = (ALICE, BOB, CAROL, OLGA)

TABLE = Resource("arn:aws:dynamodb:::table/orders", "dynamodb:table", "production")
BUCKET = Resource("arn:aws:s3:::reports", "s3:bucket", "production")


def effect(
    resource: Resource = TABLE,
    verb: Verb = Verb.DELETE,
    most: int | None = 12,
    reversibility: Reversibility = Reversibility.BOUNDED,
    unit: str = "items",
) -> Effect:
    """One effect; a deletion of at most twelve items unless told otherwise."""
    return Effect(verb, resource, (Bound(most, unit),), reversibility)


def understanding(*effects: Effect, unknown: tuple[str, ...] = (), plan: int = 1) -> Understanding:
    """What `dynamodb:DeleteTable` would do; `plan` says how many requests it takes."""
    action = Action("aws", "dynamodb:DeleteTable", frozen(TableName="orders"))
    steps = tuple(
        Step(replace(action, parameters=frozen(TableName="orders", step=i)), original=i == 0)
        for i in range(plan)
    )
    return Understanding(action, effects or (effect(),), unknown, steps)


def some_bytes(seed: str = "seed"):
    """A source of bytes that gives the same each time, and never the same twice."""
    count = 0

    def take(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed}/{count}".encode()).digest(size)

    return take


def a_hold(
    known: Understanding | None = None,
    *,
    quorum: int = 2,
    principal: Principal = AGENT,
    seed: str = "seed",
) -> Hold:
    """An open hold of run R-1, which agent `fixer` runs for olga."""
    decision = Decision(Ruling.HOLD, ("two-humans",), quorum=quorum, bundle="b" * 64)
    return open_hold(
        principal,
        known or understanding(),
        decision,
        now_ms=NOW,
        random=some_bytes(seed),
        ledger=(7, "0" * 64),
        action_id="A-1",
    )


def signed(
    hold: Hold,
    name: str,
    verdict: Verdict = Verdict.APPROVE,
    *,
    pen: Pen | None = None,
    really: Verdict | None = None,
) -> SignOff:
    """A sign-off by that human's key; `really` is the verdict under the signature."""
    pen = pen or Pen(name)
    signature = pen.sign(payload_of(hold, really or verdict))
    return SignOff(hold.ticket, name, verdict, pen.enrolled.fingerprint, signature, NOW + 1)
