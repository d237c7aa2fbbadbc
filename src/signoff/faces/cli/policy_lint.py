"""`signoff policy lint`: policies that do not do what they seem to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.faces.cli.bundles import Chosen, chosen_bundle
from signoff.faces.cli.policy_prove import (
    Progress,
    named,
    paths_argument,
    policy_data,
    profile_option,
)
from signoff.faces.cli.shared import DONE, FINDINGS, POLICY, answer, json_option
from signoff.faces.render import safe

if TYPE_CHECKING:
    from signoff.policy.lint import Finding, Linted


@click.command()
@paths_argument
@profile_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=120,
    show_default=True,
    help="How long to ask the solver.",
)
@json_option
def lint(paths: tuple[Path, ...], profile: str | None, seconds: float, as_json: bool) -> int:
    """Policies of yours that never match, never count, err, or name what nothing has.

    PATHS is a `signoff.toml`, a folder, `.cedar` files, or the word `shipped`; without one,
    the bundle of this user's settings, or the shipped one when there are none.

    Exit code 0: nothing, or nothing but infos. 6: warnings. 4: a policy is not valid, or
    for some policies nobody knows (they are named).
    """
    from signoff.policy.askable import Candidate
    from signoff.policy.lint import lint as look

    chosen = chosen_bundle(paths, profile)
    candidate = Candidate(chosen.bundle, chosen.config)
    found = look(candidate, progress=Progress("policies looked at"), seconds=seconds)
    value = {
        **chosen.as_data(),
        "findings": [_data(f) for f in found.findings],
        "unknown": list(found.unknown),
        "queries": found.queries,
    }
    answer(as_json, value, _lines(chosen, found))
    if found.warnings:
        return FINDINGS
    return POLICY if found.unknown else DONE


def _lines(chosen: Chosen, found: Linted) -> Iterator[str]:
    own = sum(not policy.shipped for policy in chosen.bundle.policies)
    yield f"{'bundle':<9} {safe(chosen.called)}: {own} policies beside the shipped ones"
    if not found.findings:
        yield f"{'findings':<9} none"
    for finding in found.findings:
        yield from _finding(finding)
    for text in found.unknown:
        yield f"{'unknown':<9} {safe(text)}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.weight.value:<9} {finding.rule}: {named(finding.policy)}"
    yield f"{'':<9} {safe(finding.says)}"
    if finding.example:
        yield f"{'example':<9} {safe(finding.example)}"
    if finding.others and finding.rule != "twin":
        yield f"{'':<9} forbidden by {', '.join(named(p) for p in finding.others)}"
    if finding.next_step:
        yield f"{'next':<9} {safe(finding.next_step)}"


def _data(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "weight": finding.weight.value,
        "policy": policy_data(finding.policy),
        "says": finding.says,
        "next_step": finding.next_step,
        "example": finding.example,
        "others": [policy_data(policy) for policy in finding.others],
    }
