"""Enrolment: every list on which no safe sign-off can rest is refused, entry and line named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signing import ALICE, BOB, CAROL, OLGA, Pen, human
from signoff.model.errors import ConfigInvalid
from signoff.model.human import (
    EnrolledKey,
    Human,
    Profile,
    check_approvers,
    check_enrolment,
    folded,
)

TEAM = (ALICE, BOB, OLGA)


def refused(humans: tuple[Human, ...], quorum: int = 2, profile: Profile = Profile.TEAM) -> str:
    with pytest.raises(ConfigInvalid) as error:
        check_enrolment(humans, quorum, profile)
    return str(error.value)


def test_three_humans_reach_a_quorum_of_two_besides_any_operator() -> None:
    check_enrolment(TEAM, 2)
    check_enrolment((ALICE, BOB), 1)


@pytest.mark.parametrize("humans", [(), (ALICE,), (ALICE, BOB)])
def test_fewer_humans_than_a_quorum_are_refused(humans: tuple[Human, ...]) -> None:
    refused(humans)


@pytest.mark.parametrize("quorum", [0, -1])
def test_a_quorum_of_nobody_is_refused(quorum: int) -> None:
    assert f"quorum of {quorum}" in refused(TEAM, quorum)


@pytest.mark.parametrize("other", ["alice", "Alice", " alice", "alice.", "аlice", "al\u00adice"])
def test_one_human_under_two_names_is_refused_with_both_lines(other: str) -> None:
    twin = replace(CAROL, name=other, line=12)
    said = refused((replace(ALICE, line=3), BOB, OLGA, twin))
    assert "(line 12)" in said
    assert "reads like" in said or "no readable name" in said


def test_different_names_stay_different() -> None:
    names = ("neil", "nell", "ann", "anna", "josé", "jo", "mark1", "mark2", "李雷", "韩梅梅")
    assert len({folded(n) for n in names}) == len(names)


@pytest.mark.parametrize("name", ["", " ", "..", "a\u202eb", "a\nb"])
def test_a_name_nobody_can_read_is_refused(name: str) -> None:
    assert "no readable name" in refused((*TEAM, human(name, Pen("x"))))


def test_one_key_on_two_humans_is_refused_with_fingerprint_and_names() -> None:
    shared = Pen("alice").enrolled
    second = Human("dora", (replace(shared, line=9),))
    said = refused((*TEAM, second))
    assert all(word in said for word in (shared.fingerprint, "`dora`", "(line 9)", "`alice`"))


@pytest.mark.parametrize("kind", ["ssh", "sk"])
def test_one_key_in_two_forms_on_two_humans_is_refused(kind: str) -> None:
    assert "is enrolled for `dora`" in refused((*TEAM, human("dora", Pen("alice", kind))))


def test_one_key_twice_on_one_human_is_refused() -> None:
    assert "twice" in refused((human("dora", Pen("d"), Pen("d", "ssh")), *TEAM))


def test_a_human_without_a_key_is_refused() -> None:
    assert "`dora` (line 4) has no key" in refused((*TEAM, Human("dora", (), line=4)))


@pytest.mark.parametrize("name", ["*", "al*", "?", "[a-z]"])
def test_a_wildcard_is_refused_as_name_group_or_approver(name: str) -> None:
    assert "wildcard" in refused((*TEAM, human(name, Pen("x"))))
    assert "wildcard" in refused((*TEAM, human("dora", groups=(name,))))
    with pytest.raises(ConfigInvalid, match=r"\(line 7\) is a wildcard"):
        check_approvers([name], TEAM, line=7)


def test_approvers_are_enrolled_humans_or_their_groups_and_not_nobody() -> None:
    humans = (*TEAM, human("dora", groups=("leads",)))
    check_approvers(["alice", "leads"], humans)
    with pytest.raises(ConfigInvalid, match="empty list of approvers"):
        check_approvers([], humans)
    with pytest.raises(ConfigInvalid, match="`mallory`"):
        check_approvers(["alice", "mallory"], humans)


def test_solo_needs_one_human_with_a_key_that_shows_them() -> None:
    check_enrolment((ALICE,), 1, Profile.SOLO)
    check_enrolment((human("alice", Pen("a", "sk")),), 1, Profile.SOLO)
    plain = (human("alice", Pen("a", "ssh")),)
    assert "can show that its human was there" in refused(plain, 1, Profile.SOLO)
    assert "cannot be reached" in refused((ALICE,), 2, Profile.SOLO)


def test_a_key_is_read_from_its_line_and_its_comment_dropped() -> None:
    key = Pen("a", "ssh").enrolled
    assert EnrolledKey.parse(key.public + " al@host", 3) == replace(key, line=3)
    assert not key.can_verify_user
    assert Pen("a").enrolled.can_verify_user
    assert Pen("a", "sk").enrolled.is_security_key


def test_one_key_pair_has_one_fingerprint_as_passphrase_key_and_as_ssh_key() -> None:
    assert Pen("a").enrolled.fingerprint == Pen("a", "ssh").enrolled.fingerprint
    assert Pen("a").enrolled.fingerprint != Pen("b").enrolled.fingerprint


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        "ssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "signoff-ed25519 AAAA",
        "ssh-rsa " + Pen("a", "ssh").enrolled.public.split()[1],
        "ssh-ed25519-cert-v01@openssh.com AAAA",
        'command="x" ssh-ed25519 AAAA',
        Pen("a", "ssh").enrolled.public[:-8],
    ],
)
def test_what_is_not_a_public_key_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"\(line 5\) is not a public key"):
        EnrolledKey.parse(line, 5)
