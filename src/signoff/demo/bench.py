"""`signoff bench`: every number that is stated about speed, measured here and now.

Costs are CPU, not time on the clock, so that a busy machine changes them little (but for
`access`, where the time is what counts); the gate is measured beside a bare pass-through in
the same run. A stated bound that is missed makes the exit code 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from signoff.demo import bench_access, bench_aws, bench_parts, bench_prove, bench_replay
from signoff.model.decision import Ruling
from signoff.model.effect import Verb
from signoff.model.errors import SignoffError
from signoff.policy.proofs import Outcome

DONE, FAILED = 0, 1
TIMES_BARE = 3.0
DECISION_US = 300.0
IDENTIFY_US = 20.0
RECEIPTS_PER_SECOND = 100_000.0
PROVE_SHIPPED = 1.0
PROVE_SECONDS = {10: 0.5, 100: 1.0, 1_000: 4.0}
REPLAY_SECONDS = 30.0
GRANT_OVER_MS = 200.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One stated number: what was measured, the bound, and whether it holds."""

    name: str
    what: str
    measured: float
    bound: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        """Measured by bound; the bound holds up to 1 (from 1 on where it is a least)."""
        return self.measured / self.bound

    @property
    def ok(self) -> bool:
        """Whether the stated bound holds."""
        return self.ratio >= 1 if self.at_least else self.ratio <= 1

    def plain(self) -> dict[str, object]:
        """The row as JSON holds it."""
        return {
            "name": self.name,
            "what": self.what,
            "measured": round(self.measured, 2),
            "bound": self.bound,
            "at_least": self.at_least,
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "ok": self.ok,
            "note": self.note,
        }


def aws(tell: Tell) -> list[Row]:
    """The gate's CPU per read beside the bare pass-through's."""
    cost = bench_aws.gate_cost(tell)
    note = f"{cost.gate * 1e6:.0f} us of CPU a request, the pass-through {cost.bare * 1e6:.0f} us"
    what = "CPU of a read through the gate, 100 policies, receipt written"
    return [Row("aws", what, cost.ratio, TIMES_BARE, "x a bare pass-through", note=note)]


def decide(tell: Tell) -> list[Row]:
    """The CPU of one decision with 100 policies, asked of the engine and remembered."""
    rows = []
    for verb, ruling in ((Verb.READ, Ruling.ALLOW), (Verb.UPDATE, Ruling.HOLD)):
        tell(f"decide: {verb.value} with {bench_parts.POLICIES} policies")
        asked, known = (
            bench_parts.decisions(verb, ruling, fresh=fresh) * 1e6 for fresh in (True, False)
        )
        note = f"{asked:.0f} us when the engine has to be asked"
        what = f"a {verb.value} with one effect, 100 policies, p50"
        rows.append(Row("decide", what, known, DECISION_US, "us of CPU", note=note))
    return rows


def identify(tell: Tell) -> list[Row]:
    """The CPU of telling which operation a request asks for."""
    tell("identify: writing real requests")
    p50, count = bench_parts.identifications()
    what = f"which operation of AWS, {count} real requests, p50"
    return [Row("identify", what, p50 * 1e6, IDENTIFY_US, "us of CPU")]


def verify(tell: Tell) -> list[Row]:
    """Receipts a second through the command `signoff verify`."""
    tell(f"verify: a ledger of {bench_parts.RECEIPTS:,} receipts")
    what = "`signoff verify --file`, without the command's start-up"
    rate = bench_parts.verifications()
    return [Row("verify", what, rate, RECEIPTS_PER_SECOND, "receipts/s of CPU", at_least=True)]


def index(tell: Tell) -> list[Row]:
    """Start-up with the index kept beside the state, and what requests build: nothing."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as name:
        seen = bench_aws.start_ups(Path(name), tell)
    note = f"{seen.without:.1f} s when the index has to be built first"
    what = "CPU of a start with the kept index, by that of one without"
    return [
        Row("index", what, seen.kept, seen.without, "s of CPU", note=note),
        Row("index", "indexes built by requests of 4 services", seen.built, 0.5, "builds"),
    ]


def replay(tell: Tell) -> list[Row]:
    """The CPU of judging a past of 10,000 actions again under another bundle."""
    tell("replay: making up a past")
    cost = bench_replay.replayed(tell)
    note = f"{cost.report.changed:,} rulings differ"
    what = f"`policy replay`, {cost.report.actions:,} actions, 100 policies"
    return [Row("replay", what, cost.seconds, REPLAY_SECONDS, "s of CPU", note=note)]


def access(tell: Tell) -> list[Row]:
    """How soon a running gate knows that a grant was taken back, or is over."""
    seen = bench_access.ends(tell)
    tries = f"the longest of {bench_access.TRIES}"
    return [
        Row("access", "a grant taken back", seen.revoked * 1e3, GRANT_OVER_MS, "ms", note=tries),
        Row("access", "a grant that ran out", seen.expired * 1e3, GRANT_OVER_MS, "ms"),
    ]


def prove(tell: Tell) -> list[Row]:
    """The CPU of loading and proving a bundle in a process of its own, one that holds and one
    with a planted permit, which has to be the one that is blamed."""
    rows = []
    for profile in ("team", "solo"):
        tell(f"prove: the shipped policies of {profile}")
        what = f"the shipped policies of `{profile}`, proved"
        rows.append(_proved(what, PROVE_SHIPPED, bench_prove.measured(profile, 0)))
    for count, bound in PROVE_SECONDS.items():
        for planted in (False, True):
            tell(f"prove: {count:,} rules{', one of them bad' if planted else ''}")
            cost = bench_prove.measured("team", count, planted=planted)
            found = "a planted permit found and named" if planted else "proved"
            rows.append(
                _proved(f"{count:,} rules and the shipped ones, {found}", bound, cost, planted)
            )
    return rows


def _proved(what: str, bound: float, cost: bench_prove.Proved, planted: bool = False) -> Row:
    blamed = (bench_prove.PLANTED,) if planted else ()
    outcome = Outcome.VIOLATED if planted else Outcome.PROVED
    if (cost.outcome, cost.blamed) != (outcome.value, blamed):
        raise SignoffError(f"{what}: it was `{cost.outcome}`, blaming {list(cost.blamed)}")
    return Row("prove", what, cost.seconds, bound, "s of CPU")


BENCHES: dict[str, Callable[[Tell], list[Row]]] = {
    "aws": aws,
    "decide": decide,
    "identify": identify,
    "verify": verify,
    "index": index,
    "replay": replay,
    "access": access,
    "prove": prove,
}


def main(name: str, as_json: bool) -> int:
    """Measure one bench, or all for an empty name; 1 when a stated bound is missed.

    Raises `SignoffError` for a name that is none of `BENCHES`.
    """
    if name and name not in BENCHES:
        raise SignoffError(f"no bench `{name}`", "", "use one of " + ", ".join(BENCHES))
    rows = [row for each in ([name] if name else BENCHES) for row in BENCHES[each](_tell)]
    sys.stdout.write(as_text(rows) if as_json else "")
    if not as_json:
        Console(width=None if sys.stdout.isatty() else 140).print(table(rows))
    return DONE if all(row.ok for row in rows) else FAILED


def as_text(rows: Sequence[Row]) -> str:
    """The rows as one JSON text."""
    right = all(row.ok for row in rows)
    return json.dumps({"ok": right, "rows": [row.plain() for row in rows]}, indent=2) + "\n"


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    shown = Table()
    for heading in ("bench", "what", "measured", "bound", "ratio", "", "note"):
        shown.add_column(heading, justify="right" if heading in ("measured", "ratio") else "left")
    for row in rows:
        sign = ">=" if row.at_least else "<="
        shown.add_row(
            row.name,
            row.what,
            f"{row.measured:,.1f}",
            f"{sign} {row.bound:,.1f} {row.unit}",
            f"{row.ratio:.2f}",
            "[green]ok[/]" if row.ok else "[red]missed[/]",
            row.note,
        )
    return shown


def _tell(line: str) -> None:
    sys.stderr.write(f"signoff: {line}\n")
    sys.stderr.flush()
