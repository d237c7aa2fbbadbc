"""Attempts to get at the humans' side: its socket, its routes, and Signoff from a sandbox.

At the level `advisory` the agent shares the operator's login and may open the control socket;
what it finds there is a request for a signature it cannot make. At the level `contained` it
does not find it at all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attacks.attacker import call, raw, send
from attacks.commands import is_root, signoff
from attacks.conftest import MakeScene, Scene
from signoff.demo.children import bare_environment
from signoff.faces.backend import Act
from signoff.gates.run import probe
from signoff.model.errors import SignoffError

CONTROL = (
    ("GET", "/status"),
    ("GET", "/holds"),
    ("GET", "/log"),
    ("POST", "/challenge"),
    ("POST", "/act"),
    ("POST", "/halt"),
    ("POST", "/freeze"),
    ("POST", "/undo/plan"),
    ("GET", "/.signoff/status"),
    ("GET", "/.signoff/holds"),
    ("POST", "/.signoff/act"),
    ("GET", "/.signoff/../status"),
)


@pytest.mark.parametrize(("method", "path"), CONTROL)
def test_no_control_route_answers_at_the_gates_port(scene: Scene, method: str, path: str) -> None:
    unsigned = send(scene.endpoint, method, path, b"{}" if method == "POST" else b"")
    assert unsigned.status >= 400
    for service in ("signoff", "s3"):
        seen = call(scene.endpoint, scene.key, service, method, path, b"{}")
        assert '"holds"' not in seen.text
        assert '"safeguard"' not in seen.text
        assert '"nonce"' not in seen.text
    assert scene.guard.control.status()["halted"] == []


def test_the_gates_socket_speaks_as_the_gates_port_does(scene: Scene) -> None:
    from signoff.faces.client import ControlClient

    gate = ControlClient(scene.guard.config.gate_socket, timeout=10)
    for ask in (gate.status, gate.holds, gate.verify):
        with pytest.raises(SignoffError):
            ask()


def test_the_gates_socket_is_alone_in_its_directory(scene: Scene) -> None:
    gate = scene.guard.config.gate_socket
    assert [p.name for p in gate.parent.iterdir()] == [gate.name]
    assert not scene.guard.config.control_socket.is_relative_to(gate.parent)


def test_the_control_socket_and_its_directory_are_the_owners_alone(scene: Scene) -> None:
    control = scene.guard.config.control_socket
    assert control.stat().st_mode & 0o077 == 0
    assert control.parent.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_another_user_does_not_get_through_the_control_socket(scene: Scene) -> None:
    control = scene.guard.config.control_socket
    snoop = (
        "import os, socket, sys\n"
        "fd = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(f'/proc/self/fd/{fd}/' + sys.argv[2])\n"
        "s.sendall(b'GET /status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "print(s.recv(4096).decode())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", snoop, str(control.parent), control.name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert '"safeguard"' not in ran.stdout
    assert ran.returncode != 0 or "not yours" in ran.stdout


@pytest.mark.parametrize("act", list(Act))
def test_at_the_same_login_every_act_that_loosens_still_wants_a_humans_signature(
    scene: Scene, act: Act
) -> None:
    members: dict[Act, dict[str, object]] = {
        Act.KEY: {"agent": "mine", "operator": "ana", "ttl_ms": 3_600_000},
        Act.RESUME: {"agent": "", "run": ""},
        Act.LIFT: {"environment": "production"},
        Act.LOWER: {
            "boundary": "boundary-container",
            "environment": "production",
            "ttl_ms": 60_000,
        },
        Act.APPLY: {"configuration": "00" * 32},
        Act.UNDO: {"action": "", "run": "R-1", "since_ms": 0, "plan": ""},
        Act.SETTLE: {"action": "A-1", "state": "succeeded"},
        Act.REVIEW: {"actions": ["A-1"], "until": 1},
    }
    control = scene.guard.control
    nonce, text = control.propose(act, members[act], "ana")
    forged = scene.guard.people["bo"].sign(text.encode())
    with pytest.raises(SignoffError):
        control.act(nonce, scene.guard.people["ana"].key.fingerprint, forged)
    # The challenge is used up: the right signature comes too late.
    late = scene.guard.people["ana"].sign(text.encode())
    with pytest.raises(SignoffError):
        control.act(nonce, scene.guard.people["ana"].key.fingerprint, late)


def test_at_the_same_login_the_command_line_cannot_sign_without_a_terminal(scene: Scene) -> None:
    ticket = scene.put(2).ticket
    for words in (("approve", ticket), ("approve", ticket, "--as", "ana")):
        ran = signoff(scene.guard, *words)
        assert ran.code != 0
        assert "Traceback" not in ran.err
    assert scene.guard.control.show(ticket)["signoffs"] == []
    assert scene.put(2).status == 403


def test_a_control_request_smuggled_through_the_gate_stays_in_the_gate(scene: Scene) -> None:
    data = b"POST /halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    raw(scene.endpoint, data * 3, timeout=1.0)
    assert scene.guard.control.status()["halted"] == []


# --- contained ------------------------------------------------------------------------------

PRISONER = r"""
import json, os, socket, sys, urllib.request
known = json.loads(sys.argv[1])
got = []
def attempt(name, act):
    try:
        act()
        got.append(name)
    except Exception:
        pass
def tcp(host, port):
    with socket.create_connection((host, port), 2):
        pass
def unix(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
attempt("control socket", lambda: unix(known["control"]))
for name in ("settings", "ledger key", "vault key", "ledger", "mark"):
    attempt("read " + name, lambda name=name: open(known[name], "rb").read(1))
    attempt("write " + name, lambda name=name: open(known[name], "ab"))
attempt("list state", lambda: os.listdir(known["state"]))
attempt("home", lambda: os.listdir(known["home"]))
attempt("daemon in /proc", lambda: os.stat("/proc/%d" % known["pid"]))
attempt("signal", lambda: os.kill(known["pid"], 0))
attempt("gate port of the host", lambda: tcp("127.0.0.1", known["port"]))
attempt("target itself", lambda: tcp("127.0.0.1", known["target"]))
attempt("metadata service", lambda: tcp("169.254.169.254", 80))
attempt("the world", lambda: tcp("1.1.1.1", 443))
attempt("new mount", lambda: os.mkdir("/sys/x"))
attempt("write signoff", lambda: open(known["code"], "ab"))
attempt("own credentials", lambda: os.environ["OWNERS_SECRET"])
def gate():
    with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/", timeout=5) as answer:
        answer.read()
try:
    gate()
except urllib.error.HTTPError:
    got.append("gate")
except Exception:
    pass
others = [p for p in os.listdir("/proc") if p.isdigit()]
print("RESULT " + json.dumps({"got": got, "processes": len(others)}))
"""


def prisoner(scene: Scene, tmp_path: Path) -> dict[str, object]:
    """Run the attacker under `signoff run`; what it got hold of."""
    import signoff as package

    config, guard = scene.guard.config, scene.guard
    assert guard.process is not None
    known = {
        "control": str(config.control_socket),
        "settings": str(config.path),
        "ledger key": str(config.ledger.key_file),
        "vault key": str(config.vault.key_file),
        "ledger": str(config.ledger_path),
        "mark": str(config.high_water),
        "state": str(config.state_dir),
        "home": str(guard.folder),
        "pid": guard.process.pid,
        "port": int(guard.endpoint.rpartition(":")[2]),
        "target": int(scene.aws.url.rpartition(":")[2]),
        "code": str(package.__file__),
    }
    work = tmp_path / "work"
    work.mkdir()
    (work / "prisoner.py").write_text(PRISONER)
    command = [sys.executable, "-m", "signoff", "run", "--work", str(work), "--"]
    ran = subprocess.run(
        [*command, sys.executable, "prisoner.py", json.dumps(known)],
        env=bare_environment(
            HOME=str(guard.folder),
            SIGNOFF_CONFIG=str(config.path),
            SIGNOFF_RUN=scene.key["run"],
            AWS_ACCESS_KEY_ID=scene.key["key_id"],
            AWS_SECRET_ACCESS_KEY=scene.key["secret"],
            OWNERS_SECRET="x",
        ),
        cwd=work,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    found = re.search(r"^RESULT (.*)$", ran.stdout, re.MULTILINE)
    assert found, (ran.returncode, ran.stdout, ran.stderr)
    result = json.loads(found.group(1))
    assert isinstance(result, dict)
    return result


@pytest.mark.skipif(not probe().works, reason="user namespaces are refused here")
def test_a_contained_agent_reaches_the_gate_and_nothing_else(
    own: MakeScene, tmp_path: Path
) -> None:
    scene = own()
    result = prisoner(scene, tmp_path)
    assert result["got"] == ["gate"]
    processes = result["processes"]
    assert isinstance(processes, int)
    assert processes < 10


def test_where_an_agent_cannot_be_contained_it_is_not_started(scene: Scene, tmp_path: Path) -> None:
    from signoff.gates.run import Probe, Sandbox, start
    from signoff.model.errors import Refused

    mark = tmp_path / "ran"
    work = tmp_path / "work"
    work.mkdir()
    gate = scene.guard.config.gate_socket.parent
    box = Sandbox(work, gate, (sys.executable, "-c", f"open({str(mark)!r}, 'w')"), {})
    with pytest.raises(Refused):
        start(box, seen=Probe(False, why="refused", next_step="allow it"))
    assert not mark.exists()


def test_a_work_tree_that_holds_signoffs_settings_is_refused(scene: Scene) -> None:
    ran = signoff(
        scene.guard,
        "run",
        "--work",
        str(scene.guard.folder),
        "--",
        "true",
        SIGNOFF_RUN=scene.key["run"],
        AWS_ACCESS_KEY_ID=scene.key["key_id"],
        AWS_SECRET_ACCESS_KEY=scene.key["secret"],
    )
    assert ran.code != 0
    assert "reach" in ran.err
    assert os.path.exists(scene.guard.config.control_socket)
