"""The audit of Signoff itself: each planted weakness is found, a good house has none."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from signoff.approvals.keys import create_key
from signoff.audit.access import Who
from signoff.audit.findings import Severity
from signoff.audit.own import DAY_MS, KeyLine, Seen, audit_self
from signoff.config import (
    Config,
    LedgerSettings,
    ObserveSettings,
    QuorumRow,
    VaultSettings,
    make_secret,
    write_config,
)
from signoff.config.values import GrantSettings
from signoff.model.human import EnrolledKey, Human

NOW = 1_800_000_000_000
KEYS = {name: create_key("four unrelated words", cost=2**14) for name in ("ana", "bo", "mila")}
STRANGER = Who("stranger", 61_234)


def human(name: str, key: str = "", groups: tuple[str, ...] = ()) -> Human:
    return Human(name, (EnrolledKey.parse(KEYS[key or name].public),), groups)


PEOPLE = (human("ana"), human("bo"), human("mila"), Human("cy", human("ana").keys))


@pytest.fixture
def house(tmp_path: Path) -> Config:
    """Settings, keys and state as `init` leaves them."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    home, state = tmp_path / "etc", tmp_path / "state"
    for path in (home, state):
        path.mkdir(mode=0o755)
    config = Config(
        "team",
        state,
        LedgerSettings(home / "keys" / "ledger.key", home / "high-water" / "mark"),
        VaultSettings(home / "keys" / "vault.key"),
        humans=(*PEOPLE[:3], replace(PEOPLE[3], keys=(_fresh(),))),
        path=home / "signoff.toml",
    )
    make_secret(config.ledger.key_file, "the ledger key")
    make_secret(config.vault.key_file, "the vault key")
    assert config.path is not None
    write_config(config, config.path)
    return config


def _fresh() -> EnrolledKey:
    return EnrolledKey.parse(create_key("four unrelated words", cost=2**14).public)


def seen(config: Config, **other: object) -> Seen:
    return replace(Seen(NOW, os.geteuid(), config.state_dir), **other)  # type: ignore[arg-type]


def checks(config: Config, **other: object) -> list[str]:
    """The checks that found something worse than a note, outside the code's own place."""
    report = audit_self(config, seen(config, **other))
    return [
        f.check
        for f in report.ranked
        if f.severity is not Severity.NOTE and f.subject != "signoff's code"
    ]


def test_a_good_house_has_no_finding(house: Config) -> None:
    assert checks(house) == []


@pytest.mark.parametrize("which", ["ledger", "vault"])
def test_a_key_that_others_can_read_or_replace_is_critical(house: Config, which: str) -> None:
    key = house.ledger.key_file if which == "ledger" else house.vault.key_file
    key.parent.chmod(0o755)
    key.chmod(0o604)
    report = audit_self(house, seen(house, agent=STRANGER))
    (found,) = [f for f in report.findings if f.check == "others-read"]
    assert found.severity is Severity.CRITICAL
    assert "`stranger`" in found.what
    assert found.where.file == str(key)
    key.chmod(0o600)
    key.parent.chmod(0o777)
    assert checks(house).count("others-change") >= 1


def test_settings_in_a_folder_of_others_are_theirs(house: Config) -> None:
    assert house.path is not None
    house.path.parent.chmod(0o777)
    assert "others-change" in checks(house)


def test_real_credentials_that_others_can_read_are_named(house: Config) -> None:
    folder = house.state_dir / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text("[default]\n")
    (folder / "credentials").chmod(0o644)
    assert "others-read" in checks(house)


def test_an_agent_under_the_daemons_user_is_told(house: Config) -> None:
    assert "same-user" in checks(house, agent=Who("me", os.geteuid()))
    assert checks(house, agent=STRANGER) == []


def test_where_agents_cannot_be_contained_the_level_is_advisory(house: Config) -> None:
    assert "level" in checks(house, uncontained="user namespaces are off")


def test_keys_and_mark_beside_the_state_are_found(house: Config) -> None:
    vault = replace(house.vault, key_file=house.state_dir / "vault.key")
    ledger = replace(house.ledger, high_water=house.state_dir / "mark")
    make_secret(vault.key_file, "the vault key")
    assert checks(replace(house, vault=vault, ledger=ledger)).count("beside-the-state") == 2


def test_one_key_on_two_humans_and_names_that_read_alike_are_found(house: Config) -> None:
    shared = replace(house, humans=(human("ana"), human("bo"), human("mila", "ana")))
    assert "shared-key" in checks(shared)
    alike = replace(house, humans=(human("ana"), Human("Ana.", human("bo").keys), human("mila")))
    assert "same-name" in checks(alike)


def test_one_comment_on_two_humans_is_a_note(house: Config) -> None:
    comments = (("ana", "pat@desk"), ("bo", "pat@desk"))
    report = audit_self(house, seen(house, comments=comments))
    assert [f.severity for f in report.findings if f.check == "same-comment"] == [Severity.NOTE]


def test_private_keys_of_several_humans_on_one_machine_are_found(house: Config) -> None:
    for name in ("ana", "bo"):
        file = house.ledger.key_file.parent / f"{name}.key"
        file.write_text("x")
        file.chmod(0o600)
    assert "keys-together" in checks(house)


def test_a_quorum_that_the_operator_leaves_unreachable_is_found(house: Config) -> None:
    two = replace(house, humans=house.humans[:2])
    assert "quorum-unreachable" in checks(two)
    three = replace(house, humans=house.humans[:3])
    assert checks(three) == ["quorum-tight"]


def test_each_quorum_row_is_asked_for_its_people_and_groups(house: Config) -> None:
    people = (human("ana", groups=("dba",)), human("bo"), human("mila"), house.humans[3])
    row = QuorumRow(groups=("dba",), line=7)
    report = audit_self(replace(house, humans=people, quorums=(row,)), seen(house))
    (found,) = [f for f in report.findings if f.check == "quorum-unreachable"]
    assert "`ana`" in found.what
    assert found.where.line == 7
    assert "quorum-unreachable" in checks(replace(house, quorums=(QuorumRow(irreversible=4),)))
    assert "quorum-none" in checks(replace(house, quorums=(QuorumRow(undoable=0),)))


def test_run_keys_without_end_or_of_many_days_are_found(house: Config) -> None:
    forever = KeyLine("kit", "R-1", "ana", NOW, 0)
    long = KeyLine("kit", "R-2", "ana", NOW, NOW + 7 * DAY_MS)
    short = KeyLine("kit", "R-3", "ana", NOW, NOW + DAY_MS // 3)
    over = KeyLine("kit", "R-4", "ana", NOW - 9 * DAY_MS, NOW - DAY_MS)
    report = audit_self(house, seen(house, keys=(forever, long, short, over)))
    found = {f.subject: f.severity for f in report.findings if f.check == "long-key"}
    assert found == {"run R-1": Severity.HIGH, "run R-2": Severity.LOW}


def test_what_is_open_for_a_time_is_listed(house: Config) -> None:
    observing = replace(house, observe=ObserveSettings(("production",), "2099-01-01"))
    assert "observe" in checks(observing)
    assert "grants-off" in checks(replace(house, grants=GrantSettings(required=False)))
    switches = ("freeze/production", "lowered/boundary-audit/production")
    report = audit_self(house, seen(house, switches=switches, grants=("run R-1 in production",)))
    told = {f.what: f.severity for f in report.findings if f.check in ("switch", "grant")}
    assert told == {
        "frozen: production": Severity.NOTE,
        "boundary lowered: boundary-audit/production": Severity.MEDIUM,
        "open grant: run R-1 in production": Severity.NOTE,
    }
