"""Signing happens at a terminal, over what was shown, and nowhere else."""

from __future__ import annotations

import base64
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from signoff.approvals.signatures import Verifiers
from signoff.config import Config, load_config, write_config
from signoff.faces.cli.acts import _exactly
from signoff.faces.cli.decide import _next, checked_payload
from signoff.model.decision import Verdict
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey
from signoff.model.values import canonical

from .conftest import CARD, HOLD, PASSPHRASE, Office

SIGNOFF = [sys.executable, "-m", "signoff"]


def typed(command: list[str], *lines: tuple[str, str]) -> tuple[int, str]:
    """Run a command at a terminal, type each line at its prompt; exit code and screen."""
    child = pexpect.spawn(
        SIGNOFF[0], [*SIGNOFF[1:], *command], env=dict(os.environ), encoding="utf-8", timeout=10
    )
    screen = ""
    for prompt, text in lines:
        child.expect(prompt)
        screen += child.before + child.after
        child.sendline(text)
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0), screen + child.before


def test_a_human_reads_the_card_and_signs_at_a_terminal(office: Office) -> None:
    code, screen = typed(["approve", HOLD.ticket, "--as", "bo"], ("passphrase of `bo`", PASSPHRASE))
    assert code == 0, screen
    assert office.signed == [("bo", "approve")]
    for part in ("APPROVE", "table/orders", "<= 9 items", "CANNOT be taken back", "streams are"):
        assert part in screen
    assert "signs     sha256 " in screen
    assert PASSPHRASE not in screen
    code, screen = typed(["reject", HOLD.ticket, "--as", "mila"], ("passphrase", PASSPHRASE))
    assert office.signed[1] == ("mila", "reject")


def test_a_wrong_passphrase_signs_nothing(office: Office) -> None:
    code, screen = typed(["approve", HOLD.ticket, "--as", "bo"], ("passphrase", "another one!!"))
    assert code == 2
    assert "does not open" in screen
    assert office.signed == []


def test_without_a_terminal_nothing_is_signed_even_when_the_passphrase_is_piped(
    office: Office,
) -> None:
    ran = subprocess.run(
        [*SIGNOFF, "approve", HOLD.ticket, "--as", "bo"],
        input=f"{PASSPHRASE}\n",
        text=True,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "there is no terminal" in ran.stderr
    assert office.signed == []


def test_a_card_that_is_not_the_signed_one_is_never_signed(office: Office) -> None:
    office.card["effects"] = []
    code, screen = typed(["approve", HOLD.ticket, "--as", "bo"])
    assert code == 2
    assert "not what hold" in screen
    assert office.signed == []


@pytest.mark.parametrize(
    ("by_agent", "whose"), [(True, "the agent repeats its call"), (False, "whoever asked gives")]
)
def test_what_was_approved_is_repeated_by_whoever_asked(by_agent: bool, whose: str) -> None:
    assert whose in _next("H-1", 0, Verdict.APPROVE, by_agent=by_agent)
    assert _next("H-1", 1, Verdict.APPROVE, by_agent=by_agent).startswith("another human")


@pytest.mark.parametrize(
    ("ticket", "verdict", "card"),
    [
        ("H-other", Verdict.APPROVE, CARD),
        (HOLD.ticket, Verdict.REJECT, CARD),
        (HOLD.ticket, Verdict.APPROVE, {**CARD, "safer": "x"}),
    ],
)
def test_the_payload_must_be_about_what_was_asked(
    ticket: str, verdict: Verdict, card: dict[str, object]
) -> None:
    text = canonical(HOLD.payload(Verdict.APPROVE)).decode()
    assert checked_payload(text, {"card": CARD}, HOLD.ticket, Verdict.APPROVE)
    with pytest.raises(SignOffInvalid):
        checked_payload(text, {"card": card}, ticket, verdict)


def test_key_new_prints_the_shell_variables_a_client_needs(office: Office) -> None:
    code, screen = typed(
        ["key", "new", "--agent", "kit", "--operator", "ana", "--ttl", "2h"],
        ("passphrase of `ana`", PASSPHRASE),
    )
    assert code == 0, screen
    assert office.acts == [("key", {"agent": "kit", "operator": "ana", "ttl_ms": 7_200_000})]
    assert "signs     key: agent kit, operator ana, for 2 h as `ana`" in screen
    assert "export AWS_ACCESS_KEY_ID=AKIARUN" in screen
    assert """export AWS_SECRET_ACCESS_KEY='it'"'"'s'""" in screen
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:4690" in screen
    assert "export SIGNOFF_RUN=R-2" in screen


def test_lifting_lowering_and_undoing_are_signed_and_keep_their_exit_codes(office: Office) -> None:
    signs = ("passphrase of `bo`", PASSPHRASE)
    assert typed(["freeze", "--lift", "--as", "bo"], signs)[0] == 0
    assert typed(["policy", "lower", "container", "--as", "bo"], signs)[0] == 3
    code, screen = typed(["undo", "A-1", "--as", "bo"], signs)
    assert code == 1
    assert "s3://a/b was changed since" in screen
    assert [name for name, _ in office.acts] == ["lift", "lower", "undo"]
    assert office.acts[2][1]["plan"] == "ff"


def test_a_dry_run_of_an_undo_signs_nothing(office: Office) -> None:
    code, screen = typed(["undo", "--run", "R-1", "--dry-run"])
    assert code == 0
    assert "A-1" in screen
    assert office.acts == []


def test_an_ssh_key_signs_through_ssh_keygen(office: Office, home: Config, tmp_path: Path) -> None:
    file = tmp_path / "id"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)], check=True
    )
    public = EnrolledKey.parse(Path(f"{file}.pub").read_text())
    bo = home.humans[1]
    people = (home.humans[0], dataclasses.replace(bo, keys=(*bo.keys, public)), home.humans[2])
    office.config = dataclasses.replace(home, humans=people)
    assert home.path is not None
    write_config(office.config, home.path)
    code, screen = typed(["approve", HOLD.ticket, "--as", "bo", "--key", str(file)])
    assert code == 0, screen
    assert office.signed == [("bo", "approve")]


def test_a_key_that_is_not_enrolled_does_not_sign(office: Office, home: Config) -> None:
    assert home.path is not None
    other = str(home.path.parent / "keys" / "ana.key")
    code, screen = typed(["approve", HOLD.ticket, "--as", "bo", "--key", other])
    assert code == 2
    assert "not enrolled for `bo`" in screen


def test_init_asks_and_makes_the_key_of_a_human(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "etc" / "signoff.toml"
    monkeypatch.setenv("SIGNOFF_CONFIG", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # Nobody answers there, so the account is asked for.
    profile = "[profile ops]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:1\n"
    (tmp_path / "aws").write_text(profile)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    code, screen = typed(
        ["init", "aws"],
        ("AWS profile", "ops"),
        ("AWS account", "123456789012"),
        ("regions.*eu-west-1", ""),
        ("what is production", "prod"),
        ("what is production", "tag=stage=prod"),
        ("what is staging", ""),
        ("what is development", "name=dev-*"),
        ("who signs", "ana"),
        ("a new passphrase", "short"),
        ("a new passphrase", PASSPHRASE),
        ("the same again", PASSPHRASE + "!"),
        ("a new passphrase", PASSPHRASE),
        ("the same again", PASSPHRASE),
    )
    assert code == 0, screen
    config = load_config(path)
    assert config.aws.profile == "ops"
    assert config.aws.regions == ("eu-west-1",)
    assert config.aws.endpoint == "http://127.0.0.1:1"
    assert config.state_dir == tmp_path / "state" / "signoff"
    assert config.place_rules() == (
        {"environment": "production", "tag": "stage=prod"},
        {"environment": "development", "name": "dev-*"},
    )
    assert config.humans[0].name == "ana"
    key = path.parent / "keys" / "ana.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert PASSPHRASE not in screen


def test_production_is_observed_only_when_two_humans_signed_it(home: Config) -> None:
    asked = ["policy", "observe", "--env", "production", "--until", "2099-12-31"]
    code, screen = typed([*asked, "--as", "ana"], ("passphrase", PASSPHRASE))
    assert code == 3, screen
    row = next(line for line in screen.splitlines() if line.startswith("ana SHA256:")).strip()
    code, screen = typed([*asked, "--as", "ana", "--signed", row], ("passphrase", PASSPHRASE))
    assert code == 3, screen
    code, screen = typed([*asked, "--as", "bo", "--signed", row], ("passphrase", PASSPHRASE))
    assert code == 0, screen
    found = load_config(home.path).observe
    assert found.environments == ("production",)
    message = canonical(found.message())
    for text, human in zip(found.signed, home.humans[:2], strict=True):
        name, key, signature = text.split(" ")
        assert (name, key) == (human.name, human.keys[0].fingerprint)
        Verifiers().verify(human.keys[0], message, base64.b64decode(signature))


def test_an_action_in_doubt_is_settled_by_a_signature(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def settle(proof: object, **given: object) -> dict[str, object]:
        office.acts.append(("settle", given))
        return {"state": "settled"}

    monkeypatch.setattr(office, "settle", settle)
    signs = ("passphrase of `bo`", PASSPHRASE)
    code, screen = typed(["settle", "A-1", "failed", "--as", "bo"], signs)
    assert code == 0, screen
    assert office.acts == [("settle", {"action": "A-1", "state": "failed"})]


def test_what_is_not_production_is_observed_with_one_signature(home: Config) -> None:
    asked = ["policy", "observe", "--env", "staging", "--until", "2099-12-31", "--as", "ana"]
    code, screen = typed(asked, ("passphrase", PASSPHRASE))
    assert code == 0, screen
    assert load_config(home.path).observe.environments == ("staging",)


@pytest.mark.parametrize(
    ("ms", "shown"), [(90_000, "90 s"), (5_400_000, "90 min"), (172_800_000, "2 d"), (1, "1 ms")]
)
def test_a_length_of_time_that_is_signed_is_never_rounded(ms: int, shown: str) -> None:
    assert _exactly(ms) == shown


def test_nobody_types_a_passphrase_for_an_undo_of_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: Office, action: str, run: str, since_ms: int) -> dict[str, object]:
        return {"digest": "ff", "actions": []}

    monkeypatch.setattr(Office, "undo_plan", nothing)
    code, screen = typed(["undo", "--run", "R-1", "--as", "bo"])
    assert code == 0
    assert "nothing left" in screen
    assert office.acts == []


def test_a_day_that_is_none_is_refused_before_anything_is_signed(office: Office) -> None:
    code, screen = typed(["policy", "observe", "--env", "staging", "--until", "tomorrow"])
    assert code == 1
    assert "`tomorrow` is not a day such as 2026-12-31" in screen
    assert "passphrase" not in screen
