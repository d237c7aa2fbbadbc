"""Attempts to read what only the daemon knows: its memory, its variables, the vault.

The attacker is a process of the daemon's own user without any privilege. As root, that is a
process that has dropped every capability, because root's capabilities pass every check.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attacks.conftest import MakeScene, Scene
from signoff.demo.children import bare_environment

UNPRIVILEGED = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)          # capset(2), version 3
assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
"""
OPEN = UNPRIVILEGED + "print(flush=True); input()"
CLOSED = UNPRIVILEGED + (
    "from signoff.faces.daemon import _keep_memory_private\n"
    "_keep_memory_private(); print(flush=True); input()"
)
LOOK = """
pid, got = sys.argv[1], []
def attempt(name, act):
    try:
        act()
        got.append(name)
    except OSError:
        pass
def memory():
    for line in open(f"/proc/{pid}/maps"):
        place, flags = line.split()[:2]
        if flags.startswith("rw"):
            with open(f"/proc/{pid}/mem", "rb") as file:
                file.seek(int(place.split("-")[0], 16))
                file.read(16)
            return
def trace():
    if libc.ptrace(16, int(pid), 0, 0) != 0:            # PTRACE_ATTACH
        raise OSError
    os.waitpid(int(pid), 0)
    libc.ptrace(17, int(pid), 0, 0)                     # PTRACE_DETACH
attempt("environ", lambda: open(f"/proc/{pid}/environ", "rb").read(1))
attempt("memory", memory)
attempt("trace", trace)
attempt("files", lambda: os.readlink(f"/proc/{pid}/fd/0"))
attempt("root", lambda: os.listdir(f"/proc/{pid}/root/"))
print(json.dumps(got))
"""


def snoop(pid: int) -> list[str]:
    """What an unprivileged process of the same user gets out of a process."""
    ran = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED + LOOK, str(pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [str(name) for name in json.loads(ran.stdout)]


@pytest.mark.parametrize(
    ("program", "open_book"), [(OPEN, True), (CLOSED, False)], ids=["without", "with"]
)
def test_a_process_is_an_open_book_to_its_own_user_unless_it_closes_itself(
    program: str, open_book: bool
) -> None:
    command = [sys.executable, "-c", program]
    victim = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bare_environment()
    )
    try:
        assert victim.stdout is not None
        victim.stdout.readline()
        got = snoop(victim.pid)
        assert ("environ" in got) == open_book
        assert open_book or got == []
    finally:
        victim.communicate(b"\n")


def test_the_daemons_memory_variables_and_files_are_closed_to_its_own_user(scene: Scene) -> None:
    process = scene.guard.process
    assert process is not None
    assert snoop(process.pid) == []


def test_captured_content_lies_nowhere_in_the_clear(own: MakeScene) -> None:
    scene = own()
    secret = "a-customer-nobody-may-read"
    scene.aws.tables["orders"]["first"] = {"id": {"S": "first"}, "v": {"S": secret}}
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    scene.guard.stop()
    files = [p for p in scene.guard.folder.rglob("*") if p.is_file()]
    assert len(files) > 5
    assert [p for p in files if secret.encode() in p.read_bytes()] == []


def test_no_file_of_the_state_holds_a_run_keys_secret(own: MakeScene) -> None:
    scene = own()
    scene.dynamodb("ListTables")
    role = "arn:aws:iam::123456789012:role/x"
    child = scene.client("sts").assume_role(RoleArn=role, RoleSessionName="s")["Credentials"]
    scene.guard.stop()
    secrets = (scene.key["secret"], child["SecretAccessKey"], child["SessionToken"])
    for path in scene.guard.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [s for s in secrets if s.encode() in content], path


def test_the_files_of_the_state_are_the_owners_alone(scene: Scene) -> None:
    config = scene.guard.config
    private = [config.ledger_path, config.ledger.key_file, config.vault.key_file]
    private += [p for p in config.vault_dir.rglob("*") if p.is_file()]
    for path in private:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_keys_do_not_lie_beside_what_they_open(scene: Scene) -> None:
    config = scene.guard.config
    for key in (config.ledger.key_file, config.vault.key_file):
        assert not key.is_relative_to(config.state_dir)
    assert not config.high_water.is_relative_to(config.state_dir)


@pytest.mark.parametrize("target", ["/.signoff/ticket/H-1/../../etc/passwd", "/.signoff/vault/x"])
def test_the_gates_own_addresses_give_out_no_files(scene: Scene, target: str) -> None:
    from attacks.attacker import call

    seen = call(scene.endpoint, scene.key, "signoff", "GET", target)
    assert seen.status >= 400
    assert "root:" not in seen.text


def test_an_answer_to_the_agent_never_holds_what_was_captured(scene: Scene) -> None:
    secret = "another-customer"
    scene.aws.tables["orders"]["first"] = {"id": {"S": "first"}, "v": {"S": secret}}
    held = scene.put(2)
    ticket = scene.guard.control.show(held.ticket)
    assert secret not in held.text
    assert secret not in str(ticket)
    assert secret not in str(scene.receipts())


def test_the_log_of_the_daemon_holds_no_secret(scene: Scene) -> None:
    scene.put(2)
    said = Path(scene.guard.folder / "daemon.log").read_text()
    assert scene.key["secret"] not in said
    assert "the owners real secret" not in said
