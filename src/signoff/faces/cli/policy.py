"""Policies: checking them, and asking that a boundary be lowered for a time."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

from signoff.faces import render
from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.bundles import chosen_bundle
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import settings
from signoff.faces.cli.policy_diff import diff
from signoff.faces.cli.policy_lint import lint
from signoff.faces.cli.policy_prove import paths_argument, profile_option, prove
from signoff.faces.cli.policy_replay import replay
from signoff.faces.cli.shared import DONE, HELD, answer, json_option, milliseconds
from signoff.model.errors import ConfigInvalid
from signoff.model.values import canonical

OBSERVERS_LEAST = 2


@click.group()
def policy() -> None:
    """Check, prove and compare policies; lower a boundary for a time."""


policy.add_command(prove)
policy.add_command(diff)
policy.add_command(lint)
policy.add_command(replay)


@policy.command()
@paths_argument
@profile_option
@json_option
def check(paths: tuple[Path, ...], profile: str | None, as_json: bool) -> int:
    """Parse and validate the shipped policies and those in PATHS, and ask the canaries.

    PATHS is a `signoff.toml`, a folder, `.cedar` files, or the word `shipped`; without one,
    the bundle of this user's settings, or the shipped one when there are none. Exit code 4
    names the policy and line at fault. Nothing is proved: see `signoff policy prove`.
    """
    chosen = chosen_bundle(paths, profile)
    own = {p.file for p in chosen.bundle.policies if not p.shipped}
    value = {**chosen.as_data(), "safeguard": chosen.bundle.safeguard}
    more = f"{chosen.bundle.profile} and {len(own)} more files"
    lines = [f"{'policy':<9} {more}: valid, {chosen.bundle.safeguard}"]
    answer(as_json, value, lines)
    return DONE


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"`{text}` is not a day such as 2026-12-31") from error
    return text


@policy.command()
@click.option("--env", "environments", multiple=True, required=True, help="Again for each.")
@click.option("--until", required=True, help="The last day it counts: 2026-12-31.")
@click.option("--signed", multiple=True, help="What this command printed for another human.")
@signer_options
@json_option
def observe(
    environments: tuple[str, ...],
    until: str,
    signed: tuple[str, ...],
    human: str,
    key_file: str,
    as_json: bool,
) -> int:
    """Sign that environments may be observed instead of guarded, until a day.

    For production, and what lies within it, two humans sign: the first hands the printed
    line to the second, who gives it with --signed; elsewhere one does. The settings are
    then written, and `signoff up --observe` checks them again.
    """
    from signoff.config import ObserveSettings, write_config
    from signoff.faces.cli.signing import signer

    config = settings()
    wanted = ObserveSettings(environments, _day(until))
    who = signer(config, human, key_file)
    click.echo(f"signs     observe {', '.join(environments)} until {until}", err=True)
    signature = base64.b64encode(who.sign(canonical(wanted.message()))).decode()
    rows = (*signed, f"{who.human.name} {who.key.fingerprint} {signature}")
    least = OBSERVERS_LEAST if replace(config, observe=wanted).observes_production else 1
    if len({row.split(" ")[0] for row in rows}) < least:
        answer(as_json, {"signed": list(rows)}, rows, "another human adds it with --signed")
        return HELD
    if config.path is None:
        raise ConfigInvalid("there are no settings to write", "", "signoff init")
    write_config(replace(config, observe=replace(wanted, signed=rows)), config.path)
    lines = [f"{'observe':<9} {', '.join(environments)} until {until}"]
    answer(as_json, {"signed": list(rows)}, lines, "signoff apply, then signoff up --observe")
    return DONE


@policy.command()
@click.argument("boundary")
@click.option("--env", "environment", default="production", show_default=True)
@click.option("--ttl", default="1h", show_default=True, help="For how long: 15m 1h 8h.")
@signer_options
@json_option
def lower(
    boundary: str, environment: str, ttl: str, human: str, key_file: str, as_json: bool
) -> int:
    """Ask that a boundary be lowered in an environment for a time. Two people must sign."""
    arguments = {"boundary": boundary, "environment": environment, "ttl_ms": milliseconds(ttl)}
    result = carry_out(Act.LOWER, arguments, human, key_file)
    ticket = render.safe(result.get("ticket") or "")
    state = render.safe(result.get("state", "?"))
    lines = [f"{'boundary':<9} {boundary} in {environment}: {state}  {ticket}".rstrip()]
    held = bool(ticket) and state in {"held", "open"}
    following = f"two others: signoff approve {ticket}; then this command again"
    answer(as_json, result, lines, following if held else "signoff status")
    return HELD if held else DONE
