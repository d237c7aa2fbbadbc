"""The whole of it at real terminals: init, up, a run key, a sandboxed agent with boto3, a
sign-off, the same call once, undo, halt; against moto."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from moto.server import ThreadedMotoServer

from signoff.approvals.keys import create_key
from signoff.gates.run import probe

pytestmark = pytest.mark.real
PASSPHRASE = "four unrelated words here"
SIGNOFF = [sys.executable, "-m", "signoff"]
CREATE = """
import boto3, botocore
try:
    boto3.client("s3").create_bucket(
        Bucket="b-1", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    print("created")
except botocore.exceptions.ClientError as error:
    print("no:", error)
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings of three humans and a daemon in front of moto; the owner's shell variables."""
    moto = ThreadedMotoServer(port=0, verbose=False)
    moto.start()
    _, port = moto.get_host_and_port()
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SIGNOFF_"))},
        "SIGNOFF_CONFIG": str(tmp_path / "etc" / "signoff.toml"),
        "NO_COLOR": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    (tmp_path / "etc" / "keys").mkdir(parents=True, mode=0o700)
    humans = []
    for name in ("ana", "bo", "mila"):
        key = create_key(PASSPHRASE, cost=2**14)
        (tmp_path / "etc" / "keys" / f"{name}.key").write_text(key.encrypted)
        humans += ["--human", f"{name}={key.public}"]
    given = ["--credentials", "environment", "--region", "eu-west-1", "--port", "0", "--yes"]
    given += ["--endpoint", f"http://127.0.0.1:{port}", "--state-dir", str(tmp_path / "state")]
    subprocess.run([*SIGNOFF, "init", "aws", *given, *humans], env=variables, check=True)
    daemon = subprocess.Popen([*SIGNOFF, "up"], env=variables, stderr=subprocess.PIPE, text=True)
    assert daemon.stderr is not None
    assert any("people reach it" in line for line in daemon.stderr)
    yield variables
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    daemon.stderr.close()
    moto.stop()


def call(shell: dict[str, str], *command: str) -> tuple[int, str]:
    ran = subprocess.run(
        [*SIGNOFF, *command], env=shell, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout


def signed(shell: dict[str, str], *command: str) -> tuple[int, str]:
    child = pexpect.spawn(
        SIGNOFF[0], [*SIGNOFF[1:], *command], env=shell, encoding="utf-8", timeout=60
    )
    child.expect("passphrase of")
    before = child.before
    child.sendline(PASSPHRASE)
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0), before + child.before


def test_a_held_call_runs_once_after_its_sign_off_and_is_taken_back(
    shell: dict[str, str], tmp_path: Path
) -> None:
    code, told = signed(shell, "key", "new", "--agent", "kit", "--operator", "ana")
    assert code == 0, told
    agent = {k: v for k, v in shell.items() if not k.startswith("AWS_")}
    for line in told.splitlines():
        if line.startswith("export "):
            name, _, text = line.removeprefix("export ").strip().partition("=")
            agent[name] = shlex.split(text)[0]
    work = tmp_path / "work"
    work.mkdir()
    level = [] if probe().works else ["--advisory"]
    start = ["run", *level, "--work", str(work), "--", sys.executable, "-c", CREATE]
    assert "ask a peer of ana: signoff grant R-" in call(agent, *start)[1]
    run = agent["SIGNOFF_RUN"]
    bounds = ("--changes", "1", "--hours", "0.5", "--why", "one bucket")
    code, told = signed(shell, "grant", run, *bounds, "--as", "ana")
    assert code == 2, "the operator granted to their own agent"
    code, told = signed(shell, "grant", run, *bounds, "--as", "bo")
    assert code == 0, told
    assert "ticket" in call(agent, *start)[1]
    (hold,) = json.loads(call(shell, "holds", "--json")[1])["holds"]
    ticket = hold["ticket"]
    assert call(agent, "ticket", ticket)[0] == 3
    code, told = signed(shell, "approve", ticket, "--as", "ana")
    assert code == 2, "the operator signed for their own agent"
    code, told = signed(shell, "approve", ticket, "--as", "bo")
    assert code == 0, told
    assert call(agent, "ticket", ticket)[0] == 0
    assert call(agent, *start) == (0, "created\n")
    assert "1 of 1 used" in call(shell, "grants", "--all")[1]
    code, told = signed(shell, "undo", "--run", agent["SIGNOFF_RUN"], "--as", "ana")
    assert code == 0, told
    assert call(shell, "halt", "--run", agent["SIGNOFF_RUN"])[0] == 0
    assert "halted" in call(agent, *start)[1]
    marks = [json.loads(line)["mark"] for line in call(shell, "log", "--json")[1].splitlines()]
    assert marks.count("started") == 2
    assert marks.count("undone") == 1
    assert call(shell, "verify")[0] == 0
    assert call(shell, "doctor")[0] == 0
