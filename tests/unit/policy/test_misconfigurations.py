"""Every misconfiguration of `testkit/policy/misconfigured` is refused or disclosed, with its
file and line, and its corrected twin loads and is proved."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from signing import Pen
from signoff.config import load_config
from signoff.model.errors import ConfigInvalid, PolicyInvalid
from signoff.policy.loading import bundle_of, prove_settings, proved_bundle
from signoff.policy.proofs import Assumption
from signoff.policy.tables import weakened_rows

FOLDER = Path(__file__).resolve().parents[3] / "testkit" / "policy" / "misconfigured"
CASES = sorted(FOLDER.glob("*.toml"))
HERE = "<-"
PEOPLE = {"olga": "platform", "ana": "platform", "bo": "data", "cy": "data"}
OTHERS = ("dan", "eve", "robert")


@dataclass(frozen=True)
class Written:
    """Settings, policies or a table as files; the file and the line (from 1) marked `<-`."""

    settings: Path
    table: Path | None
    fault: tuple[str, int] | None


def written(folder: Path, part: Mapping[str, str]) -> Written:
    """One half of a vector as an owner would have it on disk."""
    texts = {"signoff.toml": _settings(part)}
    if "policy" in part:
        texts["own.cedar"] = part["policy"]
    if "table" in part:
        texts["table.toml"] = part["table"]
    fault = None
    for name, text in texts.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        for number, line in enumerate(text.splitlines(), 1):
            if line.endswith(HERE):
                fault = (str(path), number)
    table = folder / "table.toml" if "table" in part else None
    return Written(folder / "signoff.toml", table, fault)


def _settings(part: Mapping[str, str]) -> str:
    own = part.get("settings", "")
    for name, key in _keys().items():
        own = own.replace("{" + name + "}", key)
    text = 'profile = "team"\nstate_dir = "state"\n\n'
    if "policy" in part:
        text += '[policies]\nextra = ["own.cedar"]\n\n'
    if "[[human]]" not in own:
        for name, group in PEOPLE.items():
            text += f'[[human]]\nname = "{name}"\nkeys = ["{_keys()[name]}"]\n'
            text += f'groups = ["{group}"]\n\n'
    return text + own


@cache
def _keys() -> Mapping[str, str]:
    return {name: Pen(name).enrolled.public for name in (*PEOPLE, *OTHERS)}


def loaded(given: Written) -> tuple[Assumption, ...]:
    """The real way: settings, bundle, proof. What is taken for granted; raises a refusal."""
    if given.table is not None:
        return weakened_rows(given.table.read_text(), str(given.table))
    config = load_config(given.settings, owners=False)
    bundle = proved_bundle(config)
    assert bundle.safeguard == "safeguard proved"
    return prove_settings(config, bundle=bundle_of(config)).assumptions


def at(found: Assumption, place: tuple[str, int] | None) -> bool:
    return (found.file, found.line) == place


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_a_misconfiguration_is_refused_or_disclosed_where_it_stands(
    path: Path, tmp_path: Path
) -> None:
    case = tomllib.loads(path.read_text())
    given = written(tmp_path, case["wrong"])
    assert given.fault is not None, "the vector marks no line"
    file, line = given.fault
    if case["answer"] == "refused":
        with pytest.raises((ConfigInvalid, PolicyInvalid)) as caught:
            loaded(given)
        told = str(caught.value)
        assert file in told
        assert f"line {line}" in told
        assert case["says"] in told
    else:
        told = [a.says for a in loaded(given) if at(a, given.fault)]
        assert any(case["says"] in says for says in told), told


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_corrected_twin_loads_and_is_proved(path: Path, tmp_path: Path) -> None:
    case = tomllib.loads(path.read_text())
    given = written(tmp_path, case["right"])
    assert given.fault is None
    assert not [a for a in loaded(given) if case["says"] in a.says]


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 45
