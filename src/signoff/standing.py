"""Which configuration is in force: the sealed one, whatever merely lies on disk.

At the first start of an empty ledger that is what the settings say, and it is sealed as the
daemon starts. From then on it is what the state holds, once row, receipt and the seal beside
the settings agree.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from signoff.config import (
    Config,
    ConfigurationTexts,
    Drift,
    Seal,
    config_path,
    load_config,
    read_seal,
    read_texts,
    seal_path,
    write_seal,
)
from signoff.model.errors import ConfigInvalid, ProofInvalid
from signoff.store.contracts import SealedConfiguration

INIT = "as `signoff init` wrote it"
SINCE_INIT = "NOT as `signoff init` wrote it, and nobody signed the change"
FOUND = "as found at the first start; nobody signed it"
AGAIN = "as it was sealed before; the state that said so is gone"
_AFRESH = "docs/how-to/change.md"


@dataclass(frozen=True)
class Standing:
    """The configuration in force. `at` is the receipt that sealed it, -1 while it is still
    to be sealed; `how` says in words how it came to be; `warning` is what is not in order."""

    texts: ConfigurationTexts
    config: Config
    at: int
    time_ms: int
    how: str
    warning: str = ""

    @property
    def to_seal(self) -> bool:
        """Whether this is a first start."""
        return self.at < 0

    @property
    def doubtful(self) -> bool:
        """Whether somebody should look at it: changed after `init` and signed by nobody."""
        return self.how == SINCE_INIT


@dataclass
class Drifting:
    """What `status` says of the configuration: what is in force, and how the files differ
    from it now. `seen` is kept by whoever watches the files."""

    standing: Standing | None = None
    seen: Drift = field(default_factory=Drift)
    trouble: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once another configuration is sealed: the house has to be opened anew."""

    def told(self) -> dict[str, object]:
        """As `render.status` reads it; empty before anything is sealed."""
        if self.standing is None:
            return {}
        return {
            "digest": self.standing.texts.digest,
            "sealed_ms": self.standing.time_ms,
            "how": self.standing.how,
            "doubtful": self.standing.doubtful,
            "differs": list(self.seen.lines),
            "runs": not self.changed.is_set(),
        }

    def warnings(self) -> tuple[str, ...]:
        """What is not in order with the seal itself."""
        return (self.trouble, self.standing.warning if self.standing else "")


def first_settings(path: Path | None = None) -> Config:
    """What a start begins with: the places the seal names, once something was sealed;
    else the settings on disk, which are read and checked. Raises `ConfigInvalid`."""
    named = (path or config_path()).absolute()
    seal = read_seal(named)
    if seal is not None and seal.at >= 0:
        return seal.start()
    return load_config(named)


def standing(config: Config, found: SealedConfiguration | None, vault_key: bytes) -> Standing:
    """The configuration in force. `found` is what the state holds, `config` where the
    settings are.

    Raises `ProofInvalid` when an older configuration, or none, stands where a newer one was
    sealed; `ConfigInvalid` when the first one does not load.
    """
    settings = config.path
    if settings is None:
        raise ConfigInvalid("there is no settings file", "what runs is sealed from one", "")
    seal = read_seal(settings)
    if seal is not None and not seal.holds(vault_key):
        raise ConfigInvalid(
            f"the seal `{seal_path(settings)}` was not written with this vault key",
            "somebody wrote it, or the key is another",
            _AFRESH,
        )
    if found is None:
        return _first(settings, seal)
    texts = ConfigurationTexts.from_data(found.content)
    if texts.digest != found.digest:
        raise ProofInvalid("the sealed configuration is not what its receipt names", "", _AFRESH)
    warning = ""
    if seal is None:
        warning = f"the seal `{seal_path(settings)}` was missing; it is written anew"
    elif seal.at >= found.at and seal.digest != found.digest:
        raise ProofInvalid(
            "an older configuration was put back",
            f"receipt {seal.at} sealed `{seal.digest[:12]}`, the state holds `{found.digest[:12]}`",
            f"restore the newest state directory ({_AFRESH})",
        )
    return Standing(texts, texts.config(), found.at, found.time_ms, found.how, warning)


def sealed_on_disk(state: Standing, vault_key: bytes) -> str:
    """Write the seal of what is in force, if it is not there; why it could not be, else ""."""
    made = Seal.of(state.config, state.texts, state.at).signed(vault_key)
    try:
        if read_seal(Path(state.texts.path)) != made:
            write_seal(made)
    except ConfigInvalid as error:
        return str(error)
    return ""


def _first(settings: Path, seal: Seal | None) -> Standing:
    texts = read_texts(settings)
    if seal is not None and seal.at >= 0 and seal.digest != texts.digest:
        raise ProofInvalid(
            "the state that held the sealed configuration is gone",
            "and the files are not what was sealed, so nobody signed them",
            f"restore the state directory ({_AFRESH})",
        )
    how = FOUND
    if seal is not None and seal.at >= 0:
        how = AGAIN
    elif seal is not None:
        how = INIT if seal.digest == texts.digest else SINCE_INIT
    return Standing(texts, texts.config(), -1, 0, how)
