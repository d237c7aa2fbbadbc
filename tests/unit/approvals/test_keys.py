"""Keys under a passphrase: what opens them, and what does not."""

from __future__ import annotations

import json

import pytest

from signoff.approvals.keys import COST, COST_LEAST, create_key, public_line, sign
from signoff.approvals.signatures import PassphraseVerifier
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, KeyKind

PASSPHRASE = "four quite unrelated words"


@pytest.fixture(scope="module")
def made():
    return create_key(PASSPHRASE, cost=COST_LEAST)


def test_a_key_signs_under_its_passphrase_and_verifies_as_enrolled(made) -> None:
    key = EnrolledKey.parse(made.public)
    assert key.kind is KeyKind.ED25519
    signature = sign(made.encrypted, PASSPHRASE, b"payload")
    assert PassphraseVerifier().verify(key, b"payload", signature).user_verified
    with pytest.raises(SignOffInvalid):
        PassphraseVerifier().verify(key, b"other", signature)


def test_another_passphrase_does_not_open_it(made) -> None:
    with pytest.raises(SignOffInvalid, match="does not open"):
        sign(made.encrypted, PASSPHRASE + " ", b"payload")


def test_the_same_passphrase_in_another_unicode_form_opens_it() -> None:
    key = create_key("größer als zwölf", cost=COST_LEAST)
    assert sign(key.encrypted, "gro\u0308ßer als zwo\u0308lf", b"payload")


@pytest.mark.parametrize("short", ["", "elevenchars", "a" * 40])
def test_a_weak_passphrase_is_refused_with_the_least_length(short: str) -> None:
    with pytest.raises(SignOffInvalid, match="12 characters"):
        create_key(short, cost=COST_LEAST)


def test_the_public_half_is_read_without_the_passphrase(made) -> None:
    assert public_line(made.encrypted) == made.public


def test_the_text_holds_no_private_half_in_the_clear(made) -> None:
    members = json.loads(made.encrypted)
    assert set(members) == {
        *("format", "kdf", "n", "r", "p", "public", "salt", "nonce", "sealed"),
    }


def test_the_cost_of_a_guess_is_not_less_than_stated() -> None:
    assert COST >= 2**17


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", "signoff-key/0"),
        ("kdf", "pbkdf2"),
        ("n", 2),
        ("n", 2**30),
        ("n", 2**14 + 1),
        ("n", True),
        ("n", "16384"),
        ("r", 1),
        ("salt", "AA=="),
        ("salt", "not base64!"),
        ("sealed", None),
    ],
)
def test_an_altered_text_is_no_key(made, member: str, value: object) -> None:
    members = {**json.loads(made.encrypted), member: value}
    with pytest.raises(SignOffInvalid, match="not a key"):
        sign(json.dumps(members), PASSPHRASE, b"payload")


def test_a_swapped_public_half_or_cost_does_not_open(made) -> None:
    members = json.loads(made.encrypted)
    other = json.loads(create_key(PASSPHRASE, cost=COST_LEAST).encrypted)
    for changed in ({**members, "public": other["public"]}, {**members, "n": COST_LEAST * 2}):
        with pytest.raises(SignOffInvalid, match="does not open"):
            sign(json.dumps(changed), PASSPHRASE, b"payload")


@pytest.mark.parametrize("junk", ["", "[]", "{}", "null", "-----BEGIN PRIVATE KEY-----"])
def test_what_is_not_a_key_is_refused_in_words(junk: str) -> None:
    with pytest.raises(SignOffInvalid, match="not a key"):
        sign(junk, PASSPHRASE, b"payload")
