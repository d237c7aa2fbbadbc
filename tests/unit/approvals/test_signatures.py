"""Whether a sign-off is one: every way it can be presented that is not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from signing import ALICE, HUMANS, NOW, OLGA, Pen, a_hold, human, signed
from signoff.approvals import sshsig
from signoff.approvals.signatures import (
    PassphraseVerifier,
    Proof,
    SshKeygenVerifier,
    Verifiers,
    check_signoff,
    payload_of,
    verify_signoff,
)
from signoff.model.action import Principal
from signoff.model.decision import HoldState, SignOff, Verdict
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, KeyKind, Profile

LATER = NOW + 1_000


def refusal(hold, signoff, humans=HUMANS, now_ms=LATER, **more) -> str:
    with pytest.raises(SignOffInvalid) as refused:
        verify_signoff(hold, signoff, humans, now_ms, **more)
    return str(refused.value)


# The order of `check_signoff`, refusal by refusal.


def test_a_good_approval_names_its_human() -> None:
    hold = a_hold()
    assert verify_signoff(hold, signed(hold, "alice"), HUMANS, LATER) is ALICE


def test_an_unknown_human_is_refused() -> None:
    hold = a_hold()
    assert "`mallory` is not enrolled" in refusal(hold, signed(hold, "mallory"))


def test_a_key_of_another_human_is_refused_and_the_owner_named() -> None:
    hold = a_hold()
    said = refusal(hold, signed(hold, "alice", pen=Pen("bob")))
    assert "not enrolled for `alice`" in said
    assert "a key of `bob`" in said


def test_a_reject_presented_as_an_approve_is_refused_and_named() -> None:
    hold = a_hold()
    said = refusal(hold, signed(hold, "alice", Verdict.APPROVE, really=Verdict.REJECT))
    assert "signed `reject`, not `approve`" in said
    said = refusal(hold, signed(hold, "alice", Verdict.REJECT, really=Verdict.APPROVE))
    assert "signed `approve`, not `reject`" in said


def test_a_sign_off_of_another_hold_is_refused() -> None:
    hold, other = a_hold(), a_hold(seed="other")
    assert other.ticket in refusal(hold, signed(other, "alice"))
    moved = replace(signed(other, "alice"), ticket=hold.ticket)
    assert "was altered, or made for another hold" in refusal(hold, moved)


def test_a_sign_off_of_another_nonce_is_refused() -> None:
    hold = a_hold()
    again = replace(hold, nonce="f" * 64)
    assert "nonce" in refusal(again, signed(hold, "alice"))


def test_a_sign_off_of_another_run_is_refused() -> None:
    hold = a_hold()
    second = replace(hold, principal=Principal("fixer", "R-2", "olga"))
    assert "run" in refusal(second, signed(hold, "alice"))


def test_a_widened_hold_is_refused() -> None:
    hold = a_hold()
    more = replace(hold.targets[0], resource="arn:aws:dynamodb:::table/everything")
    assert "altered" in refusal(replace(hold, targets=(*hold.targets, more)), signed(hold, "alice"))


def test_a_sign_off_after_the_expiry_is_refused_with_how_late_it_is() -> None:
    hold = a_hold()
    row = signed(hold, "alice")
    assert verify_signoff(hold, row, HUMANS, hold.expires_ms - 1)
    assert "expired 90 s ago" in refusal(hold, row, now_ms=hold.expires_ms + 90_000)
    refusal(hold, row, now_ms=hold.expires_ms)


@pytest.mark.parametrize("state", [s for s in HoldState if s.value not in ("open", "approved")])
def test_a_reused_sign_off_is_refused(state: HoldState) -> None:
    hold = a_hold()
    assert "one use" in refusal(replace(hold, state=state), signed(hold, "alice"))


def test_a_human_signs_a_hold_once_whatever_key_they_use() -> None:
    spare = Pen("spare")
    humans = (human("alice", Pen("alice"), spare), *HUMANS[1:])
    hold = a_hold()
    first = signed(hold, "alice")
    said = refusal(hold, signed(hold, "alice", pen=spare), humans, earlier=(first,))
    assert "already signed" in said
    assert verify_signoff(hold, signed(hold, "bob"), humans, LATER, earlier=(first,))
    elsewhere = signed(a_hold(seed="other"), "alice")
    assert verify_signoff(hold, signed(hold, "alice"), humans, LATER, earlier=(elsewhere,))


def test_an_approved_hold_takes_a_rejection_and_no_further_approval() -> None:
    hold = replace(a_hold(), state=HoldState.APPROVED)
    assert "has its quorum" in refusal(hold, signed(hold, "carol"))
    assert verify_signoff(hold, signed(hold, "carol", Verdict.REJECT), HUMANS, LATER)


def test_a_requester_cannot_sign_off_their_own_hold() -> None:
    hold = a_hold()
    assert "cannot approve" in refusal(hold, signed(hold, "olga"))
    own = a_hold(principal=Principal("", "", "alice"))
    assert "cannot approve" in refusal(own, signed(own, "alice"))


def test_the_operator_may_reject() -> None:
    hold = a_hold()
    assert verify_signoff(hold, signed(hold, "olga", Verdict.REJECT), HUMANS, LATER) is OLGA


def test_in_solo_the_operator_approves_one_with_a_key_that_shows_them() -> None:
    hold = a_hold(quorum=1)
    checked = check_signoff(hold, signed(hold, "olga"), (OLGA,), LATER, profile=Profile.SOLO)
    assert checked.user_verified
    pen = Pen("olga", "ssh")
    row = signed(hold, "olga", pen=pen)
    assert "shows they are there" in refusal(hold, row, (human("olga", pen),), profile=Profile.SOLO)
    two = a_hold(quorum=2)
    refusal(two, signed(two, "olga"), (OLGA,), profile=Profile.SOLO)


# The verifiers.


def test_an_altered_signature_is_refused() -> None:
    hold = a_hold()
    row = signed(hold, "alice")
    for at in (0, 31, 32, 63):
        changed = bytearray(row.signature)
        changed[at] ^= 1
        refusal(hold, replace(row, signature=bytes(changed)))
    refusal(hold, replace(row, signature=b""))


@pytest.fixture(scope="module")
def real_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "al", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def by_ssh_keygen(key: Path, payload: bytes, namespace: str = "signoff") -> bytes:
    command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key)]
    return subprocess.run(command, input=payload, capture_output=True, check=True).stdout


def test_a_signature_by_the_real_ssh_keygen_verifies_and_is_not_user_verified(
    real_key: Path,
) -> None:
    key = EnrolledKey.parse(real_key.with_suffix(".pub").read_text())
    hold = a_hold()
    humans = (replace(ALICE, keys=(key,)), *HUMANS[1:])
    signature = by_ssh_keygen(real_key, payload_of(hold, Verdict.APPROVE))
    row = SignOff(hold.ticket, "alice", Verdict.APPROVE, key.fingerprint, signature, LATER)
    checked = check_signoff(hold, row, humans, LATER)
    assert checked.human.name == "alice"
    assert not checked.user_verified
    assert "signed `approve`" in refusal(hold, replace(row, verdict=Verdict.REJECT), humans)


def test_the_fingerprint_is_the_one_ssh_keygen_prints(real_key: Path) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(real_key)], capture_output=True, text=True
    )
    key = EnrolledKey.parse(real_key.with_suffix(".pub").read_text())
    assert key.fingerprint in shown.stdout.split()


def test_a_signature_made_for_another_purpose_is_refused(real_key: Path) -> None:
    key = EnrolledKey.parse(real_key.with_suffix(".pub").read_text())
    for namespace in ("git", "file", "signoff2"):
        with pytest.raises(SignOffInvalid):
            SshKeygenVerifier().verify(key, b"text", by_ssh_keygen(real_key, b"text", namespace))


def test_a_hand_made_plain_ssh_signature_verifies_and_is_not_user_verified() -> None:
    pen = Pen("a", "ssh")
    assert SshKeygenVerifier().verify(pen.enrolled, b"text", pen.sign(b"text")) == Proof(False)


@pytest.mark.parametrize(("flags", "verified"), [(0x01, False), (0x05, True), (0x85, True)])
def test_a_security_key_is_user_verified_only_when_its_signed_flags_say_so(
    flags: int, verified: bool
) -> None:
    pen = Pen("a", "sk", flags=flags)
    assert Verifiers().verify(pen.enrolled, b"text", pen.sign(b"text")).user_verified is verified


@pytest.mark.parametrize("flags", [0x00, 0x04])
def test_a_security_key_that_nobody_touched_is_refused(flags: int) -> None:
    pen = Pen("a", "sk", flags=flags)
    with pytest.raises(SignOffInvalid, match="without a touch"):
        SshKeygenVerifier().verify(pen.enrolled, b"text", pen.sign(b"text"))


def test_flags_raised_after_signing_are_refused() -> None:
    pen = Pen("a", "sk", flags=0x01)
    parsed = sshsig.parse(pen.sign(b"text"))
    raised = parsed.signature[:-5] + b"\x05" + parsed.signature[-4:]
    forged = replace(parsed, signature=raised, flags=0x05).armoured()
    with pytest.raises(SignOffInvalid, match="not one of key"):
        SshKeygenVerifier().verify(pen.enrolled, b"text", forged)


def test_a_plain_signature_in_the_clothes_of_a_security_key_is_refused() -> None:
    plain, security = Pen("a", "ssh"), Pen("a", "sk")
    signature = sshsig.parse(plain.sign(b"text"))
    dressed = replace(signature, public=security.blob).armoured()
    with pytest.raises(SignOffInvalid):
        SshKeygenVerifier().verify(security.enrolled, b"text", dressed)
    with pytest.raises(SignOffInvalid):
        SshKeygenVerifier().verify(plain.enrolled, b"text", security.sign(b"text"))


def test_a_signature_over_another_text_is_refused() -> None:
    for kind in ("ssh", "sk"):
        pen = Pen("a", kind)
        with pytest.raises(SignOffInvalid):
            SshKeygenVerifier().verify(pen.enrolled, b"other", pen.sign(b"text"))


def test_key_and_namespace_are_checked_before_any_program_is_asked() -> None:
    says_yes = SshKeygenVerifier("/bin/true")
    pen, foreign = Pen("a", "ssh"), Pen("a", "ssh", namespace=b"git")
    assert says_yes.verify(pen.enrolled, b"text", pen.sign(b"text"))
    for signature in (foreign.sign(b"text"), Pen("b", "ssh").sign(b"text")):
        with pytest.raises(SignOffInvalid):
            says_yes.verify(pen.enrolled, b"text", signature)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\xff\xfe",
        b"-----BEGIN SSH SIGNATURE-----\n!!\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----",
        b"A" * 20_000,
    ],
)
def test_what_is_not_a_signature_is_refused_in_words(junk: bytes) -> None:
    with pytest.raises(SignOffInvalid, match="not an ssh signature"):
        SshKeygenVerifier().verify(Pen("a", "ssh").enrolled, b"text", junk)


def test_the_armour_written_anew_is_the_one_openssh_writes(real_key: Path) -> None:
    signature = by_ssh_keygen(real_key, b"text")
    assert sshsig.parse(signature).armoured() == signature


def test_a_machine_without_ssh_keygen_says_what_to_install(tmp_path: Path) -> None:
    pen = Pen("a", "ssh")
    with pytest.raises(SignOffInvalid) as refused:
        SshKeygenVerifier(str(tmp_path / "none")).verify(pen.enrolled, b"text", pen.sign(b"text"))
    assert "no `ssh-keygen`" in refused.value.why
    assert "OpenSSH" in refused.value.next_step


def test_neither_path_nor_home_of_the_caller_decide_which_program_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "ssh-keygen"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    pen = Pen("a", "ssh")
    with pytest.raises(SignOffInvalid):
        SshKeygenVerifier().verify(pen.enrolled, b"other", pen.sign(b"text"))


def test_the_program_gets_its_own_folder_and_clean_shell_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, seen = tmp_path / "ssh-keygen", tmp_path / "seen"
    fake.write_text(f'#!/bin/sh\nenv > {seen}\nstat -c %a "$HOME" >> {seen}\ncat > /dev/null\n')
    fake.chmod(0o755)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")
    pen = Pen("a", "ssh")
    SshKeygenVerifier(str(fake)).verify(pen.enrolled, b"text", pen.sign(b"text"))
    lines = seen.read_text().splitlines()
    assert lines[-1] == "700"
    assert not [line for line in lines if line.startswith("SSH_AUTH_SOCK")]
    home = next(line for line in lines if line.startswith("HOME=")).removeprefix("HOME=")
    assert not Path(home).exists()


def test_a_verifier_answers_for_its_own_kind_of_key_alone() -> None:
    ssh, typed = Pen("a", "ssh"), Pen("a")
    with pytest.raises(SignOffInvalid):
        PassphraseVerifier().verify(ssh.enrolled, b"text", typed.sign(b"text"))
    with pytest.raises(SignOffInvalid):
        SshKeygenVerifier().verify(typed.enrolled, b"text", ssh.sign(b"text"))
    only = Verifiers({KeyKind.ED25519: PassphraseVerifier()})
    with pytest.raises(SignOffInvalid, match="no verifier"):
        only.verify(ssh.enrolled, b"text", ssh.sign(b"text"))
