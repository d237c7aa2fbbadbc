"""Settings are read whole and checked whole, or refused with the line at fault."""

from __future__ import annotations

import base64
import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.config import (
    ObserveSettings,
    QuorumRow,
    check_owned,
    config_path,
    load_config,
    make_secret,
    parse_config,
    read_secret,
    render_config,
    write_config,
)
from signoff.config.settings import SETTINGS, Shape
from signoff.model.errors import ConfigInvalid


def key(number: int) -> str:
    return "signoff-ed25519 " + base64.b64encode(bytes([number]) * 32).decode()


HUMANS = "".join(
    f'[[human]]\nname = "{name}"\nkeys = ["{key(i)}"]\ngroups = ["sre"]\n'
    for i, name in enumerate(("ana", "bo", "mila"), 1)
)
GOOD = f"""profile = "team"
state_dir = "/var/lib/signoff"
[vault]
budget_mb = 12
{HUMANS}
[environment.scratch]
criticality = "low"
disposable = true
[[map]]
account = "123456789012"
name = "tmp-*"
environment = "scratch"
[aws]
regions = ["eu-west-1"]
"""
PLACE = Path("/etc/signoff/signoff.toml")


def refused(text: str) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text, PLACE)
    assert caught.value.what
    assert "\n" not in str(caught.value)
    return caught.value


def test_good_settings_become_one_frozen_value() -> None:
    config = parse_config(GOOD, PLACE)
    assert config.vault.budget_mb == 12
    assert config.vault.keep_days == 7
    assert [h.name for h in config.humans] == ["ana", "bo", "mila"]
    assert config.disposable == {"scratch"}
    assert config.place_rules() == (
        {"environment": "scratch", "account": "123456789012", "name": "tmp-*"},
    )
    assert config.control_socket == Path("/var/lib/signoff/control/control.sock")
    assert config.aws.regions == ("eu-west-1",)


def test_an_unknown_key_is_refused_with_its_line() -> None:
    error = refused(GOOD.replace("budget_mb = 12", "budget_mb = 12\nquorum = 0"))
    assert "line 5" in error.what
    assert "`quorum`" in error.what


def test_an_unknown_section_is_refused() -> None:
    assert "`sudo`" in refused(GOOD + "[sudo]\nall = true\n").what


@pytest.mark.parametrize("given", ['"12"', "true", "12.5", "[12]", "0", "1000001", "-1"])
def test_a_number_of_the_wrong_type_or_out_of_bounds_is_refused(given: str) -> None:
    error = refused(GOOD.replace("budget_mb = 12", f"budget_mb = {given}"))
    assert "vault.budget_mb" in error.what
    assert "line 4" in error.what


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    assert "line 2" in refused('profile = "team"\nstate_dir = \n').why


def test_fewer_humans_than_a_quorum_are_refused() -> None:
    two = "\n".join(GOOD.split("[[human]]")[:3]).replace("\nname", "\n[[human]]\nname")
    assert "quorum of 2" in refused(two).what
    assert parse_config(two.replace('"team"', '"solo"'), PLACE).profile == "solo"


def test_one_key_on_two_humans_is_refused_naming_both() -> None:
    error = refused(GOOD.replace(key(2), key(1)))
    assert "`ana`" in error.what
    assert "`bo`" in error.what
    assert "line" in error.what


def test_a_wildcard_is_not_a_human() -> None:
    assert "wildcard" in refused(GOOD.replace('"bo"', '"*"')).what


def test_the_vault_key_may_not_lie_beside_the_vault() -> None:
    text = GOOD.replace("budget_mb = 12", 'key_file = "/var/lib/signoff/vault/key"')
    assert "vault.key_file" in refused(text).what


def test_the_high_water_mark_may_not_lie_beside_the_ledger() -> None:
    text = GOOD + '[ledger]\nhigh_water = "/var/lib/signoff/../signoff/mark"\n'
    assert "ledger.high_water" in refused(text).what


def test_production_is_never_disposable() -> None:
    assert (
        "disposable" in refused(GOOD.replace("environment.scratch", "environment.production")).what
    )


def test_a_row_that_matches_everything_cannot_lower_production() -> None:
    text = GOOD.replace('account = "123456789012"\nname = "tmp-*"\n', "")
    assert "matches everything" in refused(text).what


def test_a_row_for_an_unknown_environment_is_refused() -> None:
    assert "`prod`" in refused(GOOD.replace('environment = "scratch"', 'environment = "prod"')).what


@pytest.mark.parametrize(
    "endpoint", ["http://10.0.0.1:5000", "ftp://localhost", "http://localhost@evil", "https://"]
)
def test_an_endpoint_in_the_clear_is_only_taken_on_the_loopback(endpoint: str) -> None:
    assert "aws.endpoint" in refused(GOOD + f'endpoint = "{endpoint}"\n').what
    assert parse_config(GOOD + 'endpoint = "http://127.0.0.1:5000"\n', PLACE).aws.endpoint


def test_what_lies_within_production_is_observed_only_as_production_is() -> None:
    observe = '[observe]\nenvironments = ["%s"]\nuntil = "2026-12-31"\nsigned = []\n'
    within = '[environment.shop]\nwithin = "production"\ncriticality = "low"\n'
    critical = '[environment.shop]\ncriticality = "high"\n'
    harmless = '[environment.shop]\ncriticality = "low"\n'
    assert "observed" in refused(GOOD + within + observe % "shop").what
    assert "observed" in refused(GOOD + critical + observe % "shop").what
    assert not parse_config(GOOD + harmless + observe % "shop", PLACE).observes_production
    assert not parse_config(GOOD + observe % "staging", PLACE).observes_production


def test_production_is_not_observed_unless_two_humans_signed() -> None:
    observe = '[observe]\nenvironments = ["production"]\nuntil = "2026-12-31"\nsigned = [%s]\n'
    assert "observed" in refused(GOOD + observe % "").what
    assert "observed" in refused(GOOD + observe % '"ana x y", "ana x z"').what
    assert "until" in refused(GOOD + (observe % "").replace('"2026-12-31"', '"soon"')).what
    assert "end" in refused(GOOD + (observe % "").replace('"2026-12-31"', '""')).what
    assert "`eve`" in refused(GOOD + observe % '"ana x y", "eve x y"').why
    assert parse_config(GOOD + observe % '"ana x y", "bo x y"', PLACE).observe.environments


def test_observing_ends_with_its_last_day() -> None:
    assert ObserveSettings(("staging",), "1970-01-01").until_ms() == 86_400_000
    assert ObserveSettings().until_ms() == 0


def test_what_is_written_reads_back_as_the_same_settings(tmp_path: Path) -> None:
    config = parse_config(GOOD, tmp_path / "signoff.toml")
    write_config(config, tmp_path / "signoff.toml")
    again = load_config(tmp_path / "signoff.toml")
    assert render_config(again) == render_config(config)
    assert again.rules == config.rules
    assert again.vault == config.vault
    assert [h.keys[0].public for h in again.humans] == [h.keys[0].public for h in config.humans]


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_text_survives_writing_and_reading(name: str) -> None:
    config = parse_config(GOOD, PLACE)
    row = dataclasses.replace(config.rules[0], name=name)
    written = render_config(dataclasses.replace(config, rules=(row,)))
    assert parse_config(written, PLACE).rules[0].name == name


@given(text=st.text(max_size=200))
def test_any_text_is_settings_or_a_clear_refusal(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse_config(text, PLACE)


def test_every_setting_refuses_the_wrong_type() -> None:
    for setting in SETTINGS:
        wrong = "1.5" if setting.shape is not Shape.FLAG else '"yes"'
        match setting.section:
            case "":
                text = f"{setting.key} = {wrong}\n"
            case "human" | "map":
                text = f"[[{setting.section}]]\n{setting.key} = {wrong}\n"
            case "environment":
                text = f"[environment.x]\n{setting.key} = {wrong}\n"
            case other:
                text = f"[{other}]\n{setting.key} = {wrong}\n"
        if setting.section:
            text = 'profile = "team"\nstate_dir = "/x"\n' + (HUMANS + text)
        refused(text)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_can_write_is_not_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signoff.toml"
    path.write_text(GOOD)
    path.chmod(mode)
    with pytest.raises(ConfigInvalid, match="not safe"):
        load_config(path)
    path.chmod(0o644)
    assert load_config(path).path == path


def test_a_parent_directory_that_others_can_write_spoils_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = folder / "signoff.toml"
    path.write_text(GOOD)
    folder.chmod(0o777)
    with pytest.raises(ConfigInvalid, match="not safe"):
        load_config(path)
    folder.chmod(0o1777)
    assert load_config(path)


def test_a_symbolic_link_does_not_hide_an_open_directory(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "real.toml").write_text(GOOD)
    folder.chmod(0o777)
    link = tmp_path / "signoff.toml"
    link.symlink_to(folder / "real.toml")
    with pytest.raises(ConfigInvalid, match="open"):
        load_config(link)


def test_another_owners_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signoff.toml"
    path.write_text(GOOD)
    owner = path.stat().st_uid
    if owner != 0:
        with pytest.raises(ConfigInvalid, match="belongs to"):
            check_owned(path, "the file", uid=owner + 1)
        return
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigInvalid, match="belongs to"):
        check_owned(path, "the file")


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(b"k")
    path.chmod(0o640)
    with pytest.raises(ConfigInvalid, match="read it"):
        check_owned(path, "the vault key", secret=True)


def test_missing_settings_name_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(tmp_path / "signoff.toml")
    assert caught.value.next_step == "signoff init"


def test_the_path_can_be_named_by_a_shell_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_CONFIG", "/elsewhere/s.toml")
    assert config_path() == Path("/elsewhere/s.toml")


def test_a_secret_is_made_once_read_back_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.key"
    make_secret(path, "the vault key")
    assert len(read_secret(path, "the vault key")) == 32
    with pytest.raises(ConfigInvalid, match="exists already"):
        make_secret(path, "the vault key")
    path.write_text("signoff-secret AAAA\n")
    with pytest.raises(ConfigInvalid, match="cannot read"):
        read_secret(path, "the vault key")
    path.chmod(0o604)
    with pytest.raises(ConfigInvalid, match="read it"):
        read_secret(path, "the vault key")


def test_a_quorum_row_reads_back_as_it_was_written_and_remembers_its_line(tmp_path: Path) -> None:
    rows = (QuorumRow("staging", ("migrator",), 2, 2, ("sre",)), QuorumRow())
    config = dataclasses.replace(parse_config(GOOD, tmp_path / "signoff.toml"), quorums=rows)
    text = render_config(config)
    read = parse_config(text, tmp_path / "signoff.toml")
    assert read.quorums == rows
    headings = [n for n, line in enumerate(text.splitlines(), 1) if line == "[[quorum]]"]
    assert [row.line for row in read.quorums] == headings


def test_what_is_outside_production_is_what_the_settings_say_is() -> None:
    config = parse_config(
        GOOD + '[environment.billing]\n[environment.eu]\nwithin = "production"\n', PLACE
    )
    assert config.outside == {"scratch", "staging", "development", "workspace"}


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_with_one_human_there_are_no_quorum_rows(profile: str) -> None:
    text = GOOD.replace("team", profile) + "[[quorum]]\nundoable = 2\n"
    if profile == "team":
        assert parse_config(text, PLACE).quorums[0].undoable == 2
    else:
        line = text.splitlines().index("[[quorum]]") + 1
        assert f"line {line}" in refused(text).what


@pytest.mark.parametrize(
    ("stated", "profile", "required"),
    [
        ("", "team", True),
        ("", "solo", False),
        ("[grants]\nrequired = false\n", "team", False),
        ("[grants]\nrequired = true\n", "solo", True),
    ],
)
def test_a_team_needs_grants_and_one_person_does_not_unless_it_is_stated(
    stated: str, profile: str, required: bool
) -> None:
    config = parse_config(GOOD.replace('"team"', f'"{profile}"') + stated, PLACE)
    assert config.grants_required is required
    again = parse_config(render_config(config), PLACE)
    assert (again.grants, again.grants_required) == (config.grants, required)


@pytest.mark.parametrize("row", ["hours_most = 169", "changes_most = 10_001", "hours_most = 0"])
def test_a_grant_has_bounds_that_no_setting_widens(row: str) -> None:
    assert "grants" in refused(GOOD + f"[grants]\n{row}\n").what
