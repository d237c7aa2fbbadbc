"""`signoff policy diff OLD NEW`: which requests change ruling, one example each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.faces.cli.bundles import SHIPPED, Chosen, chosen_bundle
from signoff.faces.cli.policy_prove import Progress, named, policy_data, profile_option
from signoff.faces.cli.shared import DONE, POLICY, answer, json_option
from signoff.faces.render import safe

if TYPE_CHECKING:
    from signoff.policy.diff import Difference, Example, Group, Ruled
    from signoff.policy.statements import Policy


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@profile_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=120,
    show_default=True,
    help="How long to look for examples.",
)
@json_option
def diff(old: Path, new: Path, profile: str | None, seconds: float, as_json: bool) -> int:
    """Which requests change ruling from OLD to NEW, in words, with one example each.

    OLD and NEW are each a `signoff.toml`, a folder, a `.cedar` file, or the word `shipped`.
    Every example was judged under both by the judge the daemon uses. Texts, names and
    formatting change no ruling, and are listed apart.

    Exit code 0, whether there are differences or not. 4: one of the two is not valid, or for
    some requests nobody knows (they are named).
    """
    from signoff.policy.askable import Candidate
    from signoff.policy.diff import diff as compare

    before, after = _both(old, new, profile)
    found = compare(
        Candidate(before.bundle, before.config),
        Candidate(after.bundle, after.config),
        progress=Progress("kinds of request compared"),
        seconds=seconds,
    )
    value = {"old": before.as_data(), "new": after.as_data(), **_data(found)}
    answer(as_json, value, _lines(before, after, found))
    return POLICY if found.unknown else DONE


def _both(old: Path, new: Path, profile: str | None) -> tuple[Chosen, Chosen]:
    """Both bundles; `shipped` is of the profile the other one has."""
    if str(old) == SHIPPED:
        after = chosen_bundle([new], profile)
        return chosen_bundle([old], profile or after.bundle.profile), after
    before = chosen_bundle([old], profile)
    same = profile or before.bundle.profile if str(new) == SHIPPED else profile
    return before, chosen_bundle([new], same)


def _lines(before: Chosen, after: Chosen, found: Difference) -> Iterator[str]:
    yield f"{'old':<9} {_bundle(before)}"
    yield f"{'new':<9} {_bundle(after)}"
    for was, now in found.policies:
        yield f"{'policy':<9} {_policy_change(was, now)}"
    for text in found.settings:
        yield f"{'settings':<9} {safe(text)}"
    for old, new in found.texts:
        yield f"{'text':<9} {_text_change(old, new)}"
    for text in found.unknown:
        yield f"{'unknown':<9} {safe(text)}"
    if not found.groups:
        more = " that was looked at" if found.unknown else ""
        yield f"{'rulings':<9} no request{more} changes ruling"
    for number, group in enumerate(found.groups, 1):
        yield from _group(number, len(found.groups), group)


def _bundle(chosen: Chosen) -> str:
    bundle = chosen.bundle
    return f"{safe(chosen.called)}: {len(bundle.policies)} policies, profile {bundle.profile}"


def _policy_change(was: Policy | None, now: Policy | None) -> str:
    if was is None:
        return f"{named(now)} is new" if now is not None else ""
    if now is None:
        return f"{named(was)} is gone"
    return f"{named(was)} is another: {named(now)}"


def _text_change(old: Policy, new: Policy) -> str:
    if old.id != new.id:
        return f"{named(old)} is now called {named(new)}"
    return f"{named(new)} says other words"


def _group(number: int, of: int, group: Group) -> Iterator[str]:
    first = group.first
    who = f"{first.principal.lower()}s"
    where = "; ".join(f"{', '.join(verbs)} in `{place}`" for place, verbs in group.places)
    yield ""
    yield f"{f'{number} of {of}':<9} {first.direction.value}: {who}, {safe(where)}"
    yield f"{'example':<9} {safe(first.words)}"
    yield f"{'before':<9} {_ruled(first.before)}"
    yield f"{'after':<9} {_ruled(first.after)}"
    if first.signers:
        yield f"{'unsigned':<9} {_unsigned(str(first.asked_before), str(first.asked_after))}"


def _unsigned(before: str, after: str) -> str:
    if before != after:
        return f"{before}, now {after}"
    return f"{before}, as before: who signs makes the difference"


def _ruled(ruled: Ruled) -> str:
    by = ", ".join(named(p) for p in ruled.policies) or ", ".join(ruled.reasons)
    return f"{ruled} by {by}" if by else str(ruled)


def _data(found: Difference) -> dict[str, object]:
    return {
        "changes": [
            {
                "direction": group.first.direction.value,
                "principal": group.first.principal,
                "where": [{"environment": p, "verbs": list(v)} for p, v in group.places],
                "example": _example(group.first),
            }
            for group in found.groups
        ],
        "policies": [
            {"old": policy_data(was) if was else None, "new": policy_data(now) if now else None}
            for was, now in found.policies
        ],
        "texts": [{"old": policy_data(old), "new": policy_data(new)} for old, new in found.texts],
        "settings": list(found.settings),
        "unknown": list(found.unknown),
        "queries": found.queries,
    }


def _example(example: Example) -> dict[str, object]:
    return {
        "words": example.words,
        "request": example.request,
        "signers": list(example.signers),
        "before": _ruled_data(example.before),
        "after": _ruled_data(example.after),
        "unsigned": {
            "before": _ruled_data(example.asked_before),
            "after": _ruled_data(example.asked_after),
        },
    }


def _ruled_data(ruled: Ruled) -> dict[str, object]:
    return {
        "ruling": ruled.ruling.value,
        "quorum": ruled.quorum,
        "reasons": list(ruled.reasons),
        "policies": [policy_data(policy) for policy in ruled.policies],
        "message": ruled.message,
    }
