"""A cache of proofs makes a start quicker, and lets nobody write a proof."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from signoff.policy.cache import KEPT_MOST, ProofCache, cache_key
from signoff.policy.proofs import Assumption, Outcome, Proof

PROOF = Proof(
    Outcome.PROVED,
    assumptions=(Assumption("people know whom they enrol", "signoff.toml", 4, "nothing"),),
    invariants=("invariant-two-person",),
    queries=28,
    digest="a" * 64,
)
KEY = cache_key(b"k" * 32)


@pytest.fixture
def cache(tmp_path: Path) -> ProofCache:
    return ProofCache(tmp_path / "cache" / "proofs.json", KEY)


def altered(cache: ProofCache, **members: object) -> None:
    """The file, rewritten by somebody who does not have the key."""
    rows = json.loads(cache.path.read_text())
    rows["proofs"][0].update(members)
    cache.path.write_text(json.dumps(rows))


def test_a_proof_that_was_kept_is_found_as_it_was(cache: ProofCache) -> None:
    assert cache.find(PROOF.digest) is None
    cache.keep(PROOF)
    assert cache.find(PROOF.digest) == PROOF
    assert cache.path.stat().st_mode & 0o077 == 0


def test_a_proof_of_something_else_is_not_found(cache: ProofCache) -> None:
    cache.keep(PROOF)
    assert cache.find("b" * 64) is None


@pytest.mark.parametrize("outcome", [Outcome.VIOLATED, Outcome.UNKNOWN])
def test_only_what_is_proved_is_kept(cache: ProofCache, outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="only a proof"):
        cache.keep(replace(PROOF, outcome=outcome))


def test_another_digest_under_the_same_mac_is_as_if_it_were_not_there(cache: ProofCache) -> None:
    cache.keep(PROOF)
    altered(cache, digest="b" * 64)
    assert cache.find("b" * 64) is None
    assert cache.find(PROOF.digest) is None


@pytest.mark.parametrize(
    "members", [{"mac": "0" * 64}, {"mac": 7}, {"assumptions": []}, {"queries": 1}, {"more": 1}]
)
def test_an_altered_entry_is_as_if_it_were_not_there(
    cache: ProofCache, members: dict[str, object]
) -> None:
    cache.keep(PROOF)
    altered(cache, **members)
    assert cache.find(PROOF.digest) is None


def test_a_cache_of_another_daemon_is_as_if_it_were_not_there(cache: ProofCache) -> None:
    ProofCache(cache.path, cache_key(b"o" * 32)).keep(PROOF)
    assert cache.find(PROOF.digest) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"proofs": 7}', b'{"proofs": [1]}', b"null"]
)
def test_a_file_that_is_no_cache_is_as_if_it_were_not_there(
    cache: ProofCache, content: bytes
) -> None:
    cache.path.parent.mkdir()
    cache.path.write_bytes(content)
    assert cache.find(PROOF.digest) is None
    cache.keep(PROOF)
    assert cache.find(PROOF.digest) == PROOF


def test_an_entry_of_another_version_with_a_right_mac_is_proved_again(cache: ProofCache) -> None:
    strange = {"digest": PROOF.digest, "outcome": "proved"}
    cache.path.parent.mkdir()
    row = {**strange, "mac": cache._mac(strange)}
    cache.path.write_text(json.dumps({"proofs": [row]}))
    assert cache.find(PROOF.digest) is None


def test_a_file_keeps_the_newest_proofs_and_no_more(cache: ProofCache) -> None:
    names = [f"{n:064x}" for n in range(KEPT_MOST + 2)]
    for name in names:
        cache.keep(replace(PROOF, digest=name))
    found = [name for name in names if cache.find(name) is not None]
    assert found == names[2:]


def test_where_nothing_can_be_written_nothing_is_kept_and_nobody_stops(tmp_path: Path) -> None:
    cache = ProofCache(tmp_path / "not" / "there" / "proofs.json", KEY)
    cache.keep(PROOF)
    assert cache.find(PROOF.digest) is None


def test_the_key_is_not_the_secret_it_comes_from() -> None:
    assert cache_key(b"k" * 32) != b"k" * 32
    assert repr(KEY) not in repr(ProofCache(Path("p"), KEY))
