"""The launcher: an agent in it has its work tree, the gate, and nothing else.

Where the system refuses user namespaces, the same tests assert the refusal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff.gates import run
from signoff.gates.run import Probe, Sandbox
from signoff.model.action import Level
from signoff.model.errors import ConfigInvalid, Refused

SEEN = run.probe()
VARIABLES = {"AWS_ACCESS_KEY_ID": "AKIARUN", "AWS_SECRET_ACCESS_KEY": "s", "SIGNOFF_RUN": "R-1"}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    work, gate = tmp_path / "work", tmp_path / "gate"
    work.mkdir()
    gate.mkdir()
    return work, gate


def in_sandbox(places: tuple[Path, Path], *agent: str, **more: object) -> int | None:
    """The agent's exit code; None when this system refuses sandboxes, and says so well."""
    sandbox = Sandbox(places[0], places[1], agent, VARIABLES, **more)  # type: ignore[arg-type] # test data
    if not SEEN.works:
        with pytest.raises(Refused) as caught:
            run.start(sandbox, seen=SEEN)
        assert SEEN.why
        assert "--advisory" in caught.value.next_step
        return None
    return run.start(sandbox, seen=SEEN)


@contextlib.contextmanager
def echoing(path: Path) -> Iterator[None]:
    """A gate that answers every connection with what it was sent, in capitals."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    client.sendall(client.recv(100).upper())

    threading.Thread(target=serve, daemon=True).start()
    yield
    server.close()


def test_the_agent_reaches_the_gate_and_its_exit_code_comes_back(
    places: tuple[Path, Path],
) -> None:
    script = (
        "import os, socket\n"
        "host, port = os.environ['AWS_ENDPOINT_URL'].removeprefix('http://').split(':')\n"
        "s = socket.create_connection((host, int(port))); s.sendall(b'hello')\n"
        "s.shutdown(socket.SHUT_WR)\n"
        "open('answer', 'wb').write(s.recv(100)); raise SystemExit(7)\n"
    )
    with echoing(places[1] / "gate.sock"):
        code = in_sandbox(places, sys.executable, "-c", script)
    if code is not None:
        assert code == 7
        assert (places[0] / "answer").read_bytes() == b"HELLO"


ESCAPES = """
import os, socket
def tried(name, what):
    try: what(); print(name)
    except OSError: pass
tried("internet", lambda: socket.create_connection(("1.1.1.1", 443), 1))
tried("metadata", lambda: socket.create_connection(("169.254.169.254", 80), 1))
tried("system", lambda: open("/usr/x", "w"))
tried("etc", lambda: open("/etc/x", "w"))
tried("gate directory", lambda: open("/run/signoff/x", "w"))
tried("outside", lambda: os.listdir(os.environ["OUTSIDE"]))
tried("home", lambda: os.listdir("/root/.aws"))
tried("terminal", lambda: os.open("/dev/tty", os.O_RDWR))
tried("mount", lambda: os.mkdir("/proc/x"))
if os.listdir(os.environ["HOME"]): print("home is not empty")
if set(os.listdir("/run")) - {"signoff", "signoff-relay.py"}: print("run")
names = sorted(n for n in os.environ if n.startswith(("AWS_", "SIGNOFF_", "SECRET")))
print(",".join(names))
caps = [l for l in open("/proc/self/status") if l.startswith("CapEff")][0].split()[1]
print("caps", int(caps, 16))
print("pids", sum(p.isdigit() for p in os.listdir("/proc")) < 8)
"""


def test_the_agent_has_no_network_home_or_capability_and_only_its_own_variables(
    places: tuple[Path, Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OPERATOR", "x")
    monkeypatch.setenv("AWS_PROFILE", "admin")
    outside = places[0].parent / "outside"
    outside.mkdir()
    sandbox = Sandbox(
        places[0],
        places[1],
        (sys.executable, "-c", ESCAPES),
        {**VARIABLES, "OUTSIDE": str(outside)},
    )
    if not SEEN.works:
        assert in_sandbox(places, "true") is None
        return
    assert run.start(sandbox, seen=SEEN) == 0
    names = {*VARIABLES, "AWS_ENDPOINT_URL", "AWS_DISABLE_HOST_PREFIX_INJECTION"}
    names.add("AWS_EC2_METADATA_DISABLED")
    assert capfd.readouterr().out.splitlines() == [",".join(sorted(names)), "caps 0", "pids True"]


def test_what_the_agent_starts_in_the_background_ends_with_it(places: tuple[Path, Path]) -> None:
    fifo = places[0] / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"exec 9>{fifo}; setsid sleep 600 & exit 0"
    code = in_sandbox(places, "/bin/sh", "-c", script)
    if code is not None:
        assert code == 0
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""  # the end: every writer is gone
    os.close(reader)


def test_the_run_key_does_not_stand_in_the_process_list(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    real = subprocess.run

    def watched(command: list[str], **more: object) -> object:
        seen.append(command)
        return real(["true"], check=False)

    monkeypatch.setattr(subprocess, "run", watched)
    run.start(
        Sandbox(places[0], places[1], ("true",), {"AWS_SECRET_ACCESS_KEY": "hush"}),
        seen=Probe(True, "/bin/true"),
    )
    assert not any("hush" in word for word in seen[0])


def test_a_program_that_is_not_there_is_said_so(
    places: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    if in_sandbox(places, "no-such-agent") is not None:
        assert "no program `no-such-agent`" in capfd.readouterr().err


def test_where_namespaces_are_refused_the_agent_is_not_started(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
    refusing.chmod(0o755)
    seen = run.probe(str(refusing))
    assert not seen.works
    assert seen.level is Level.ADVISORY
    mark = places[0] / "started"
    sandbox = Sandbox(places[0], places[1], ("touch", str(mark)), VARIABLES)
    with pytest.raises(Refused) as caught:
        run.start(sandbox, seen=seen)
    assert "No permissions" in caught.value.why
    assert caught.value.exit_code == 2
    assert not mark.exists()
    assert run.start(sandbox, advisory=True, seen=seen) == 0
    assert mark.exists()


def test_without_bubblewrap_the_next_step_is_to_install_it() -> None:
    seen = run.probe("/nowhere/bwrap")
    assert not seen.works
    assert "install" in seen.next_step


def test_an_advisory_agent_gets_the_gates_address_and_no_real_aws_variable() -> None:
    shell = {"AWS_PROFILE": "admin", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "PATH": "/bin"}
    found = run.advisory_variables({**shell, "SIGNOFF_KEY": "/keys/ana.key"})
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert found["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert not {"AWS_PROFILE", "SIGNOFF_KEY"} & set(found)
    with pytest.raises(ConfigInvalid, match="AWS_ENDPOINT_URL"):
        run.advisory_variables({"PATH": "/bin"})


def test_a_work_tree_that_holds_the_state_is_refused(places: tuple[Path, Path]) -> None:
    state = places[0] / "state"
    state.mkdir()
    with pytest.raises(ConfigInvalid, match="reach"):
        run.check_reach(Sandbox(places[0], places[1], ("x",), {}, kept=(state,)))
    with pytest.raises(ConfigInvalid, match="reach"):
        run.check_reach(Sandbox(state, places[1], ("x",), {}, kept=(places[0],)))


def test_a_read_only_path_that_holds_a_key_is_refused(places: tuple[Path, Path]) -> None:
    keys = places[0].parent / "keys"
    keys.mkdir()
    sandbox = Sandbox(places[0], places[1], ("x",), {}, (keys.parent,), (keys / "vault.key",))
    with pytest.raises(ConfigInvalid, match="reach"):
        run.check_reach(sandbox)


def test_a_work_tree_that_holds_signoff_itself_is_refused(places: tuple[Path, Path]) -> None:
    own = Path(run.__file__).parents[2]
    with pytest.raises(ConfigInvalid, match="signoff itself"):
        run.check_reach(Sandbox(own, places[1], ("x",), {}))


def test_a_missing_work_tree_is_refused(places: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigInvalid, match="not a directory"):
        run.check_reach(Sandbox(places[0] / "none", places[1], ("x",), {}))


def test_credentials_that_signoff_did_not_issue_never_enter_a_sandbox() -> None:
    with pytest.raises(ConfigInvalid, match="run key"):
        run.run_variables({"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "x"})
    found = run.run_variables({**VARIABLES, "AWS_PROFILE": "admin", "PATH": "/bin"})
    assert found == VARIABLES


def test_levels_follow_from_the_sandbox_and_the_daemons_user() -> None:
    refused, works = Probe(False), Probe(True)
    assert run.detect_level(works, 0, 1000) is Level.CONTAINED
    assert run.detect_level(refused, 1000, 1000) is Level.ADVISORY
    assert run.detect_level(refused, 0, 1000) is Level.SEPARATED


def test_the_relay_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    relay, gate = Path(run.__file__).with_name("run_relay.py"), str(tmp_path / "gate.sock")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(relay), "0", gate, "/bin/sh", "-c", "exit 5"],
        check=False,
    )
    # A sandbox takes the relay with it when it ends; out here nobody else does.
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if gate.encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
    assert ran.returncode == 5
    assert stat.S_ISREG(relay.stat().st_mode)
