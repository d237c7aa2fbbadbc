"""`signoff audit aws`: what it is given, what it says of bad input, how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from signoff.faces.cli import run_command

from .history import write_history

NARROW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}],
}
WIDE: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}],
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGNOFF_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)


def put(name: str, value: object) -> str:
    Path(name).write_text(value if isinstance(value, str) else json.dumps(value))
    return name


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command(["audit", "aws", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_narrow_policy_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "--policy", put("narrow.json", NARROW))
    assert code == 0
    assert "no findings" in out


def test_a_wide_policy_is_a_table_with_places_and_next_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = ran(capsys, "--policy", put("wide.json", WIDE))
    assert code == 6
    first = out.splitlines()[1]
    assert first.startswith("critical")
    assert "`dynamodb:DeleteTable`" in out
    assert "(wide.json:1)" in out
    assert "next: " in out


@pytest.mark.parametrize(("tolerance", "code"), [("none", 6), ("medium", 6), ("high", 6)])
def test_a_critical_finding_is_above_every_tolerance(
    capsys: pytest.CaptureFixture[str], tolerance: str, code: int
) -> None:
    given = ("--policy", put("wide.json", WIDE), "--tolerance", tolerance)
    assert ran(capsys, *given)[0] == code


def test_the_settings_say_what_is_tolerated_when_the_command_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = {**NARROW, "Statement": [{**WIDE["Statement"][0], "Action": "lambda:InvokeFunction"}]}
    policy = put("execute.json", read)
    assert ran(capsys, "--policy", policy)[0] == 6
    monkeypatch.setattr("signoff.faces.cli.audit._configured", lambda: "medium")
    assert ran(capsys, "--policy", policy)[0] == 0
    assert ran(capsys, "--policy", policy, "--tolerance", "low")[0] == 6


def test_json_and_page_say_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out, _ = ran(capsys, "--policy", put("wide.json", WIDE), "--json", "--html", "page.html")
    told = json.loads(out)
    page = Path("page.html").read_text()
    assert told["counts"]["critical"] == 1
    assert told["verdict"] in page
    assert "dynamodb:DeleteTable" in page


def test_a_boundary_an_scp_and_a_session_policy_limit_the_policy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide, narrow = put("wide.json", WIDE), put("narrow.json", NARROW)
    for option in ("--boundary", "--scp", "--session"):
        assert ran(capsys, "--policy", wide, option, narrow)[0] == 0, option


def test_a_manifest_names_levels_of_the_organization(capsys: pytest.CaptureFixture[str]) -> None:
    put("wide.json", WIDE)
    put("narrow.json", NARROW)
    open_one = 'role = "arn:aws:iam::111122223333:role/a"\npolicies = ["wide.json"]\n'
    assert ran(capsys, "--manifest", put("open.toml", open_one))[0] == 6
    closed = open_one + 'scps = [["wide.json"], ["narrow.json"]]\n'
    assert ran(capsys, "--manifest", put("closed.toml", closed))[0] == 0


def test_the_settings_map_environments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {**WIDE, "Statement": [{**WIDE["Statement"][0], "Resource": STAGING}]}
    rows = '[[map]]\nenvironment = "staging"\nname = "test-*"\n'
    monkeypatch.setattr("signoff.faces.cli.audit_aws._settings", lambda: Mapped(rows))
    code, out, _ = ran(capsys, "--policy", put("staging.json", only), "--tolerance", "medium")
    assert "in staging" in out
    assert "in production" not in out
    assert code == 0


STAGING = "arn:aws:dynamodb:*:*:table/test-*"


class Mapped:
    """The part of the settings that maps environments."""

    def __init__(self, text: str) -> None:
        import tomllib

        self.rows = tomllib.loads(text)["map"]

    def place_rules(self) -> Any:
        return tuple(self.rows)

    def is_production(self, name: str) -> bool:
        return name == "production"


def test_written_files_are_named_and_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    used = put("used.txt", "dynamodb:GetItem\n")
    given = ("--policy", put("wide.json", WIDE), "--used", used, "--write", "out")
    code, out, _ = ran(capsys, *given)
    assert code == 6
    assert "written   out/wide.managed-1.json" in out
    code, _, err = ran(capsys, *given)
    assert code == 1
    assert "is there already" in err
    assert ran(capsys, *given, "--force")[0] == 6


def test_what_the_ledger_shows_was_used_is_what_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ledger = tmp_path / "state" / "ledger.db"
    ledger.parent.mkdir()
    asyncio.run(write_history(ledger))
    policy = put("wide.json", WIDE)
    given = ("--policy", policy, "--ledger", str(ledger), "--write", "out")
    assert ran(capsys, *given)[0] == 6
    (statement,) = json.loads(Path("out/wide.managed-1.json").read_text())["Statement"]
    assert statement["Action"] == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert statement["Resource"] == "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


BAD: list[tuple[str, object, str, str]] = [
    ("--policy", "{", "is not JSON", "line 1, column 2"),
    ("--policy", "\x00\x01", "is not JSON", "line 1"),
    ("--policy", {"Version": "2030-01-01", "Statement": []}, "cannot be read", "2012-10-17"),
    ("--policy", {"Version": "2012-10-17", "Statement": [{}]}, "cannot be read", "Effect"),
    ("--policy", " " * 1_048_577, "is too large", "1,048,576"),
    ("--dump", [], "is no account authorization dump", "object"),
    ("--dump", {"RoleDetailList": [{}]}, "is no account", "`RoleDetailList[0]`"),
    ("--manifest", "x = =", "is not TOML", "line 1"),
    ("--manifest", "roles = 3", "has a wrong `roles`", "policies"),
    ("--manifest", 'scps = ["a"]', "has wrong `scps`", "levels"),
]


@pytest.mark.parametrize(("option", "content", "what", "why"), BAD)
def test_bad_input_says_what_where_and_what_next(
    capsys: pytest.CaptureFixture[str], option: str, content: object, what: str, why: str
) -> None:
    code, out, err = ran(capsys, option, put("given.json", content))
    assert code == 1
    assert out == ""
    assert "`given.json`" in err
    assert what in err
    assert why in err
    assert "next: " in err
    assert "Traceback" not in err


def test_bytes_that_are_no_text_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("given.json").write_bytes(b"\xff\xfe{}")
    code, _, err = ran(capsys, "--policy", "given.json")
    assert code == 1
    assert "is not UTF-8" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "there is nothing to audit"),
        (("--boundary", "b.json"), "belong to a --policy"),
        (("--policy", "missing.json"), "cannot use `missing.json`"),
        (("--policy", "wide.json", "--write", "out"), "nothing to write"),
        (("--policy", "wide.json", "--run", "R-1"), "add --ledger"),
        (("--policy", "wide.json", "--ledger", "missing.db"), "ledger"),
        (("--dump", "account.json", "--role", "nobody"), "no role `nobody`"),
    ],
)
def test_options_that_do_not_fit_say_so(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    put("wide.json", WIDE)
    put("account.json", {"RoleDetailList": []})
    code, out, err = ran(capsys, *arguments)
    assert code not in (0, 6)
    assert out == ""
    assert says in err


def test_a_file_that_never_ends_is_not_read_for_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.faces.cli.audit_aws.READ_MOST", 1_000)
    code, _, told = ran(capsys, "--policy", "/dev/zero")
    assert code == 1
    assert "too large" in told
