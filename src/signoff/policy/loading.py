"""Settings to the bundle a daemon may decide with: made, proved, or refused.

There is no other way to a bundle that says `safeguard proved`: it says so only of the proof
of this very bundle, under the premises of these very settings, by this very prover.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from signoff.config.values import Config
from signoff.model.errors import PolicyInvalid
from signoff.policy.bundle import PROVED, Bundle, compile_bundle, load_bundle
from signoff.policy.cache import ProofCache
from signoff.policy.disclosures import PEOPLE, check_names, disclosures
from signoff.policy.premises import premises
from signoff.policy.proofs import Counterexample, Premise, Proof
from signoff.policy.prove import proof_digest, prove
from signoff.policy.quorums import SHIPPED
from signoff.policy.statements import Policy, Source
from signoff.policy.tables import check_tables

_Progress = Callable[[int, int], None]

MADE_MOST = 256
_made: dict[str, Proof] = {}
"""Proofs of this process, by digest: one daemon, or one run of many tests, proves once."""


def bundle_of(config: Config) -> Bundle:
    """The bundle that settings make, not proved. The owner's policies are the sealed texts
    where the configuration brings them (`config.files`), else they are read.

    Raises `PolicyInvalid` for whatever does not parse, validate, or pass its canary.
    """
    critical = {e.name for e in config.environments if e.criticality == "high"}
    known: dict[str, Any] = {
        "humans": {h.name: h.groups for h in config.humans},
        "environments": {
            name: within or ("production" if name in critical else "")
            for name, within in config.places_within().items()
        },
        "settings": {
            "calls_per_minute": config.limits.calls_per_minute,
            "changes_per_minute": config.limits.changes_per_minute,
            "grants_required": config.grants_required,
            "grants_reads": config.grants.reads,
            "map": [dict(rule) for rule in config.place_rules()],
            "disposable": sorted(config.disposable),
            "quorum": [row.as_data() for row in config.quorums],
        },
    }
    if config.files is None:
        return load_bundle(config.profile, config.policies, **known)
    sources = [Source(str(path), _sealed(config.files, path)) for path in config.policies]
    return compile_bundle(config.profile, sources, **known)


def prove_settings(
    config: Config,
    *,
    bundle: Bundle | None = None,
    cache: ProofCache | None = None,
    progress: _Progress | None = None,
) -> Proof:
    """The proof of what settings make: remembered, from the cache, or made now.

    `bundle` is `bundle_of(config)`, when it is there already.
    """
    return _proof(bundle or bundle_of(config), config, cache, progress)


def proved_bundle(
    config: Config, *, cache: ProofCache | None = None, progress: _Progress | None = None
) -> Bundle:
    """The bundle that settings make, once it is proved: it says `safeguard proved`.

    Raises `PolicyInvalid` (exit code 4) when it does not load, when a request breaks an
    invariant (told in words, with the policy or setting at fault), or when that could not
    be excluded.
    """
    bundle = bundle_of(config)
    proof = _proof(bundle, config, cache, progress)
    if not proof.proved:
        raise refusal(proof, bundle, config)
    return replace(bundle, safeguard=PROVED)


def refusal(proof: Proof, bundle: Bundle, config: Config | None = None) -> PolicyInvalid:
    """Why a bundle that is not proved does not load, as one error."""
    if proof.counterexamples:
        return _violated(proof, bundle, config)
    more = f" (and {len(proof.unknown) - 1} more)" if len(proof.unknown) > 1 else ""
    return PolicyInvalid(
        "the safeguard is not proved, so nothing is loaded",
        (proof.unknown[0] if proof.unknown else "the solver could not tell") + more,
        "write the policy more simply; signoff policy prove says more",
    )


def blamed(
    found: Counterexample, bundle: Bundle, config: Config | None = None
) -> tuple[Policy | Premise, ...]:
    """What an owner has to change: their own policies that allow the request, then the
    settings it was judged by; when neither, the shipped policies that allow it."""
    owned = tuple(policy for policy in found.culprits if not policy.shipped)
    row = _row_of(found, bundle, config)
    return (*owned, *row) or tuple(found.culprits)


def _violated(proof: Proof, bundle: Bundle, config: Config | None) -> PolicyInvalid:
    # What concerns people is said first: it is what everybody understands.
    found = min(proof.counterexamples, key=lambda c: c.invariant not in PEOPLE)
    places = [f"`{f.file}` line {f.line}" for f in blamed(found, bundle, config) if f.line]
    others = len(proof.counterexamples) - 1
    return PolicyInvalid(
        f"{f'{places[0]}: ' if places else ''}the safeguard does not hold",
        found.words + (f" (and {others} more)" if others else ""),
        f"correct {' and '.join(places)}" if places else "signoff policy prove",
    )


def _row_of(found: Counterexample, bundle: Bundle, config: Config | None) -> tuple[Premise, ...]:
    """The quorum row the request was judged by, when it asks fewer than the shipped numbers."""
    if config is None or not config.quorums:
        return ()
    principal, resource = found.request["principal"], found.request["resource"]
    agent = str(principal["id"]) if principal["type"] == "Agent" else ""
    row = bundle.limits.quorums.row(agent, bundle.within(str(resource["id"])))
    undoable, irreversible = SHIPPED[bundle.profile]
    if row is None or (row.undoable >= undoable and row.irreversible >= irreversible):
        return ()
    at = bundle.limits.quorums.rows.index(row)
    line = config.quorums[at].line
    return tuple(p for p in premises(bundle, config) if line and p.line == line and p.file)


def _proof(
    bundle: Bundle, config: Config, cache: ProofCache | None, progress: _Progress | None
) -> Proof:
    check_tables()
    known = json.loads(str(bundle.entities))
    check_names(bundle, frozenset((e["uid"]["type"], e["uid"]["id"]) for e in known))
    given = premises(bundle, config)
    digest = proof_digest(bundle, given)
    found = _made.get(digest)
    kept = cache.find(digest) if cache is not None else None
    proof = found or kept or prove(bundle, premises=given, progress=progress)
    if proof.proved and not (found or kept):
        own = disclosures(bundle, given)
        proof = replace(proof, assumptions=(*proof.assumptions, *own))
    if proof.digest != digest:
        raise PolicyInvalid("the proof is of another bundle", "", "report it")
    if proof.proved:
        if len(_made) >= MADE_MOST:
            _made.clear()
        _made[digest] = proof
        if cache is not None and kept is None:
            cache.keep(proof)
    return proof


def _sealed(files: Mapping[str, str], path: Path) -> str:
    if str(path) not in files:
        raise PolicyInvalid(f"`{path}` was not read with the settings", "", "signoff apply")
    return files[str(path)]
