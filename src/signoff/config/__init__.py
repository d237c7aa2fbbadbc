"""`signoff.toml` -> one frozen `Config`: what the owners set, checked before anything starts."""

from signoff.config.candidate import Drift, drift, read_texts, stamp
from signoff.config.changes import changed_settings
from signoff.config.keyfiles import make_private_file, make_secret, read_secret
from signoff.config.owners import check_owned
from signoff.config.read import QUORUM_MOST, config_path, load_config, parse_config
from signoff.config.seal import NOT_YET, Seal, read_seal, seal_path, write_seal
from signoff.config.sealed import ConfigurationTexts, check_stays, named_files
from signoff.config.values import (
    AwsSettings,
    Config,
    Environment,
    GateSettings,
    GrantSettings,
    HoldSettings,
    LedgerSettings,
    LimitSettings,
    MapRow,
    ObserveSettings,
    QuorumRow,
    VaultSettings,
)
from signoff.config.write import config_reference, render_config, write_config

__all__ = [
    "NOT_YET",
    "QUORUM_MOST",
    "AwsSettings",
    "Config",
    "ConfigurationTexts",
    "Drift",
    "Environment",
    "GateSettings",
    "GrantSettings",
    "HoldSettings",
    "LedgerSettings",
    "LimitSettings",
    "MapRow",
    "ObserveSettings",
    "QuorumRow",
    "Seal",
    "VaultSettings",
    "changed_settings",
    "check_owned",
    "check_stays",
    "config_path",
    "config_reference",
    "drift",
    "load_config",
    "make_private_file",
    "make_secret",
    "named_files",
    "parse_config",
    "read_seal",
    "read_secret",
    "read_texts",
    "render_config",
    "seal_path",
    "stamp",
    "write_config",
    "write_seal",
]
