"""What hostile bytes and texts do to the readers of keys, signatures and enrolments: nothing."""

from __future__ import annotations

import base64

from hypothesis import example, given, settings
from hypothesis import strategies as st

from signing import Pen, human
from signoff.approvals import sshsig
from signoff.approvals.keys import public_line
from signoff.approvals.quorum import persons
from signoff.approvals.signatures import Verifiers
from signoff.model.errors import ConfigInvalid, SignOffInvalid
from signoff.model.human import ALGORITHMS, EnrolledKey, Human, check_enrolment, folded, wire

GOOD = tuple(Pen("a", kind).sign(b"text") for kind in ("ssh", "sk"))


def armour(raw: bytes) -> bytes:
    return (
        b"-----BEGIN SSH SIGNATURE-----\n"
        + base64.b64encode(raw)
        + b"\n-----END SSH SIGNATURE-----\n"
    )


def inside(armoured: bytes) -> bytes:
    return base64.b64decode(b"".join(armoured.splitlines()[1:-1]))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 400), st.binary(max_size=4), st.integers(0, 6))
def test_a_damaged_signature_is_refused_in_words_or_reads_as_other_fields(
    good: bytes, at: int, put: bytes, cut: int
) -> None:
    raw = inside(good)
    damaged = raw[:at] + put + raw[at + cut :]
    try:
        parsed = sshsig.parse(armour(damaged))
    except SignOffInvalid:
        return
    assert inside(parsed.armoured()) == damaged


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"SSHSIG\0\0\0\1" + wire(b"", b"", b"", b"", b""))
@example(b"SSHSIG\0\0\0\1" + wire(wire(b"sk-x"), b"", b"", b"", wire(b"sk-x")))
def test_any_bytes_are_a_signature_or_are_refused(raw: bytes) -> None:
    for text in (raw, armour(raw)):
        try:
            sshsig.parse(text)
        except SignOffInvalid:
            continue


@settings(max_examples=300, deadline=None)
@given(st.sampled_from((*ALGORITHMS, "signoff-ed25519", "ssh-dss")), st.binary(max_size=120))
@example("ssh-ed25519", wire(b"ssh-ed25519", b"\0" * 32))
@example("ssh-rsa", wire(b"ssh-rsa", b"", b""))
@example("ecdsa-sha2-nistp256", wire(b"ecdsa-sha2-nistp256", b"", b""))
def test_any_line_is_a_key_that_can_be_used_or_is_refused(algorithm: str, raw: bytes) -> None:
    for blob in (raw, wire(algorithm.encode(), raw), wire(algorithm.encode(), raw[:32], raw[32:])):
        try:
            key = EnrolledKey.parse(f"{algorithm} {base64.b64encode(blob).decode()}", 3)
        except ConfigInvalid:
            continue
        assert key.fingerprint.startswith("SHA256:")
        assert key.material
        for signature in (b"", GOOD[0]):
            try:
                Verifiers().verify(key, b"text", signature)
            except SignOffInvalid:
                continue
            raise AssertionError("a key that nobody holds verified a signature")


@given(st.text())
def test_any_text_is_a_key_or_is_refused(text: str) -> None:
    for read, error in ((EnrolledKey.parse, ConfigInvalid), (public_line, SignOffInvalid)):
        try:
            read(text)
        except error:
            continue


@given(st.text())
def test_folding_a_folded_name_changes_nothing_and_case_never_matters(name: str) -> None:
    assert folded(folded(name)) == folded(name)
    assert folded(f" {name}.") == folded(name)


names = st.sampled_from(["alice", "ALICE", "аlice", "bob", "carol", "dora", "e.ve", "eve", "*", ""])
pens = st.builds(Pen, st.sampled_from("abcdef"), st.sampled_from(["ed25519", "ssh", "sk"]))
crowds = st.lists(st.builds(human, names, pens), max_size=5)


@settings(max_examples=300, deadline=None)
@given(crowds, st.integers(0, 4))
def test_an_enrolment_that_loads_has_as_many_persons_as_entries(
    crowd: list[Human], quorum: int
) -> None:
    try:
        check_enrolment(crowd, quorum)
    except ConfigInvalid:
        return
    assert len(set(persons(crowd).values())) == len(crowd) > quorum >= 1
