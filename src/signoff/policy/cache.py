"""Proofs that were made before, by the digest of all they depend on.

The file is only ever a way to be quicker: each proof in it carries a MAC under a key that is
derived from the vault's, so that who can write the file cannot write a proof. Whatever does
not verify, or is about something else, is as if it were not there, and is proved again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from signoff.model.values import canonical
from signoff.policy.proofs import Assumption, Outcome, Proof

KEPT_MOST = 8
"""How many proofs a file keeps: the bundle in force, and candidates for the next one."""

BYTES_MOST = 1 << 20
_DOMAIN = b"signoff/proof-cache/v1"


def cache_key(secret: bytes) -> bytes:
    """The key of the cache, derived (HMAC-SHA-256) from a secret that only the daemon reads."""
    return hmac.new(secret, _DOMAIN, hashlib.sha256).digest()


@dataclass(frozen=True)
class ProofCache:
    """Proofs in one file under `key` (32 bytes). Only what is PROVED is kept."""

    path: Path
    key: bytes = field(repr=False)

    def find(self, digest: str) -> Proof | None:
        """The proof of that digest, or None. Never raises."""
        for entry in self._entries():
            if entry["digest"] == digest:
                return _proof(entry)
        return None

    def keep(self, proof: Proof) -> None:
        """Remember a proof; a file that cannot be written is left alone, and proved without.

        Raises `ValueError` for anything that is not PROVED.
        """
        if proof.outcome is not Outcome.PROVED:
            raise ValueError("only a proof is kept")
        entry = _data(proof)
        others = [e for e in self._entries() if e["digest"] != proof.digest]
        rows = [*others[-(KEPT_MOST - 1) :], entry]
        text = json.dumps({"proofs": [{**row, "mac": self._mac(row)} for row in rows]})
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(fresh, self.path)
        except OSError:
            return

    def _entries(self) -> list[dict[str, object]]:
        """What in the file verifies, oldest first."""
        try:
            if self.path.stat().st_size > BYTES_MOST:
                return []
            rows = json.loads(self.path.read_bytes())["proofs"]
            return [entry for row in rows if (entry := self._verified(row)) is not None]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []

    def _verified(self, row: object) -> dict[str, object] | None:
        if not isinstance(row, dict) or not isinstance(row.get("mac"), str):
            return None
        entry = {name: value for name, value in row.items() if name != "mac"}
        if not hmac.compare_digest(self._mac(entry).encode(), row["mac"].encode()):
            return None
        return entry if isinstance(entry.get("digest"), str) else None

    def _mac(self, entry: Mapping[str, object]) -> str:
        return hmac.new(self.key, canonical(entry), hashlib.sha256).hexdigest()


def _data(proof: Proof) -> dict[str, object]:
    return {
        "digest": proof.digest,
        "outcome": proof.outcome.value,
        "invariants": list(proof.invariants),
        "queries": proof.queries,
        "assumptions": [[a.says, a.file, a.line, a.discharged_by] for a in proof.assumptions],
    }


def _proof(entry: Mapping[str, object]) -> Proof | None:
    """The proof of an entry whose MAC is right; None when another version wrote it."""
    try:
        assumed = entry["assumptions"]
        named = entry["invariants"]
        if entry["outcome"] != Outcome.PROVED.value:
            return None
        if not isinstance(assumed, list) or not isinstance(named, list):
            return None
        return Proof(
            Outcome.PROVED,
            assumptions=tuple(Assumption(*row) for row in assumed),
            invariants=tuple(str(name) for name in named),
            queries=int(str(entry["queries"])),
            digest=str(entry["digest"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
