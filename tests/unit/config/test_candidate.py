"""Reading a configuration from disk, and how the files differ from what is sealed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from signoff.approvals.keys import create_key
from signoff.config import drift, load_config, read_texts, stamp
from signoff.model.errors import ConfigInvalid, PolicyInvalid

KEY = create_key("four unrelated words here", cost=2**14).public


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Settings that name one policy."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    (folder / "own.cedar").write_text("// a policy\n")
    file = folder / "signoff.toml"
    file.write_text(
        f'profile = "solo"\nstate_dir = "{tmp_path}/state"\n'
        f'[[human]]\nname = "ana"\nkeys = ["{KEY}"]\n[policies]\nextra = ["own.cedar"]\n'
    )
    for each in folder.iterdir():
        each.chmod(0o644)
    return file


def test_every_file_is_read_with_the_settings(path: Path) -> None:
    texts = read_texts(path)
    assert texts.files == {str(path.with_name("own.cedar")): "// a policy\n"}
    assert texts.config().humans == load_config(path).humans


def not_utf8(path: Path) -> None:
    path.write_bytes(b"\xff")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def large(path: Path) -> None:
    path.write_text("#" * ((1 << 20) + 2))


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


CHANGES = [not_utf8, pipe, directory, large, open_to_all, Path.unlink]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["signoff.toml", "own.cedar"])
def test_what_cannot_be_trusted_or_read_is_no_candidate_and_differs(
    path: Path, name: str, change: object
) -> None:
    sealed = read_texts(path)
    assert drift(sealed).lines == ()
    before = stamp(sealed)
    assert callable(change)
    change(path.with_name(name))
    with pytest.raises((ConfigInvalid, PolicyInvalid)):
        read_texts(path)
    assert stamp(sealed) != before
    (line,) = drift(sealed).lines
    assert name in line


def test_each_state_of_the_files_has_a_digest_of_its_own(path: Path) -> None:
    sealed = read_texts(path)
    seen = {drift(sealed).digest}
    policy = path.with_name("own.cedar")
    for text in ("// another\n", "// a third\n"):
        policy.write_text(text)
        seen.add(drift(sealed).digest)
    policy.unlink()
    seen.add(drift(sealed).digest)
    assert len(seen) == 4
    policy.write_text("// a policy\n")
    assert drift(sealed).digest == ""
