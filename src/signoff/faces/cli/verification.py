"""Checking a ledger from its files: the state, or an export, with no daemon in between."""

from __future__ import annotations

from pathlib import Path

from signoff.config import Config, config_path, load_config, read_secret
from signoff.model.errors import ConfigInvalid, LedgerUnavailable, ProofInvalid

PUBLIC_NAME = "ledger.pub"
NOTE_BYTES_MOST = 64 * 1024


def verify_ledger(
    exported: Path | None, checkpoint: Path | None, db: Path | None, key: str
) -> dict[str, object]:
    """`{"size", "root", "checked", "remembered", "checkpoint", "findings"}` of an exported
    ledger, a ledger file, or the settings' own (all None).

    `checkpoint` is a note somebody kept; the high-water mark is taken besides when it is
    there. `key` is the ledger's public key or a file with it. Raises `LedgerUnavailable`
    when there is nothing to read, `ConfigInvalid` when no key is known; whatever does not
    verify is a finding.
    """
    from signoff.ledger.checkpoint import VerifierKey
    from signoff.ledger.log import ExportedLedger, leaves
    from signoff.ledger.verify import verify_ledger as verify
    from signoff.store.reading import StateFile

    config = load_config() if config_path().exists() else None
    public = VerifierKey.parse(_key_text(config, key))
    remembered = [_note(checkpoint)] if checkpoint else []
    own = exported is None and db is None
    if own and not remembered and config is not None and unwritten(config):
        raise LedgerUnavailable("nothing is in the ledger yet", "no receipt", "signoff up")
    if own and config is not None and config.high_water.is_file():
        remembered.append(_note(config.high_water))
    source: ExportedLedger | StateFile
    if exported is not None:
        source = ExportedLedger(exported)
    elif db is not None:
        source = StateFile(db)
    elif config is not None:
        source = StateFile(config.ledger_path)
    else:
        raise ConfigInvalid("there is no ledger to check", "no settings, no file", "--file or --db")
    found: dict[str, object] = {"size": 0, "root": "", "findings": [], "key": public.name}
    with source:
        note = source.checkpoint()
        try:
            good = verify(leaves(source), note, public, remembered)
        except ProofInvalid as error:
            return {**found, "findings": [str(error)], "checkpoint": bool(checkpoint)}
    backwards = [f"receipt {i} is older than the one before it" for i in good.backwards]
    return {
        **found,
        "size": good.head.size,
        "root": good.head.root.hex(),
        "remembered": good.remembered,
        "checkpoint": bool(checkpoint),
        "note": note,
        "warnings": backwards,
    }


def unwritten(config: Config) -> bool:
    """Whether no receipt was ever written: no high-water mark, and no ledger or an empty one,
    as a first `signoff up` leaves it that found something wrong."""
    from signoff.store.reading import StateFile

    if config.high_water.exists():
        return False
    if not config.ledger_path.exists():
        return True
    with StateFile(config.ledger_path) as state:
        return state.size() == 0 and not state.checkpoint()


def public_key(config: Config) -> str:
    """The ledger's public key as text, from its secret; raises `ConfigInvalid`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from signoff.ledger.checkpoint import VerifierKey

    seed = read_secret(config.ledger.key_file, "the ledger key")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return str(VerifierKey(config.ledger.origin, public))


def _key_text(config: Config | None, key: str) -> str:
    if key:
        named = Path(key)
        return named.read_text().strip() if named.is_file() else key
    if config is not None and config.path is not None:
        kept = config.path.parent / PUBLIC_NAME
        return kept.read_text().strip() if kept.is_file() else public_key(config)
    raise ConfigInvalid(
        "the ledger's public key is not known", "there are no settings here", "give it with `--key`"
    )


def _note(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(NOTE_BYTES_MOST).decode("utf-8", "replace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LedgerUnavailable(
            f"cannot read the checkpoint `{path}`", reason, "name the file that was kept"
        ) from error
