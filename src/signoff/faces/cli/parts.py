"""What the commands reach for, imported when it is used: `signoff --help` stays light.

Rooms of other floors are named here once. What is not installed says so in one line.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from signoff.model.errors import SignoffError

if TYPE_CHECKING:
    from signoff.config import Config
    from signoff.faces.client import ControlClient


def reach(module: str, name: str) -> Callable[..., Any]:
    """A function of another room, imported now. Raises `SignoffError` when it is absent."""
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise _absent(module) from error
    except AttributeError as error:
        raise _absent(f"{module}.{name}") from error
    return found


def settings() -> Config:
    """The settings of this user; raises `ConfigInvalid`."""
    from signoff.config import load_config

    return load_config()


def control() -> ControlClient:
    """The client of this user's daemon: `$SIGNOFF_CONTROL`, or the settings' socket."""
    from pathlib import Path

    from signoff.faces.client import ControlClient

    named = os.environ.get("SIGNOFF_CONTROL")
    if named:
        return ControlClient(Path(named))
    return ControlClient(reach("signoff.standing", "first_settings")().control_socket)


def enrolled(client: ControlClient) -> Config:
    """The settings the daemon runs, by which signatures count; those on disk when it does
    not say."""
    from signoff.config import ConfigurationTexts

    try:
        return ConfigurationTexts.from_data(client.configuration().get("texts")).config()
    except SignoffError:
        return settings()


def the_hold(client: ControlClient, ticket: str) -> str:
    """The ticket that was named, else that of the only open hold.

    Raises `SignoffError` when nothing was named and none waits, or several do.
    """
    if ticket:
        return ticket
    open_now = [str(hold.get("ticket")) for hold in client.holds()]
    if len(open_now) == 1:
        return open_now[0]
    if not open_now:
        raise SignoffError("no hold waits for anybody", "", "signoff log")
    named = ", ".join(f"`{t}`" for t in open_now[:10])
    raise SignoffError(f"{len(open_now)} holds wait: {named}", "none was named", "name its ticket")


def _absent(name: str) -> SignoffError:
    return SignoffError(
        f"`{name}` is not part of this installation",
        "the command needs it",
        "install the whole of signoff again",
    )
