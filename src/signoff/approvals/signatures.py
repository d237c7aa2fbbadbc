"""Whether a sign-off is one: the right human, key, verdict and hold, in time, and once.

A verifier knows one kind of key and answers one question: is this signature this key's,
over these bytes, and does it show that the human was there? Everything else is decided
in `check_signoff`, in the order it is written.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signoff.approvals import sshsig
from signoff.approvals.keys import create_key, sign
from signoff.approvals.quorum import eligible, persons
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.errors import SignOffInvalid
from signoff.model.human import (
    EnrolledKey,
    Human,
    KeyKind,
    Profile,
    check_approvers,
    check_enrolment,
)
from signoff.model.values import canonical

__all__ = [
    "PassphraseVerifier",
    "Proof",
    "SshKeygenVerifier",
    "Verified",
    "Verifier",
    "Verifiers",
    "check_approvers",
    "check_enrolment",
    "check_signoff",
    "create_key",
    "payload_of",
    "sign",
    "verify_signoff",
]

SYSTEM_PATH = "/usr/bin:/bin:/usr/local/bin"
"""Where `ssh-keygen` is looked for. Never the caller's PATH: an agent may have set it."""
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Proof:
    """What a good signature shows. `user_verified`: its human was there and proved it."""

    user_verified: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """A sign-off that counts: whose, by which key, and whether they were shown to be there."""

    human: Human
    key: EnrolledKey
    user_verified: bool


class Verifier(Protocol):
    """Checks signatures of some kinds of keys. Passkeys will be one more of these."""

    def verify(self, key: EnrolledKey, payload: bytes, signature: bytes) -> Proof:
        """What the signature shows; raises `SignOffInvalid` when it is not the key's."""
        ...


class PassphraseVerifier:
    """Ed25519 signatures of keys kept under a passphrase: opening the key needs its human."""

    def verify(self, key: EnrolledKey, payload: bytes, signature: bytes) -> Proof:
        """Always user-verified: there is no agent that could hold such a key open."""
        if key.kind is not KeyKind.ED25519:
            raise SignOffInvalid(f"key `{key.fingerprint}` is not kept under a passphrase")
        public = Ed25519PublicKey.from_public_bytes(key.blob[-32:])
        try:
            public.verify(signature, payload)
        except InvalidSignature as error:
            raise _not_its(key) from error
        return Proof(user_verified=True)


class SshKeygenVerifier:
    """SSH signatures, verified by `ssh-keygen -Y verify` in namespace `signoff`.

    `program` is an absolute path; without it the system's own folders are searched. The
    allowed signer is written anew from the enrolled key, in a folder of mode 0700 that
    lives for one call; the program gets a fixed command line and clean shell variables.
    A plain key is never user-verified: it may sit in an ssh-agent that signs by itself.
    """

    def __init__(self, program: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._program = program
        self._timeout_s = timeout_s

    def verify(self, key: EnrolledKey, payload: bytes, signature: bytes) -> Proof:
        """User-verified only when a security key's own signed flags say so."""
        if key.kind is not KeyKind.SSH:
            raise SignOffInvalid(f"key `{key.fingerprint}` is not an ssh key")
        parsed = sshsig.parse(signature)
        if parsed.public != key.blob or parsed.namespace != sshsig.NAMESPACE.encode():
            raise _not_its(key)
        if parsed.flags is not None and not parsed.flags & sshsig.USER_PRESENT:
            raise SignOffInvalid(
                "a security key's signature without a touch",
                "nobody was shown to be there",
                "sign again, with a key made without `no-touch-required`",
            )
        self._ask(key, payload, parsed.armoured())
        return Proof(
            user_verified=parsed.flags is not None and bool(parsed.flags & sshsig.USER_VERIFIED)
        )

    def _ask(self, key: EnrolledKey, payload: bytes, armoured: bytes) -> None:
        program = self._program or shutil.which("ssh-keygen", path=SYSTEM_PATH)
        if program is None or not Path(program).is_file():
            raise SignOffInvalid(
                "no ssh signature can be verified",
                f"there is no `ssh-keygen` in `{self._program or SYSTEM_PATH}`",
                "install the OpenSSH client (8.1 or newer), or enrol a passphrase-protected key",
            )
        try:
            code = self._run(program, key, payload, armoured)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SignOffInvalid(
                "no ssh signature can be verified",
                f"`{program}` did not answer within {self._timeout_s:g} s or did not start",
                "try again; `signoff doctor` checks the program",
            ) from error
        if code != 0:
            raise _not_its(key)

    def _run(self, program: str, key: EnrolledKey, payload: bytes, armoured: bytes) -> int:
        name = sshsig.NAMESPACE
        with tempfile.TemporaryDirectory(prefix="signoff-") as folder:
            signers, text = Path(folder, "allowed_signers"), Path(folder, "signature")
            signers.write_text(f'{name} namespaces="{name}" {key.public}\n')
            text.write_bytes(armoured)
            command = [program, "-Y", "verify", "-f", str(signers), "-I", name, "-n", name]
            ran = subprocess.run(
                [*command, "-s", str(text)],
                input=payload,
                capture_output=True,
                timeout=self._timeout_s,
                env={"PATH": SYSTEM_PATH, "LC_ALL": "C", "HOME": folder},
                cwd=folder,
                check=False,
            )
        return ran.returncode


class Verifiers:
    """Each kind of key to its verifier; a kind nobody knows verifies nothing."""

    def __init__(self, by_kind: Mapping[KeyKind, Verifier] | None = None) -> None:
        known: dict[KeyKind, Verifier] = {
            KeyKind.ED25519: PassphraseVerifier(),
            KeyKind.SSH: SshKeygenVerifier(),
        }
        self._by_kind = known if by_kind is None else dict(by_kind)

    def verify(self, key: EnrolledKey, payload: bytes, signature: bytes) -> Proof:
        """What the signature shows; raises `SignOffInvalid` when it is not the key's."""
        if key.kind not in self._by_kind:
            raise SignOffInvalid(f"no verifier knows keys of kind `{key.kind.value}`")
        return self._by_kind[key.kind].verify(key, payload, signature)


def payload_of(hold: Hold, verdict: Verdict) -> bytes:
    """The bytes one human signs: see docs/spec/hold.md."""
    return canonical(hold.payload(verdict))


def verify_signoff(
    hold: Hold,
    signoff: SignOff,
    humans: Sequence[Human],
    now_ms: int,
    *,
    verifier: Verifier | None = None,
    earlier: Iterable[SignOff] = (),
    profile: Profile = Profile.TEAM,
) -> Human:
    """The human whose sign-off this is; raises `SignOffInvalid` as `check_signoff` does."""
    checked = check_signoff(
        hold, signoff, humans, now_ms, verifier=verifier, earlier=earlier, profile=profile
    )
    return checked.human


def check_signoff(
    hold: Hold,
    signoff: SignOff,
    humans: Sequence[Human],
    now_ms: int,
    *,
    verifier: Verifier | None = None,
    earlier: Iterable[SignOff] = (),
    profile: Profile = Profile.TEAM,
) -> Verified:
    """Whether a sign-off may be added to a hold, checked in this order.

    It is for this hold; the hold still waits and its time is not over; the human is
    enrolled and has not signed it before (`earlier` are the sign-offs it already has);
    the key is theirs; the signature is that key's over this hold and verdict; and an
    approver is neither the requester nor the operator (in solo the operator may approve
    when one is needed and the signature shows they were there). Anyone enrolled may
    reject. Raises `SignOffInvalid` with what, why and next.
    """
    _check_hold(hold, signoff, now_ms)
    human, key = _signer(signoff, humans)
    person = persons(humans)
    for other in earlier:
        if other.ticket == hold.ticket and person.get(other.human) == person[human.name]:
            raise SignOffInvalid(
                f"`{human.name}` already signed hold `{hold.ticket}`",
                "one human counts once, whatever key they use",
                "ask another human",
            )
    proof = _check_signature(hold, signoff, key, verifier or Verifiers())
    if signoff.verdict is Verdict.APPROVE:
        own = profile is Profile.SOLO and hold.quorum == 1 and proof.user_verified
        if person[human.name] not in eligible(hold.principal, humans, operator_counts=own):
            raise SignOffInvalid(
                f"`{human.name}` cannot approve hold `{hold.ticket}`",
                "nobody signs off what they or an agent of theirs asked for"
                if profile is Profile.TEAM
                else "their own sign-off needs a quorum of 1 and a key that shows they are there",
                "ask another human",
            )
    return Verified(human, key, proof.user_verified)


def _check_hold(hold: Hold, signoff: SignOff, now_ms: int) -> None:
    again = "ask for the action again, and sign the new hold"
    if signoff.ticket != hold.ticket:
        raise SignOffInvalid(
            f"a sign-off of hold `{signoff.ticket}`", f"this is hold `{hold.ticket}`", again
        )
    if hold.state not in (HoldState.OPEN, HoldState.APPROVED):
        raise SignOffInvalid(
            f"hold `{hold.ticket}` is `{hold.state.value}`", "a sign-off is good for one use", again
        )
    if hold.state is HoldState.APPROVED and signoff.verdict is Verdict.APPROVE:
        raise SignOffInvalid(
            f"hold `{hold.ticket}` has its quorum", "nothing is left to approve", "signoff holds"
        )
    if now_ms >= hold.expires_ms:
        late = (now_ms - hold.expires_ms) // 1000
        raise SignOffInvalid(f"hold `{hold.ticket}` expired {late:,} s ago", "", again)


def _signer(signoff: SignOff, humans: Sequence[Human]) -> tuple[Human, EnrolledKey]:
    named = [h for h in humans if h.name == signoff.human]
    if not named:
        raise SignOffInvalid(
            f"`{signoff.human}` is not enrolled", "only enrolled humans sign", "enrol them first"
        )
    for human in named:
        for key in human.keys:
            if key.fingerprint == signoff.key:
                return human, key
    owners = [h.name for h in humans if any(k.fingerprint == signoff.key for k in h.keys)]
    raise SignOffInvalid(
        f"key `{signoff.key}` is not enrolled for `{signoff.human}`",
        f"it is a key of `{owners[0]}`" if owners else "nobody enrolled it",
        "sign with a key of your own",
    )


def _check_signature(hold: Hold, signoff: SignOff, key: EnrolledKey, verifier: Verifier) -> Proof:
    try:
        return verifier.verify(key, payload_of(hold, signoff.verdict), signoff.signature)
    except SignOffInvalid:
        # Say it plainly when someone presents a reject as an approve, or the reverse.
        other = Verdict.REJECT if signoff.verdict is Verdict.APPROVE else Verdict.APPROVE
        try:
            verifier.verify(key, payload_of(hold, other), signoff.signature)
        except SignOffInvalid:
            pass
        else:
            raise SignOffInvalid(
                f"`{signoff.human}` signed `{other.value}`, not `{signoff.verdict.value}`",
                "a signature holds for the verdict it was made for",
                f"record it as `{other.value}`, or ask them to sign again",
            ) from None
        raise


def _not_its(key: EnrolledKey) -> SignOffInvalid:
    return SignOffInvalid(
        f"the signature is not one of key `{key.fingerprint}` over this hold",
        "it was altered, or made for another hold, nonce, run, verdict or key",
        "show the hold again and sign what it says now",
    )
