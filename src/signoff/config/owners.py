"""Whom the files Signoff trusts belong to: an owner's file in owners' directories, up to `/`.

What somebody else can write, somebody else decides. Checked at every start, for the
settings, the keys and the state.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from signoff.model.errors import ConfigInvalid

ROOT_UID = 0


def check_owned(path: Path, what: str, *, secret: bool = False, uid: int | None = None) -> Path:
    """The real path of `path`, once it and every directory above it are trusted.

    Trusted is: owned by `uid` (this process' effective user) or root, and writable by
    nobody else; a directory may be writable by all only with the sticky bit (`/tmp`).
    `secret` also forbids reading by others. Raises `ConfigInvalid` naming the first
    path at fault. Symbolic links are followed and both chains are checked.
    """
    owner = os.geteuid() if uid is None else uid
    absolute = Path(os.path.abspath(path))
    try:
        real = absolute.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ConfigInvalid(
            f"cannot read {what} `{path}`", _reason(error), f"check that `{path}` exists"
        ) from error
    for step in dict.fromkeys([*absolute.parents, *real.parents]):
        _check(step, what, owner, secret=False, directory=True)
    _check(real, what, owner, secret=secret, directory=real.is_dir())
    return real


def _check(path: Path, what: str, owner: int, *, secret: bool, directory: bool) -> None:
    try:
        seen = path.stat()
    except OSError as error:
        raise ConfigInvalid(
            f"cannot read {what} `{path}`", _reason(error), f"check that `{path}` exists"
        ) from error
    if seen.st_uid not in (owner, ROOT_UID):
        raise ConfigInvalid(
            f"{what} is not safe: `{path}` belongs to uid {seen.st_uid}",
            f"its owner could change it; only uid {owner} and root may",
            f"chown {owner} {path}",
        )
    mode = stat.S_IMODE(seen.st_mode)
    if mode & 0o022 and not (directory and mode & stat.S_ISVTX):
        raise ConfigInvalid(
            f"{what} is not safe: `{path}` has mode {mode:04o}",
            "others than its owner can write it",
            f"chmod go-w {path}",
        )
    if secret and mode & 0o077:
        raise ConfigInvalid(
            f"{what} is not safe: `{path}` has mode {mode:04o}",
            "others than its owner can read it",
            f"chmod 600 {path}",
        )


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
