"""`signoff doctor` against a real daemon: canaries through its gates, and gates that are open."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from real.gate_world import Gate
from signoff.faces.cli import doctor_canaries
from signoff.faces.cli.doctor import examine
from signoff.faces.cli.doctor_canaries import Finding, canaries
from signoff.faces.cli.keys import variables
from signoff.gates.run import probe

pytestmark = pytest.mark.real


@pytest.fixture
def owner(gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gate:
    """The owner's terminal: their settings, an empty home, no agent in it."""
    monkeypatch.setenv("SIGNOFF_CONFIG", str(gate.guard.config.path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return gate


def by_name(found: Iterator[Finding]) -> dict[str, Finding]:
    """The findings by the first words of their names, the worst of each."""
    seen: dict[str, Finding] = {}
    for f in found:
        name = f.check.partition(",")[0]
        if name not in seen or seen[name].good:
            seen[name] = f
    return seen


def test_every_canary_is_denied_and_the_target_hears_of_none(owner: Gate) -> None:
    key = owner.agent().issued
    before = owner.at()
    found = by_name(canaries(lambda: variables(dict(key))))
    for name in (
        "unsigned",
        "made-up key",
        "wrong secret",
        "canary deny",
        "canary credential",
        "denials in the ledger",
        "canary read",
    ):
        assert found[name].good, found[name]
        assert found[name].tried
    assert found["canary read"].says == "a read passes"
    assert set(owner.sent(before)) <= {"sts:GetCallerIdentity", "GetCallerIdentity"}
    assert "held" not in " ".join(owner.marks(key["run"], before))


def test_the_whole_examination_of_a_good_house(owner: Gate) -> None:
    found = by_name(examine(lambda: variables(dict(owner.agent().issued))))
    bad = [f for f in found.values() if not f.good]
    assert [f.check for f in bad if f.check not in ("sandbox", "signoff's code", "daemon")] == []
    assert "safeguard proved" in found["policies"].says
    if probe().works:
        assert found["reach of a sandbox"].tried
        assert found["reach of a sandbox"].good


def test_without_a_run_key_it_says_what_was_not_tried(owner: Gate) -> None:
    found = by_name(canaries(dict))
    assert not found["canary deny"].tried
    assert "--canary" in found["canary deny"].next_step


class _Open(http.server.BaseHTTPRequestHandler):
    """A gate that lets everything through."""

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        """Nothing."""


def test_a_gate_that_lets_a_canary_through_is_a_finding(
    owner: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Open)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real = owner.guard.control
    address = f"http://127.0.0.1:{server.server_port}"

    class Control:
        def status(self) -> dict[str, object]:
            return {"gates": [{"name": "aws", "address": address, "mode": "observe"}]}

        def log(self, start: int, most: int) -> dict[str, object]:
            return real.log(start, most)

    monkeypatch.setattr(doctor_canaries, "control", Control)
    try:
        key = owner.agent().issued
        found = by_name(canaries(lambda: variables(dict(key))))
    finally:
        server.shutdown()
        server.server_close()
    for name in ("unsigned", "made-up key", "wrong secret", "canary deny", "mode"):
        assert not found[name].good, name
    assert "halt" in found["canary deny"].next_step
    assert not found["denials in the ledger"].good
