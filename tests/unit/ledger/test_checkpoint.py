"""Checkpoints: C2SP's own vector, and everything that is almost one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from durable import SIGNER
from signoff.ledger.checkpoint import (
    Checkpoint,
    Signer,
    VerifierKey,
    format_proof,
    parse_checkpoint,
    parse_proof,
    verify_checkpoint,
)
from signoff.model.errors import ProofInvalid

ROOT = bytes(range(32))
NOTE = SIGNER.sign(5, ROOT)

# The verifier key and hash of the Go sum database, whose format this is.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_the_key_of_the_go_sum_database_is_read_and_written_alike() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert key.name == "sum.golang.org"
    assert key.hash.hex() == "033de0ae"
    assert str(key) == GO_KEY


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    assert NOTE.splitlines()[:4] == ["signoff/test", "5", base64.b64encode(ROOT).decode(), ""]
    assert NOTE.splitlines()[4].startswith("— signoff/test ")
    assert SIGNER.read(NOTE) == (5, ROOT)
    assert verify_checkpoint(NOTE, SIGNER.key) == Checkpoint("signoff/test", 5, ROOT)


def test_a_key_survives_its_text() -> None:
    assert VerifierKey.parse(str(SIGNER.key) + "\n") == SIGNER.key


@pytest.mark.parametrize(
    "text",
    ["", "a+b+c", GO_KEY[:-4], GO_KEY.replace("033de0ae", "033de0af"), GO_KEY.replace("+A", "+B")],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ProofInvalid):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nbreak"])
def test_a_name_that_would_break_the_format_is_refused(name: str) -> None:
    with pytest.raises(ProofInvalid):
        Signer(name, Ed25519PrivateKey.generate())


def test_no_character_of_a_checkpoint_can_be_changed() -> None:
    for at, letter in enumerate(NOTE):
        for other in "A0\n":
            if letter != other:
                with pytest.raises(ProofInvalid):
                    verify_checkpoint(NOTE[:at] + other + NOTE[at + 1 :], SIGNER.key)
        with pytest.raises(ProofInvalid):
            verify_checkpoint(NOTE[:at], SIGNER.key)


def test_a_number_has_one_way_to_be_written() -> None:
    for wrong in ("05", "+5", "5 ", "-5", "٥", "5.0", "1" * 30):
        with pytest.raises(ProofInvalid, match="not a checkpoint"):
            parse_checkpoint(NOTE.replace("\n5\n", f"\n{wrong}\n"))


def test_another_key_and_another_ledger_are_told_apart() -> None:
    other = Signer("signoff/test", Ed25519PrivateKey.generate())
    with pytest.raises(ProofInvalid, match="not signed with the ledger's key"):
        verify_checkpoint(NOTE, other.key)
    with pytest.raises(ProofInvalid, match="another ledger"):
        verify_checkpoint(NOTE, VerifierKey("signoff/other", SIGNER.key.public))


def test_a_witness_may_sign_too_but_not_instead() -> None:
    witness = Signer("witness", Ed25519PrivateKey.generate())
    line = witness.sign(5, ROOT).splitlines()[-1] + "\n"
    assert verify_checkpoint(NOTE + line, SIGNER.key).size == 5
    text = NOTE.rpartition("\n\n")[0] + "\n\n"
    with pytest.raises(ProofInvalid, match="0 signatures"):
        verify_checkpoint(text + line, SIGNER.key)
    with pytest.raises(ProofInvalid, match="2 signatures"):
        verify_checkpoint(NOTE + NOTE.splitlines()[-1] + "\n", SIGNER.key)


def test_extension_lines_and_endless_notes_are_refused() -> None:
    with pytest.raises(ProofInvalid, match="extension"):
        parse_checkpoint(NOTE.replace("\n\n", "\nextra\n\n"))
    with pytest.raises(ProofInvalid, match="at most"):
        parse_checkpoint("x" * 70_000)


def test_a_proof_survives_its_text() -> None:
    text = format_proof(3, (ROOT, bytes(32)), NOTE)
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 3\n")
    assert parse_proof(text) == (3, (ROOT, bytes(32)), NOTE)
    assert parse_proof(format_proof(0, (), NOTE)) == (0, (), NOTE)
    for wrong in ("", text[:30], text.replace("index", "place"), text.replace("@v1", "@v2")):
        with pytest.raises(ProofInvalid):
            parse_proof(wrong)
