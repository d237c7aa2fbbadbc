"""Every planted hole in the settings of each agent is found at its line, and hardened
settings have none. The fixtures are data: testkit/agents/AGENT/{holes,hardened}."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from signoff.audit.agents import Ground, audit_agents, known_agents
from signoff.audit.findings import Report, Severity
from signoff.faces.cli import COMMANDS

TESTKIT = Path(__file__).resolve().parents[4] / "testkit" / "agents"
AGENTS = sorted(p.name for p in TESTKIT.iterdir() if p.is_dir())


def settle(kind: str, agent: str, folder: Path) -> Path:
    """A copy of a fixture in which modes are as it says; parents only their owner's."""
    target = folder / "machine"
    shutil.copytree(TESTKIT / agent / kind, target)
    for name in ("home", "project", "root"):
        (target / name).mkdir(exist_ok=True)
    for path in (target, *target.rglob("*")):
        inside = "bin" in path.parts or "opt" in path.parts
        path.chmod(0o755 if path.is_dir() or inside else 0o644)
    planted = target / "planted.toml"
    rows = tomllib.loads(planted.read_text()).get("mode", []) if planted.exists() else []
    for row in rows:
        (target / row["file"]).chmod(int(row["mode"], 8))
    return target


def look(target: Path, agent: str) -> Report:
    ground = Ground(target / "home", target / "project", target / "root")
    return audit_agents(ground, (agent,))


def line_of(target: Path, file: str, at: str) -> int:
    """The line with that text; `2:text` is its second one, an empty text no line at all."""
    number, colon, rest = at.partition(":")
    nth, text = (int(number), rest) if colon and number.isdigit() else (1, at)
    if not text:
        return 0
    lines = (target / file).read_text().splitlines()
    return [n for n, line in enumerate(lines, 1) if text in line][nth - 1]


def test_at_least_seven_agents_have_fixtures_of_both_kinds() -> None:
    assert len(AGENTS) >= 7
    assert set(AGENTS) == set(known_agents())
    for agent in AGENTS:
        assert (TESTKIT / agent / "holes" / "planted.toml").is_file()
        assert (TESTKIT / agent / "hardened").is_dir()


@pytest.mark.parametrize("agent", AGENTS)
def test_every_planted_hole_is_found_where_it_is(agent: str, tmp_path: Path) -> None:
    target = settle("holes", agent, tmp_path)
    planted = tomllib.loads((target / "planted.toml").read_text())["planted"]
    wanted = Counter(
        (row["check"], row["file"], line_of(target, row["file"], row["at"])) for row in planted
    )
    seen = Counter(
        (f.check, str(Path(f.where.file).relative_to(target)), f.where.line)
        for f in look(target, agent).findings
        if f.severity.rank > Severity.LOW.rank
    )
    assert seen == wanted


@pytest.mark.parametrize("agent", AGENTS)
def test_hardened_settings_have_no_finding(agent: str, tmp_path: Path) -> None:
    report = look(settle("hardened", agent, tmp_path), agent)
    assert report.looked_at
    assert [(f.check, f.what, str(f.where)) for f in report.findings] == []


@pytest.mark.parametrize("agent", AGENTS)
def test_no_secret_is_ever_shown(agent: str, tmp_path: Path) -> None:
    report = look(settle("holes", agent, tmp_path), agent)
    shown = repr([f.as_data() for f in report.findings])
    for text in ("planted-token", "planted-key", "planted-pass", "planted-secret", "ghp_", "sk-"):
        assert text not in shown


@pytest.mark.parametrize("agent", AGENTS)
def test_what_to_do_next_is_a_command_there_is(agent: str, tmp_path: Path) -> None:
    ground = Ground(tmp_path / "home", tmp_path / "project", tmp_path / "root")
    report = audit_agents(ground, (agent,))
    steps = [
        f.next_step
        for f in (*report.findings, *look(settle("holes", agent, tmp_path), agent).findings)
    ]
    named = [word for step in steps for word in re.findall(r"\bsignoff ([a-z]+)", step)]
    assert [word for word in named if word not in COMMANDS] == []


def test_where_no_agent_is_the_report_says_that_nothing_was_looked_at(tmp_path: Path) -> None:
    assert audit_agents(Ground(*(tmp_path / n for n in "abc"))).title.endswith(
        "no file of any is here"
    )
