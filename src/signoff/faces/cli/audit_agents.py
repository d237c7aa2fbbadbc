"""`signoff audit agents`: what the agents' own settings let pass."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import click

from signoff.audit.agents import Ground, audit_agents
from signoff.faces.cli.audit import present, report_options
from signoff.model.errors import ConfigInvalid

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.option("--agent", "names", multiple=True, help="One agent; again for each (default: all).")
@click.option("--home", type=FOLDER, default=None, help="The user's home (default: yours).")
@click.option("--project", type=FOLDER, default=Path(), help="The work tree (default: this one).")
@click.option(
    "--root", type=FOLDER, default=Path("/"), help="The root of the machine, or of its image."
)
@click.option("--agent-user", default="", help="The user the agent runs as, when another.")
@click.option("--no-hook", is_flag=True, help="Do not ask for Signoff's own hook.")
@report_options
def agents(
    names: tuple[str, ...],
    home: Path | None,
    project: Path,
    root: Path,
    agent_user: str,
    no_hook: bool,
    as_json: bool,
    html: Path | None,
    tolerance: str,
) -> int:
    """Bypass modes, rules that swallow everything, hooks that fail open, secrets.

    Reads the settings of the user, of the work tree and of the machine; changes nothing,
    and shows of a secret its place alone.
    """
    ground = Ground(
        (home or Path.home()).absolute(),
        project.absolute(),
        root.absolute(),
        tuple(os.environ.get("PATH", "").split(":")) if root == Path("/") else Ground.path,
        uid_of(agent_user),
    )
    return present(audit_agents(ground, names, hook=not no_hook), as_json, html, tolerance)


def uid_of(name: str) -> int | None:
    """The uid of a user named or numbered; None without one. Raises `ConfigInvalid`."""
    if not name:
        return None
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise ConfigInvalid(f"there is no user `{name}`", "", "name the agent's user") from error
