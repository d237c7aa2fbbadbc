"""The seal beside the settings: which configuration is in force, and where its state lies.

One small file, `signoff.toml.seal`, outside the state directory: whoever puts an older state
back does not put it back with it. It says where the ledger and the keys are, so that the
daemon finds what is sealed even when the settings themselves are gone or name another place.
Its code (HMAC-SHA-256 under the vault's key) keeps anybody without that key from writing one.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from signoff.config.sealed import ConfigurationTexts
from signoff.config.values import Config, LedgerSettings, VaultSettings
from signoff.model.errors import ConfigInvalid
from signoff.model.values import canonical

DOMAIN = b"signoff/configuration-seal/v1\n"
BYTES_MOST = 1 << 20
NOT_YET = -1
"""`at` of a seal that `init` wrote: nothing is in the ledger yet."""


@dataclass(frozen=True)
class Seal:
    """`at` is the index of the receipt that sealed `digest`; `humans` are the owners with the
    fingerprints of their keys at that time."""

    settings: str
    state_dir: str
    ledger_key: str
    high_water: str
    origin: str
    vault_key: str
    digest: str
    at: int = NOT_YET
    humans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    code: str = ""

    @classmethod
    def of(cls, config: Config, texts: ConfigurationTexts, at: int = NOT_YET) -> Seal:
        """The seal of a configuration, without its code."""
        return cls(
            settings=texts.path,
            state_dir=str(config.state_dir),
            ledger_key=str(config.ledger.key_file),
            high_water=str(config.ledger.high_water),
            origin=config.ledger.origin,
            vault_key=str(config.vault.key_file),
            digest=texts.digest,
            at=at,
            humans={h.name: tuple(k.fingerprint for k in h.keys) for h in config.humans},
        )

    def signed(self, key: bytes) -> Seal:
        """With its code under the vault's key."""
        return replace(self, code=self._code(key))

    def holds(self, key: bytes) -> bool:
        """Whether its code was made with this key."""
        return hmac.compare_digest(self.code, self._code(key))

    def start(self) -> Config:
        """As much of the settings as finds the state: what else holds is read from there."""
        return Config(
            "team",
            Path(self.state_dir),
            LedgerSettings(Path(self.ledger_key), Path(self.high_water), self.origin),
            VaultSettings(Path(self.vault_key)),
            path=Path(self.settings),
        )

    def _members(self) -> dict[str, object]:
        names = ("settings", "state_dir", "ledger_key", "high_water", "origin", "vault_key")
        rest = {"digest": self.digest, "at": self.at}
        people = {name: list(keys) for name, keys in self.humans.items()}
        return {**{name: getattr(self, name) for name in names}, **rest, "humans": people}

    def _code(self, key: bytes) -> str:
        return hmac.digest(key, DOMAIN + canonical(self._members()), "sha256").hex()


def seal_path(settings: Path) -> Path:
    """Where the seal of a settings file lies."""
    return settings.with_name(settings.name + ".seal")


def read_seal(settings: Path) -> Seal | None:
    """The seal beside a settings file, None when there is none. Its code is not checked.

    Raises `ConfigInvalid` when it is damaged.
    """
    path = seal_path(settings)
    try:
        raw = path.read_bytes()[: BYTES_MOST + 1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, (error.strerror or str(error)).lower()) from error
    try:
        found = json.loads(raw)
        people = {str(n): tuple(str(k) for k in keys) for n, keys in found.pop("humans").items()}
        seal = Seal(**found, humans=people)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, "it does not read back") from error
    texts = (getattr(seal, n) for n in ("settings", "state_dir", "ledger_key", "vault_key"))
    if type(seal.at) is not int or not all(type(t) is str and os.path.isabs(t) for t in texts):
        raise _damaged(path, "it names no places")
    return seal


def write_seal(seal: Seal) -> None:
    """Replace the seal (mode 0644), whole or not at all. Raises `ConfigInvalid`."""
    path = seal_path(Path(seal.settings))
    text = json.dumps({**seal._members(), "code": seal.code}, sort_keys=True) + "\n"
    fresh = path.with_name(path.name + ".new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(f"cannot write the seal `{path}`", reason, "check its owner") from error


def _damaged(path: Path, why: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"the seal `{path}` is damaged",
        why,
        "put it back from a copy, or see docs/how-to/change.md",
    )
