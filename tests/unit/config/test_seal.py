"""The seal beside the settings: its code, and what is damaged."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from signoff.config import (
    Config,
    ConfigurationTexts,
    LedgerSettings,
    Seal,
    VaultSettings,
    read_seal,
    seal_path,
    write_seal,
)
from signoff.model.errors import ConfigInvalid

KEY, OTHER = b"k" * 32, b"o" * 32


def made(folder: Path) -> Seal:
    path = folder / "signoff.toml"
    config = Config(
        "team",
        folder / "state",
        LedgerSettings(folder / "ledger.key", folder / "mark"),
        VaultSettings(folder / "vault.key"),
        path=path,
    )
    return Seal.of(config, ConfigurationTexts(str(path), "text"), 7).signed(KEY)


def test_a_seal_reads_back_and_holds_under_its_own_key_alone(tmp_path: Path) -> None:
    seal = made(tmp_path)
    write_seal(seal)
    found = read_seal(tmp_path / "signoff.toml")
    assert found == seal
    assert found is not None
    assert found.holds(KEY)
    assert not found.holds(OTHER)
    assert found.start().state_dir == tmp_path / "state"


def test_every_member_is_under_the_code(tmp_path: Path) -> None:
    seal = made(tmp_path)
    for member in fields(Seal):
        if member.name == "code":
            continue
        value = getattr(seal, member.name)
        other: object = value + 1 if isinstance(value, int) else f"{value}x"
        if isinstance(value, dict):
            other = {"eve": ("SHA256:x",)}
        assert not replace(seal, **{member.name: other}).holds(KEY), member.name


def test_there_is_none_before_anything_is_sealed(tmp_path: Path) -> None:
    assert read_seal(tmp_path / "signoff.toml") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "{" * 5000,
        '{"humans": {}}',
        '{"humans": 3}',
        '{"state_dir": "x"}',
    ],
)
def test_a_damaged_seal_is_refused_and_never_taken_for_none(tmp_path: Path, text: str) -> None:
    seal_path(tmp_path / "signoff.toml").write_text(text)
    with pytest.raises(ConfigInvalid, match="damaged"):
        read_seal(tmp_path / "signoff.toml")


@pytest.mark.parametrize(("name", "value"), [("at", "7"), ("at", True), ("state_dir", "relative")])
def test_a_seal_with_a_member_of_another_kind_is_damaged(
    tmp_path: Path, name: str, value: object
) -> None:
    write_seal(made(tmp_path))
    path = seal_path(tmp_path / "signoff.toml")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(ConfigInvalid, match="damaged"):
        read_seal(tmp_path / "signoff.toml")


def test_a_seal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    seal = replace(made(tmp_path), settings=str(tmp_path / "gone" / "signoff.toml"))
    with pytest.raises(ConfigInvalid, match="cannot write"):
        write_seal(seal)
