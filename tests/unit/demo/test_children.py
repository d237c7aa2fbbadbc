"""Child processes end with their parent, and a failed start says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.demo.children import bare_environment, start
from signoff.model.errors import SignoffError

CHILD = (
    "import json, time; from signoff.demo.children import exit_when_stdin_closes;"
    "exit_when_stdin_closes(); print(json.dumps({'port': 1}), flush=True); time.sleep(600)"
)


def module(folder: Path, name: str, text: str) -> dict[str, str]:
    (folder / f"{name}.py").write_text(text)
    variables = bare_environment()
    variables["PYTHONPATH"] = f"{folder}{os.pathsep}{variables['PYTHONPATH']}"
    return variables


def test_a_child_ends_when_it_is_stopped_also_twice(tmp_path: Path) -> None:
    child = start("quiet_child", [], tmp_path, module(tmp_path, "quiet_child", CHILD))
    assert child.port == 1
    child.stop()
    child.stop()
    assert child.process.returncode == 0


def test_a_child_that_fails_says_its_last_line(tmp_path: Path) -> None:
    variables = module(tmp_path, "bad_child", "raise SystemExit('no disk left')")
    with pytest.raises(SignoffError, match="no disk left"):
        start("bad_child", [], tmp_path, variables)


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    variables = module(tmp_path, "quiet_child", CHILD)
    parent_code = (
        "import os, time; from pathlib import Path; from signoff.demo.children import start;"
        f"c = start('quiet_child', [], Path({str(tmp_path)!r}), os.environ);"
        "print(c.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code], stdout=subprocess.PIPE, env=variables, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    waiting = os.pidfd_open(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    # A process descriptor becomes readable when its process ends; no clock is involved.
    import select

    assert select.select([waiting], [], [], 30)[0] == [waiting]
    os.close(waiting)


def test_a_child_gets_no_credential_profile_or_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HOME", "/root")
    given = bare_environment(A="b")
    assert given["A"] == "b"
    assert "HOME" not in given
    assert "AWS_SECRET_ACCESS_KEY" not in given
