"""`signoff policy prove`: what was proved, what that rests on, and what breaks it."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.faces.cli.bundles import Chosen, chosen_bundle
from signoff.faces.cli.shared import DONE, POLICY, answer, json_option, tell
from signoff.faces.render import safe

if TYPE_CHECKING:
    from signoff.policy.proofs import Assumption, Counterexample, Proof
    from signoff.policy.statements import Policy

QUIET_SECONDS = 1.0
"""How long a command may work before it says that it does."""

BETWEEN_SECONDS = 5.0
"""How long it then stays quiet again."""

TABLES = "surfaces/aws/tables/operations.toml"

profile_option = click.option(
    "--profile",
    type=click.Choice(["team", "solo"]),
    default=None,
    help="The shipped policies of this profile, without this user's settings.",
)
paths_argument = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


class Progress:
    """How far a long question is, on stderr: nothing in the first second, then a line every
    five."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._next = time.monotonic() + QUIET_SECONDS

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + BETWEEN_SECONDS
            tell(f"{self.what}: {done:,} of {of:,}")


@click.command()
@paths_argument
@profile_option
@json_option
def prove(paths: tuple[Path, ...], profile: str | None, as_json: bool) -> int:
    """Show that no request breaks an invariant, or print one that does.

    PATHS is a `signoff.toml`, a folder, `.cedar` files, or the word `shipped`; without one,
    the bundle of this user's settings, or the shipped one when there are none.

    Exit code 0: proved. 4: a policy is not valid, a request breaks an invariant (it is
    printed, with the policy and line that allow it), or the solver could not tell.
    """
    chosen = chosen_bundle(paths, profile)
    proof = proof_of(chosen)
    rows = weakened()
    value = {**chosen.as_data(), **proof_data(proof), "tables": rows}
    answer(as_json, value, _lines(chosen, proof, rows), _next(proof))
    return DONE if proof.proved else POLICY


def proof_of(chosen: Chosen) -> Proof:
    """The proof of a bundle under the premises of its settings."""
    from signoff.policy.loading import prove_settings
    from signoff.policy.premises import premises
    from signoff.policy.prove import prove as prove_bundle

    progress = Progress("kinds of request proved")
    if chosen.config is not None:
        return prove_settings(chosen.config, bundle=chosen.bundle, progress=progress)
    return prove_bundle(chosen.bundle, premises=premises(chosen.bundle), progress=progress)


def proof_data(proof: Proof) -> dict[str, object]:
    """A proof as plain data."""
    return {
        "outcome": proof.outcome.value,
        "invariants": list(proof.invariants),
        "counterexamples": [_counterexample(c) for c in proof.counterexamples],
        "unknown": list(proof.unknown),
        "assumptions": [_assumption(a) for a in proof.assumptions],
        "queries": proof.queries,
        "proof": proof.digest,
    }


def weakened() -> list[dict[str, object]]:
    """The rows of Signoff's own tables that make a classification weaker than another source
    has it, each with its file and line: what a proof takes for granted."""
    from signoff.surfaces.aws.classify import assumptions

    text = resources.files("signoff").joinpath(TABLES).read_text("utf-8")
    lines = _weakening_lines(text)
    return [
        {
            "operation": row.operation,
            "verb": row.verb.value,
            "because": row.because,
            "file": TABLES if row.operation in lines else "surfaces/aws/tables/mirrors.toml",
            "line": lines.get(row.operation, 0),
        }
        for row in assumptions()
    ]


def _weakening_lines(text: str) -> Mapping[str, int]:
    """Operation to the line of the row that weakens it."""
    rows = [row["operation"] for row in tomllib.loads(text)["row"] if row.get("weakens")]
    said = (n for n, line in enumerate(text.splitlines(), 1) if line.startswith("weakens = true"))
    return dict(zip(rows, said, strict=True))


def place(file: str, line: int) -> str:
    """`file` line n, or nothing when no file said it."""
    if not file:
        return ""
    return f"`{safe(file)}` line {line}" if line else f"`{safe(file)}`"


def named(policy: Policy) -> str:
    """A policy as people look it up: its id, file and line."""
    return f"`{policy.id}` ({place(policy.file, policy.line)})"


def policy_data(policy: Policy) -> dict[str, object]:
    """A policy as `--json` names it."""
    return {"id": policy.id, "file": policy.file, "line": policy.line, "why": policy.why}


def _counterexample(found: Counterexample) -> dict[str, object]:
    return {
        "invariant": found.invariant,
        "why": found.why,
        "words": found.words,
        "request": found.request,
        "entities": list(found.entities),
        "culprits": [policy_data(p) for p in found.culprits],
        "premises": [
            {"says": p.says, "file": p.file, "line": p.line, "expression": p.expression}
            for p in found.premises
        ],
    }


def _assumption(taken: Assumption) -> dict[str, object]:
    return {
        "says": taken.says,
        "file": taken.file,
        "line": taken.line,
        "discharged_by": taken.discharged_by,
    }


def _lines(chosen: Chosen, proof: Proof, rows: list[dict[str, object]]) -> Iterator[str]:
    count = len(chosen.bundle.policies)
    yield f"{'bundle':<9} {safe(chosen.called)}: {count} policies, profile {chosen.bundle.profile}"
    yield f"{'outcome':<9} {proof.outcome.value}"
    broken = {c.invariant for c in proof.counterexamples}
    holding = [name for name in proof.invariants if name not in broken]
    if proof.proved:
        yield from _list("proved", holding)
    yield from _list("unknown", [safe(text) for text in proof.unknown])
    yield from _list("assumes", [_taken(a) for a in proof.assumptions])
    yield from _list(
        "weakened",
        [f"`{r['operation']}` is `{r['verb']}`: {r['because']} {_row(r)}" for r in rows],
    )
    # Last, where somebody at a terminal looks first.
    for found in proof.counterexamples:
        yield from _violation(found)


def _violation(found: Counterexample) -> Iterator[str]:
    yield f"{'violated':<9} {found.invariant}: {safe(found.why)}"
    yield f"{'request':<9} {safe(found.words)}"
    yield from _list("allowed", [f"by {named(p)}" for p in found.culprits])
    yield from _list(
        "set by", [f"{safe(p.says)} {place(p.file, p.line)}".rstrip() for p in found.premises]
    )


def _taken(taken: Assumption) -> str:
    where = place(taken.file, taken.line)
    kept = f"; kept by {safe(taken.discharged_by)}" if taken.discharged_by else ""
    return f"{safe(taken.says)}{f' ({where})' if where else ''}{kept}"


def _row(row: Mapping[str, object]) -> str:
    line = row["line"]
    return f"({place(str(row['file']), line if isinstance(line, int) else 0)})"


def _list(name: str, texts: Sequence[str]) -> Iterator[str]:
    for at, text in enumerate(texts):
        yield f"{name if at == 0 else '':<9} {text}"


def _next(proof: Proof) -> str:
    if proof.proved:
        return ""
    if proof.counterexamples:
        return "correct what is named, and prove again (docs/how-to/prove.md)"
    return "say it more simply, or with fewer policies (docs/how-to/prove.md)"
