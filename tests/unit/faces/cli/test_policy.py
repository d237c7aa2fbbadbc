"""Policies on the command line: what is proved, compared and found, and what bad input gets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signoff.config import Config, LimitSettings, write_config
from signoff.faces.cli import policy_prove, run_command
from signoff.faces.cli.policy_prove import Progress, weakened
from signoff.policy.proofs import Assumption, Counterexample, Outcome, Premise, Proof

WEEKEND = """// Ours.
@id("weekend")
@why("not on weekends")
forbid (principal is Agent, action in Action::"change", resource in Environment::"production")
when { context.target.uid like "*:table/orders*" && context.weekday >= 6 };
"""
NEVER = '@id("never") @why("x") forbid (principal, action, resource) when { context.weekday > 7 };'
ONE_FOR_ALL = """
[[quorum]]
environment = "production"
undoable = 1
irreversible = 1
"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and no settings anywhere."""
    monkeypatch.setenv("SIGNOFF_CONFIG", str(tmp_path / "none" / "signoff.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = run_command(["policy", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run_command(["policy", *words])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_the_shipped_bundles_are_proved_from_the_command_line(
    alone: Path, capsys: pytest.CaptureFixture[str], profile: str
) -> None:
    code, found = told(capsys, "prove", "--profile", profile)
    assert (code, found["outcome"]) == (0, "proved")
    assert found["counterexamples"] == found["unknown"] == []
    assert len(found["invariants"]) >= 10
    assert found["assumptions"]
    assert found["bundle"] == f"shipped for `{profile}`"


def test_a_proof_lists_what_it_rests_on(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "prove", "shipped")
    assert code == 0
    assert "outcome   proved" in out
    assert "proved    invariant-" in out
    assert "assumes   " in out
    assert "kept by policy/engine.py" in out
    assert "weakened  `s3:SelectObjectContent` is `read`: SQL over one object" in out


def test_a_weakened_row_is_named_with_its_line() -> None:
    rows = [row for row in weakened() if row["file"] == policy_prove.TABLES]
    root = Path(policy_prove.__file__).parents[2]
    lines = (root / policy_prove.TABLES).read_text("utf-8").splitlines()
    assert len(rows) >= 10
    for row in rows:
        around = "\n".join(lines[row["line"] - 4 : row["line"]])
        assert f'operation = "{row["operation"]}"' in around
        assert lines[row["line"] - 1] == "weakens = true"


def test_settings_that_ask_for_too_few_are_refused_with_their_line(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.path is not None
    text = home.path.read_text()
    home.path.write_text(text + ONE_FOR_ALL)
    line = text.count("\n") + 2
    code, out, err = said(capsys, "prove")
    assert code == 4, err
    assert "outcome   violated" in out, err
    assert f"line {line}" in out
    assert "1 person signed" in out
    code, found = told(capsys, "prove", str(home.path))
    assert code == 4
    assert {"file": str(home.path), "line": line} in [
        {"file": p["file"], "line": p["line"]}
        for c in found["counterexamples"]
        for p in c["premises"]
    ]
    home.path.write_text(text)
    assert said(capsys, "prove")[0] == 0


def test_what_nobody_can_tell_is_no_proof(
    alone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = Proof(Outcome.UNKNOWN, unknown=("the solver gave up",))
    monkeypatch.setattr(policy_prove, "proof_of", lambda chosen: proof)
    code, out, _ = said(capsys, "prove")
    assert code == 4
    assert "unknown   the solver gave up" in out
    assert "proved    " not in out


def test_a_counterexample_names_policy_and_setting_and_hides_nothing(
    alone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from signoff.policy.bundle import compile_bundle

    culprit = compile_bundle("team").policies[0]
    found = Counterexample(
        "invariant-x",
        "nothing of the kind",
        {"principal": {"type": "Agent", "id": "a\nb"}},
        (),
        "agent `a\nb` does it",
        (culprit,),
        (Premise("true", "the quorum is 0", "signoff.toml", 7),),
    )
    assumed = (Assumption("clocks tell the time", "a.py", 3, "ntp"),)
    proof = Proof(Outcome.VIOLATED, (found,), assumptions=assumed, invariants=("invariant-x",))
    monkeypatch.setattr(policy_prove, "proof_of", lambda chosen: proof)
    code, out, _ = said(capsys, "prove")
    assert code == 4
    assert "violated  invariant-x: nothing of the kind" in out
    assert "request   agent `a\\nb` does it" in out
    assert f"allowed   by `{culprit.id}` (`{culprit.file}` line {culprit.line})" in out
    assert "set by    the quorum is 0 `signoff.toml` line 7" in out
    assert "assumes   clocks tell the time (`a.py` line 3); kept by ntp" in out
    assert out.index("assumes   ") < out.index("violated  "), "what is to be corrected comes last"


def test_a_difference_is_told_in_rulings(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("weekend.cedar").write_text(WEEKEND)
    code, out, _ = said(capsys, "diff", "shipped", "weekend.cedar")
    assert code == 0
    assert "policy    `weekend` (`weekend.cedar` line 2) is new" in out
    assert "1 of 2    no longer allowed: agents, create, update, delete, replace in" in out
    assert "after     deny by `weekend` (`weekend.cedar` line 2)" in out
    assert "unsigned  hold (1 person), now deny" in out
    code, found = told(capsys, "diff", "weekend.cedar", "shipped")
    assert code == 0
    assert {c["direction"] for c in found["changes"]} == {"newly allowed"}
    example = found["changes"][0]["example"]
    assert (example["before"]["ruling"], example["after"]["ruling"]) == ("deny", "allow")
    assert example["before"]["policies"][0]["file"] == "weekend.cedar"


def test_a_reformatting_changes_no_ruling(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a").mkdir()
    Path("b").mkdir()
    Path("a/own.cedar").write_text(WEEKEND)
    Path("b/other.cedar").write_text(WEEKEND.replace("\n", "\n\n  ").replace("not on", "never on"))
    code, out, _ = said(capsys, "diff", "a", "b")
    assert code == 0
    assert "rulings   no request changes ruling" in out
    assert "text      `weekend` (`b/other.cedar` line" in out
    assert "policy    " not in out


def test_two_settings_are_compared(home: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert home.path is not None
    other = home.path.with_name("other.toml")
    write_config(replace(home, limits=LimitSettings(calls_per_minute=10)), other)
    code, out, _ = said(capsys, "diff", str(home.path), str(other))
    assert code == 0, out
    assert "settings  limits, quorums or grants" in out
    assert "by `rate-calls`" in out
    assert "calls in the last minute" in out


def test_lint_exits_with_6_for_warnings_and_0_for_none(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.cedar").write_text(NEVER)
    code, out, _ = said(capsys, "lint", "own.cedar")
    assert code == 6
    assert "warning   never-matches: `never` (`own.cedar` line 1)" in out
    assert told(capsys, "lint", "own.cedar")[1]["findings"][0]["rule"] == "never-matches"
    Path("own.cedar").write_text(WEEKEND)
    code, out, _ = said(capsys, "lint", "own.cedar")
    assert (code, "findings  none" in out) == (0, True)


def test_a_folder_with_settings_means_those(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.path is not None
    by_folder = told(capsys, "check", str(home.path.parent))[1]
    by_file = told(capsys, "check", str(home.path))[1]
    by_default = told(capsys, "check")[1]
    assert by_folder["digest"] == by_file["digest"] == by_default["digest"]
    assert told(capsys, "check", "--profile", "team")[1]["digest"] != by_default["digest"]


def test_candidate_files_are_judged_under_the_settings_there_are(
    home: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "weekend.cedar"
    file.write_text(WEEKEND)
    found = told(capsys, "check", str(file))[1]
    assert found["files"] == [str(file)]
    assert str(home.path) in found["bundle"]
    assert home.path is not None
    write_config(replace(home, policies=(file,)), home.path)
    assert told(capsys, "check")[1]["digest"] == found["digest"]


BAD = {
    "not-cedar.cedar": (b"permit principal;", "not a Cedar policy"),
    "no-end.cedar": (b'@id("a")\n@why("b")\npermit (principal, action, resource)', "never ends"),
    "open.cedar": (b'@id("a', "a string never ends"),
    "latin.cedar": ("@id(\"é\")".encode("latin-1"), "not UTF-8"),
    "huge.cedar": (b"//" + b"x" * (1 << 20), "at most 1,048,576"),
    "deep.cedar": (
        b'@id("a") @why("b") permit (principal, action, resource) when { '
        + b"(" * 90_000
        + b"true"
        + b")" * 90_000
        + b" };",
        "levels deep",
    ),
    "unknown.cedar": (
        b'@id("a") @why("b") permit (principal, action, resource) when { context.nope };',
        "`a` is not valid",
    ),
    "policy.txt": (b"", "policies end in `.cedar`"),
    "bad.toml": (b"= 3", "invalid"),
    "version.toml": (b'version = 9\nprofile = "team"\nstate_dir = "x"\n', "known here"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["check", "prove", "lint", "diff"])
@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input_says_what_and_where_and_exits_with_4(
    alone: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    content, why = BAD[name]
    Path(name).write_bytes(content)
    words = [command, "shipped", name] if command == "diff" else [command, name]
    code, out, err = said(capsys, *words)
    assert (code, out) == (4, "")
    assert f"`{name}`" in err or f"/{name}`" in err
    assert why in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["check", "missing.cedar"], "no such file"),
        (["prove", "missing.toml"], "does not exist"),
        (["lint", "empty"], "nothing to load in `empty`"),
        (["check", "loop.cedar"], "too many levels of symbolic links"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(
    alone: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    Path("empty").mkdir()
    Path("loop.cedar").symlink_to("loop.cedar")
    code, _, err = said(capsys, *words)
    assert code == 4
    assert why in err


def test_more_files_than_anyone_has_are_refused(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("many").mkdir()
    for n in range(1_001):
        Path(f"many/{n}.cedar").touch()
    code, _, err = said(capsys, "check", "many")
    assert code == 4
    assert "1,001 policy files in `many`" in err


def test_a_big_set_is_announced_on_stderr(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("big.cedar").write_text("// " + "x" * 250_000 + "\n" + WEEKEND)
    code, out, err = said(capsys, "check", "big.cedar")
    assert code == 0
    assert "bytes of policies" in err
    assert "bytes of policies" not in out


def test_settings_and_a_profile_contradict(
    home: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "prove", str(home.path), "--profile", "solo")
    assert code == 1
    assert "leave --profile out" in err


def test_long_work_is_told_on_stderr_and_short_work_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(policy_prove.time, "monotonic", lambda: now[0])
    progress = Progress("kinds of request proved")
    for done, at in enumerate((0.5, 0.9, 1.5, 2.0, 6.0, 6.6)):
        now[0] = at
        progress(done, 6)
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == (
        "signoff: kinds of request proved: 2 of 6\nsignoff: kinds of request proved: 5 of 6\n"
    )
