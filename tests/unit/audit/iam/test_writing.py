from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from signoff.audit.iam.smaller import Smaller
from signoff.audit.iam.writing import write_policies
from signoff.model.errors import SignoffError

PAGE: dict[str, object] = {"Version": "2012-10-17", "Statement": []}
POLICIES = Smaller((PAGE, PAGE), PAGE)


def test_policies_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    written = write_policies(tmp_path / "out", "agent/../x", POLICIES, force=False)
    assert [p.name for p in written] == [
        "agent____x.managed-1.json",
        "agent____x.managed-2.json",
        "agent____x.session.json",
    ]
    assert {stat.S_IMODE(p.stat().st_mode) for p in written} == {0o600}
    assert all(json.loads(p.read_text()) == PAGE for p in written)
    assert all(p.parent == tmp_path / "out" for p in written)


def test_a_file_that_is_there_is_never_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.session.json").write_text("mine")
    with pytest.raises(SignoffError, match="is there already"):
        write_policies(tmp_path, "a", POLICIES, force=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.session.json"]
    write_policies(tmp_path, "a", POLICIES, force=True)
    assert json.loads((tmp_path / "a.session.json").read_text()) == PAGE


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.managed-1.json").symlink_to(tmp_path / "precious")
    with pytest.raises(SignoffError):
        write_policies(out, "a", POLICIES, force=False)
    write_policies(out, "a", POLICIES, force=True)
    assert (tmp_path / "precious").read_text() == "mine"
