"""The quorum vectors of the test kit, read from their text alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from signoff.approvals.quorum import distinct_approvers
from signoff.approvals.recount import recount
from signoff.approvals.signatures import Verifiers, check_signoff, payload_of
from signoff.model.action import Principal
from signoff.model.decision import Hold, HoldState, SignOff, Target, Verdict
from signoff.model.effect import Bound, Reversibility
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, Human, Profile

VECTORS = sorted((Path(__file__).resolve().parents[3] / "testkit" / "quorum").glob("*.txt"))


def read(path: Path) -> dict[str, list[str]]:
    lines = defaultdict(list)
    for line in path.read_text().splitlines():
        name, _, value = line.partition(": ")
        lines[name].append(value)
    return lines


def hold_of(lines: dict[str, list[str]]) -> Hold:
    m = json.loads(lines["members"][0])
    targets = tuple(
        Target(
            t["verb"],
            t["resource"],
            t["environment"],
            tuple(Bound(b["most"], b["unit"]) for b in t["bound"]),
            Reversibility(t["reversibility"]),
        )
        for t in m["targets"]
    )
    return Hold(
        ticket=m["hold"],
        principal=Principal(m["agent"], m["run"], m["operator"]),
        action_digest=m["action"],
        understanding_digest="",
        targets=targets,
        unknown=tuple(m["unknown"]),
        plan=tuple(m["plan"]),
        quorum=m["quorum"],
        bundle=m["bundle"],
        nonce=m["nonce"],
        opened_ms=0,
        expires_ms=m["expires_ms"],
        ledger_size=m["ledger"]["size"],
        ledger_root=m["ledger"]["root"],
        state=HoldState(lines["state"][0]),
        card=json.loads(lines["card"][0]),
    )


def humans_of(lines: dict[str, list[str]]) -> tuple[Human, ...]:
    keys = defaultdict(list)
    decoder = json.JSONDecoder()
    for line in lines["key"]:
        name, end = decoder.raw_decode(line)
        keys[name].append(EnrolledKey.parse(line[end:]))
    return tuple(Human(name, tuple(own)) for name, own in keys.items())


def rows_of(lines: dict[str, list[str]]) -> tuple[SignOff, ...]:
    rows = []
    for line in lines["signoff"]:
        ticket, human, verdict, key, signature = line.split(" ")
        raw = base64.b64decode(signature)
        rows.append(SignOff(ticket, json.loads(human), Verdict(verdict), key, raw, 0))
    return tuple(rows)


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_both_counts_say_what_the_vector_says(path: Path) -> None:
    lines = read(path)
    hold, humans, rows = hold_of(lines), humans_of(lines), rows_of(lines)
    for verdict in Verdict:
        hashed = hashlib.sha256(payload_of(hold, verdict)).hexdigest()
        assert [hashed] == lines[f"{verdict.value}-sha256"]
    now, quorum = int(lines["now"][0]), int(lines["quorum"][0])
    solo = lines["profile"] == ["solo"]
    found = recount(hold, rows, humans, quorum, now, Verifiers(), operator_counts=solo)
    assert sorted(found.humans) == json.loads(lines["counts"][0])
    assert found.enough == (lines["enough"] == ["yes"])
    # The first count sees only what was let in while the hold was open.
    inside: tuple[SignOff, ...] = ()
    waiting = replace(hold, state=HoldState.OPEN) if lines["state"] == ["approved"] else hold
    for row in rows:
        try:
            check_signoff(
                waiting, row, humans, now, earlier=inside, profile=Profile(lines["profile"][0])
            )
        except SignOffInvalid:
            continue
        inside = (*inside, row)
    assert distinct_approvers(hold, inside, humans, operator_counts=solo) == found.humans


def test_there_are_vectors_that_pass_and_vectors_that_do_not() -> None:
    ends = [read(path)["enough"][0] for path in VECTORS]
    assert ends.count("yes") >= 4
    assert ends.count("no") >= 15
