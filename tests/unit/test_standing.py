"""Which configuration is in force: state, seal and files, in every combination that counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from signoff.approvals.keys import create_key
from signoff.config import ConfigurationTexts, Seal, load_config, read_seal, read_texts, write_seal
from signoff.model.errors import ConfigInvalid, ProofInvalid
from signoff.model.values import frozen
from signoff.standing import (
    AGAIN,
    FOUND,
    INIT,
    SINCE_INIT,
    first_settings,
    sealed_on_disk,
    standing,
)
from signoff.store.contracts import SealedConfiguration

PUBLIC = create_key("four unrelated words here", cost=2**14).public
KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Settings on disk, nothing sealed."""
    file = tmp_path / "signoff.toml"
    file.write_text(
        f'profile = "solo"\nstate_dir = "{tmp_path}/state"\n'
        f'[[human]]\nname = "ana"\nkeys = ["{PUBLIC}"]\n'
    )
    file.chmod(0o644)
    return file


def row(texts: ConfigurationTexts, at: int) -> SealedConfiguration:
    return SealedConfiguration(at, 5, texts.digest, "asked for", frozen(**texts.as_data()))


def seal(path: Path, texts: ConfigurationTexts, at: int) -> None:
    write_seal(Seal.of(load_config(path), texts, at).signed(KEY))


def edited(texts: ConfigurationTexts) -> ConfigurationTexts:
    return replace(texts, settings=texts.settings + "[limits]\nchanges_per_minute = 7\n")


def test_a_first_start_takes_the_files_and_says_where_they_are_from(path: Path) -> None:
    texts = read_texts(path)
    assert standing(load_config(path), None, KEY).how == FOUND
    seal(path, texts, -1)
    first = standing(load_config(path), None, KEY)
    assert (first.how, first.to_seal, first.doubtful) == (INIT, True, False)
    path.write_text(edited(texts).settings)
    changed = standing(load_config(path), None, KEY)
    assert (changed.how, changed.doubtful) == (SINCE_INIT, True)


def test_what_is_sealed_is_in_force_whatever_the_files_say(path: Path) -> None:
    texts = read_texts(path)
    seal(path, texts, 3)
    path.write_text("garbage")
    start = first_settings(path)
    assert start.state_dir == path.parent / "state"
    found = standing(start, row(texts, 3), KEY)
    assert found.texts == texts
    assert found.config.humans[0].name == "ana"
    assert found.warning == ""


def test_a_row_newer_than_the_seal_is_a_crash_before_the_seal_was_written(path: Path) -> None:
    texts = read_texts(path)
    seal(path, texts, 3)
    newer = standing(first_settings(path), row(edited(texts), 9), KEY)
    assert newer.config.limits.changes_per_minute == 7
    assert sealed_on_disk(newer, KEY) == ""
    found = read_seal(path)
    assert found is not None
    assert (found.at, found.digest) == (9, edited(texts).digest)


@pytest.mark.parametrize("at", [2, 3])
def test_another_row_at_or_before_the_seal_was_put_back(path: Path, at: int) -> None:
    texts = read_texts(path)
    seal(path, texts, 3)
    with pytest.raises(ProofInvalid, match="put back"):
        standing(first_settings(path), row(edited(texts), at), KEY)
    assert standing(first_settings(path), row(texts, at), KEY).texts == texts


def test_a_state_that_is_gone_lets_only_the_sealed_files_begin_again(path: Path) -> None:
    texts = read_texts(path)
    seal(path, texts, 3)
    assert standing(first_settings(path), None, KEY).how == AGAIN
    path.write_text(edited(texts).settings)
    with pytest.raises(ProofInvalid, match="is gone"):
        standing(first_settings(path), None, KEY)


def test_a_missing_seal_is_a_warning_and_a_foreign_one_is_refused(path: Path) -> None:
    texts = read_texts(path)
    assert "was missing" in standing(load_config(path), row(texts, 3), KEY).warning
    seal(path, texts, 3)
    with pytest.raises(ConfigInvalid, match="not written with this vault key"):
        standing(first_settings(path), row(texts, 3), b"o" * 32)


def test_a_row_whose_texts_are_others_than_its_digest_is_refused(path: Path) -> None:
    texts = read_texts(path)
    forged = replace(row(texts, 3), content=frozen(**edited(texts).as_data()))
    with pytest.raises(ProofInvalid, match="not what its receipt names"):
        standing(load_config(path), forged, KEY)
