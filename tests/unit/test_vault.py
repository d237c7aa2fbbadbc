"""The vault: what was kept comes back as it was, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from signoff.model.errors import CaptureFailed, ConfigInvalid
from signoff.vault import DirectoryVault, KeySealer, derived_key

KEY = bytes(range(32))
TEXT = b"the rows of a table, " * 50


def _vault(directory: Path, **options: int) -> DirectoryVault:
    return DirectoryVault(directory / "vault", KEY, **options)


def _blobs(directory: Path) -> list[Path]:
    return sorted((directory / "vault" / "objects").glob("??/*"))


@pytest.mark.parametrize("content", [b"", b"x", TEXT, os.urandom(5000), b"\0" * 100_000])
async def test_what_is_put_comes_back(tmp_path: Path, content: bytes) -> None:
    vault = _vault(tmp_path)
    reference = await vault.put("R-1", content)
    assert await vault.get(reference) == content
    assert await _vault(tmp_path).get(reference) == content


async def test_large_content_is_kept_in_parts(tmp_path: Path) -> None:
    vault = _vault(tmp_path, chunk_bytes=1000)
    content = os.urandom(4500)
    reference = await vault.put("R-1", content)
    assert len(_blobs(tmp_path)) == 6
    assert await vault.get(reference) == content
    # Parts are shared: the same beginning costs nothing again.
    await vault.put("R-1", content + b"more")
    assert len(_blobs(tmp_path)) == 8


async def test_neither_names_nor_bytes_give_the_content_away(tmp_path: Path) -> None:
    vault = _vault(tmp_path)
    reference = await vault.put("R-1", b"hunter2")
    assert await vault.put("R-2", b"hunter2") == reference
    other = DirectoryVault(tmp_path / "other", bytes(32))
    assert await other.put("R-1", b"hunter2") != reference
    for path in (tmp_path / "vault").rglob("*"):
        assert "R-1" not in path.name
        if path.is_file():
            assert b"hunter2" not in path.read_bytes()


async def test_a_flipped_bit_anywhere_is_detected(tmp_path: Path) -> None:
    vault = _vault(tmp_path)
    reference = await vault.put("R-1", b"forty-two")
    (path,) = _blobs(tmp_path)
    blob = path.read_bytes()
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(CaptureFailed):
            vault.get_now(reference)
    for cut in range(len(blob)):
        path.write_bytes(blob[:cut])
        with pytest.raises(CaptureFailed):
            vault.get_now(reference)
    path.write_bytes(blob)
    assert await vault.get(reference) == b"forty-two"


async def test_a_blob_under_another_name_is_refused(tmp_path: Path) -> None:
    vault = _vault(tmp_path)
    one, two = await vault.put("R-1", b"one"), await vault.put("R-1", b"two")
    path = tmp_path / "vault" / "objects"
    (path / one[:2] / one).write_bytes((path / two[:2] / two).read_bytes())
    with pytest.raises(CaptureFailed, match="altered"):
        await vault.get(one)


async def test_a_lost_part_is_said_and_putting_it_again_mends_it(tmp_path: Path) -> None:
    vault = _vault(tmp_path, chunk_bytes=1000)
    content = os.urandom(3000)
    reference = await vault.put("R-1", content)
    for path in _blobs(tmp_path):
        if path.name != reference:
            path.unlink()
            break
    with pytest.raises(CaptureFailed):
        await vault.get(reference)
    assert await vault.put("R-1", content) == reference
    assert await vault.get(reference) == content


@pytest.mark.parametrize("reference", ["", "../../etc/passwd", "a" * 63, "A" * 64, "g" * 64])
async def test_what_is_no_reference_touches_no_file(tmp_path: Path, reference: str) -> None:
    with pytest.raises(CaptureFailed, match="no reference"):
        await _vault(tmp_path).get(reference)


async def test_another_key_opens_nothing(tmp_path: Path) -> None:
    reference = await _vault(tmp_path).put("R-1", TEXT)
    with pytest.raises(CaptureFailed, match="another"):
        await DirectoryVault(tmp_path / "vault", bytes(32)).get(reference)


async def test_the_budget_is_per_run_and_survives_a_restart(tmp_path: Path) -> None:
    vault = _vault(tmp_path, budget_bytes=2000)
    first = os.urandom(1500)
    reference = await vault.put("R-1", first)
    left = await vault.left("R-1")
    assert 0 < left < 500
    assert await vault.left("R-2") == 2000
    with pytest.raises(CaptureFailed, match="budget of run `R-1` is spent"):
        await vault.put("R-1", os.urandom(1500))
    assert await vault.left("R-1") == left
    again = _vault(tmp_path, budget_bytes=2000)
    assert await again.left("R-1") == left
    # The same content again costs nothing; it is there already.
    assert await again.put("R-1", first) == reference
    assert await again.left("R-1") == left
    again.end_run("R-1")
    assert await again.left("R-1") == 2000
    assert await again.get(reference) == first


async def test_a_full_disk_is_a_failed_capture_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = _vault(tmp_path)
    kept = await vault.put("R-1", b"kept")
    left = await vault.left("R-1")
    write = os.write

    def full(handle: int, data: bytes) -> int:
        write(handle, bytes(data[:5]))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CaptureFailed, match="No space left"):
        await vault.put("R-1", TEXT)
    monkeypatch.setattr(os, "write", write)
    assert await vault.left("R-1") == left
    assert await _vault(tmp_path).left("R-1") == left
    assert len(_blobs(tmp_path)) == 1
    assert await vault.get(kept) == b"kept"
    assert await vault.get(await vault.put("R-1", TEXT)) == TEXT


async def test_a_purge_takes_what_no_undo_promises_and_nothing_else(tmp_path: Path) -> None:
    vault = _vault(tmp_path, chunk_bytes=1000)
    large, small, gone = os.urandom(3500), b"small", b"gone"
    live = [await vault.put("R-1", large), await vault.put("R-1", small)]
    dead = await vault.put("R-1", gone)
    future = 1 << 50
    assert vault.purge([*live, dead], older_than_ms=future) == 0
    assert vault.purge(live, older_than_ms=0) == 0
    assert vault.purge(live, older_than_ms=future) == 1
    assert await vault.get(live[0]) == large
    assert await vault.get(live[1]) == small
    with pytest.raises(CaptureFailed):
        await vault.get(dead)


async def test_a_purge_with_an_unreadable_list_removes_nothing(tmp_path: Path) -> None:
    vault = _vault(tmp_path, chunk_bytes=1000)
    large, _ = await vault.put("R-1", os.urandom(3500)), await vault.put("R-1", b"x")
    before = _blobs(tmp_path)
    (tmp_path / "vault" / "objects" / large[:2] / large).write_bytes(b"broken")
    with pytest.raises(CaptureFailed):
        vault.purge([large], older_than_ms=1 << 50)
    assert _blobs(tmp_path) == before


async def test_directories_are_0700_and_files_0600(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        await _vault(tmp_path).put("R-1", TEXT)
    finally:
        os.umask(old)
    for path in (tmp_path / "vault", *(tmp_path / "vault").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_key_of_another_length_is_refused(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(ConfigInvalid, match="vault key"):
        DirectoryVault(tmp_path, key)


def test_a_vault_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match="cannot be used"):
        DirectoryVault(tmp_path / "file" / "vault", KEY)


def test_every_purpose_has_a_key_of_its_own() -> None:
    assert len({derived_key(KEY, p) for p in ("seal", "vault-address", "vault-content")}) == 3


def test_what_is_sealed_opens_only_unaltered_and_about_the_same() -> None:
    sealer = KeySealer(KEY)
    sealed = sealer.seal(b"secret", "run-key/K-1")
    assert sealer.unseal(sealed, "run-key/K-1") == b"secret"
    assert sealer.seal(b"secret", "run-key/K-1") != sealed
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong, about in ((sealed, "run-key/K-2"), (flipped, "run-key/K-1"), (b"", "run-key/K-1")):
        with pytest.raises(CaptureFailed, match="unsealed"):
            sealer.unseal(wrong, about)
    with pytest.raises(CaptureFailed):
        KeySealer(bytes(32)).unseal(sealed, "run-key/K-1")
