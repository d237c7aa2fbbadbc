"""`signoff.toml` -> one frozen `Config`: what the owners set, checked before anything starts."""

from signoff.config.keyfiles import make_private_file, make_secret, read_secret
from signoff.config.owners import check_owned
from signoff.config.read import QUORUM_MOST, config_path, load_config, parse_config
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
    VaultSettings,
)
from signoff.config.write import config_reference, render_config, write_config

__all__ = [
    "QUORUM_MOST",
    "AwsSettings",
    "Config",
    "Environment",
    "GateSettings",
    "GrantSettings",
    "HoldSettings",
    "LedgerSettings",
    "LimitSettings",
    "MapRow",
    "ObserveSettings",
    "VaultSettings",
    "check_owned",
    "config_path",
    "config_reference",
    "load_config",
    "make_private_file",
    "make_secret",
    "parse_config",
    "read_secret",
    "render_config",
    "write_config",
]
