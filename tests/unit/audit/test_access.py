"""Who can reach a path: modes, folders above, access lists."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from signoff.audit.access import ANYONE, READ, WRITE, Who, can, look, replaces, user

STRANGER = Who("stranger", 61_234)
MEMBER = Who("member", 61_235, frozenset({61_000}))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of its owner's alone, in folders that everybody may pass."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o600)
    return file


def test_a_private_file_is_nobody_elses(secret: Path) -> None:
    assert not can(STRANGER, secret, READ)
    assert replaces(STRANGER, secret) == ""
    seen = look(secret, os.geteuid(), (STRANGER,))
    assert (seen.readers, seen.writers) == ((), ())


def test_modes_let_others_read_and_write(secret: Path) -> None:
    secret.chmod(0o644)
    assert look(secret, os.geteuid(), (STRANGER,)).readers == ("stranger", ANYONE)
    secret.chmod(0o602)
    assert look(secret, os.geteuid(), (STRANGER,)).writers == ("stranger", ANYONE)


def test_a_closed_folder_keeps_a_readable_file_private(secret: Path) -> None:
    secret.chmod(0o666)
    secret.parent.chmod(0o700)
    assert not can(STRANGER, secret, READ)
    assert replaces(STRANGER, secret) == ""


def test_who_can_write_the_folder_can_replace_the_file(secret: Path) -> None:
    secret.parent.chmod(0o777)
    assert "0777" in replaces(STRANGER, secret)
    secret.parent.chmod(0o1777)
    assert replaces(STRANGER, secret) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_groups_and_owners_count(secret: Path) -> None:
    os.chown(secret, os.geteuid(), 61_000)
    secret.chmod(0o640)
    assert can(MEMBER, secret, READ)
    assert not can(MEMBER, secret, WRITE)
    assert not can(STRANGER, secret, READ)
    os.chown(secret.parent, STRANGER.uid, 0)
    assert "belongs to them" in replaces(STRANGER, secret)
    assert any("61234" in name for name in look(secret, os.geteuid(), ()).writers)


def test_an_access_list_counts_beside_the_mode(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Owner, user 61234, owning group, mask and others, as acl(5) lays them out.
    entries = [(1, 6, -1), (2, 6, 61_234), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
    packed = (struct.pack("<HHi", *entry) for entry in entries)
    raw = struct.pack("<I", 2) + b"".join(packed)
    try:
        os.setxattr(secret, "system.posix_acl_access", raw)
    except OSError:  # A file system without access lists: the kernel's answer is played.
        real = os.getxattr
        played = {secret: raw}
        monkeypatch.setattr(os, "getxattr", lambda p, n: played.get(p) or real(p, n))
    assert can(STRANGER, secret, READ)
    assert any("61234" in name for name in look(secret, os.geteuid(), ()).readers)


def test_root_needs_no_permission_and_is_no_finding(secret: Path) -> None:
    root = user("0")
    assert can(root, secret, READ)
    assert replaces(root, secret) == ""


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert not look(tmp_path / "none", os.geteuid(), ()).there
