"""A configuration as texts: what its digest covers, and what may not be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.approvals.keys import create_key
from signoff.config import ConfigurationTexts, changed_settings, check_stays
from signoff.config.sealed import FILES_MOST, TEXT_BYTES_MOST
from signoff.model.errors import ConfigInvalid

KEYS = [create_key("four unrelated words here", cost=2**14).public for _ in range(4)]
HUMANS = "".join(
    f'[[human]]\nname = "{name}"\nkeys = ["{key}"]\n'
    for name, key in zip(("ana", "bo", "mila"), KEYS, strict=False)
)
TOP = 'profile = "team"\nstate_dir = "/var/lib/signoff"\n'
PLACE = "/etc/signoff/signoff.toml"


def texts(more: str = "", files: dict[str, str] | None = None) -> ConfigurationTexts:
    return ConfigurationTexts(PLACE, TOP + HUMANS + more, files or {})


def test_the_settings_of_texts_carry_the_texts_of_their_files() -> None:
    found = texts('[policies]\nextra = ["own.cedar"]\n', {"/etc/signoff/own.cedar": "text"})
    assert found.config().files == {"/etc/signoff/own.cedar": "text"}


@pytest.mark.parametrize("files", [{}, {"/etc/signoff/own.cedar": "", "/etc/x": ""}])
def test_texts_with_a_file_too_few_or_too_many_are_no_configuration(files: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="not whole"):
        texts('[policies]\nextra = ["own.cedar"]\n', files).config()


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_texts_read_back_and_their_digest_covers_every_part(
    path: str, settings: str, name: str, text: str
) -> None:
    try:
        made = ConfigurationTexts.from_data(
            {"path": path, "settings": settings, "files": {name: text}}
        )
    except ConfigInvalid:
        return  # Half of a surrogate pair is no text.
    assert ConfigurationTexts.from_data(made.as_data()) == made
    others = (
        ConfigurationTexts(path + "x", settings, {name: text}),
        ConfigurationTexts(path, settings + "x", {name: text}),
        ConfigurationTexts(path, settings, {name + "x": text}),
        ConfigurationTexts(path, settings, {name: text + "x"}),
        ConfigurationTexts(path, settings, {}),
    )
    assert made.digest not in {other.digest for other in others}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"path": "p", "settings": "s"},
        {"path": "p", "settings": "s", "files": []},
        {"path": "p", "settings": "s", "files": {"a": 1}},
        {"path": 1, "settings": "s", "files": {}},
        {"path": "p", "settings": "s", "files": {}, "more": ""},
        {"path": "p", "settings": "\ud800", "files": {}},
        {"path": "p", "settings": "s" * 1_000_001, "files": {}},
        {"path": "p", "settings": "s", "files": {"a": "x" * ((1 << 20) + 1)}},
        {"path": "p", "settings": "s", "files": {str(n): "" for n in range(FILES_MOST + 1)}},
        {"path": "p", "settings": "", "files": {"a": "x" * 900_000, "b": "x" * 900_000}},
    ],
)
def test_what_is_no_configuration_or_too_large_is_refused(data: object) -> None:
    with pytest.raises(ConfigInvalid):
        ConfigurationTexts.from_data(data)
    assert TEXT_BYTES_MOST < 1_800_000


@pytest.mark.parametrize(
    "more",
    [
        '[ledger]\norigin = "another"\n',
        '[ledger]\nkey_file = "/etc/x.key"\n',
        '[ledger]\nhigh_water = "/etc/mark"\n',
        '[vault]\nkey_file = "/etc/y.key"\n',
    ],
)
def test_a_candidate_does_not_move_the_state(more: str) -> None:
    with pytest.raises(ConfigInvalid, match="it is"):
        check_stays(texts().config(), texts(more).config())
    check_stays(texts().config(), texts("[limits]\ncalls_per_minute = 5\n").config())


# What differs, in words.


def changed(before: str, after: str, files: dict[str, str] | None = None) -> str:
    return "\n".join(changed_settings(texts(before).config(), texts(after, files).config()))


def test_comments_and_layout_are_no_change() -> None:
    old = '[gate]\nport = 4690\n[[map]]\nenvironment = "staging"\nname = "x-*"\n'
    new = (
        '# a remark\n\n[[map]]\nname = "x-*" # also here\nenvironment = "staging"\n'
        "[gate]\nport = 4_690\n"
    )
    assert changed(old, new) == ""


@pytest.mark.parametrize(
    ("after", "line"),
    [
        ("[gate]\nport = 5000\n", "gate.port: `4690` becomes `5000`"),
        ('[aws]\nendpoint = "https://a.b"\n', "aws.endpoint: nothing becomes `https://a.b`"),
        ('[aws]\nregions = ["eu-west-1"]\n', "aws.regions: with `eu-west-1`"),
        (
            '[[map]]\nenvironment = "development"\nname = "dev-*"\n',
            "map: with environment `development`, name `dev-*`",
        ),
        ('[environment.lab]\nwithin = "development"\n', "environment `lab` is new"),
        ("[environment.staging]\ndisposable = true\n", "environment.staging.disposable: no"),
        ("[[quorum]]\nirreversible = 0\n", "irreversible `0`"),
        (f'[[human]]\nname = "zoe"\nkeys = ["{KEYS[3]}"]\n', "human `zoe` is enrolled with SHA256"),
    ],
)
def test_each_change_of_a_setting_is_a_line_of_its_own(after: str, line: str) -> None:
    assert line in changed("", after)


def test_removing_is_told_like_adding() -> None:
    row = '[[map]]\nenvironment = "staging"\nname = "x-*"\n'
    assert "map: without" in changed(row, "")
    lab = '[environment.lab]\nwithin = "development"\n'
    assert "environment `lab` is removed; what it held is production now" in changed(lab, "")
    fewer = ConfigurationTexts(PLACE, TOP + HUMANS + f'[[human]]\nname="z"\nkeys=["{KEYS[3]}"]\n')
    assert changed_settings(fewer.config(), texts().config()) == ("human `z` is removed",)


def test_another_order_of_the_map_is_a_change() -> None:
    one = '[[map]]\nenvironment = "staging"\nname = "x-*"\n'
    two = '[[map]]\nenvironment = "development"\nname = "x-y-*"\n'
    assert "in another order" in changed(one + two, two + one)


def test_the_changed_lines_of_a_policy_are_shown() -> None:
    named = '[policies]\nextra = ["own.cedar"]\n'
    place = "/etc/signoff/own.cedar"
    old = texts(named, {place: "// one\npermit;\n"}).config()
    new = texts(named, {place: "// one\nforbid;\n"}).config()
    assert changed_settings(old, new) == (
        f"{place}: 1 lines come, 1 go",
        "  - permit;",
        "  + forbid;",
    )


def test_no_name_moves_the_cursor_or_runs_on() -> None:
    told = changed("", f'[environment."a\\u001b[2J{"x" * 500}"]\n')
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 400
    assert Path(PLACE).is_absolute()
