"""The two secrets the daemon itself holds: the ledger's signing seed and the vault's key.

Each file is one line, `signoff-secret BASE64(32 bytes)`, mode 0600. Humans' keys are not
of this kind: those open with a passphrase (approvals/keys.py).
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from signoff.config.owners import check_owned
from signoff.model.errors import ConfigInvalid

_PREFIX = "signoff-secret "
SECRET_BYTES = 32


def make_secret(path: Path, what: str) -> None:
    """A new secret in a new file of mode 0600; the directory is made with mode 0700.

    Raises `ConfigInvalid` when the file exists (a secret is never written over) or cannot
    be made.
    """
    text = _PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode() + "\n"
    make_private_file(path, text, what)


def make_private_file(path: Path, text: str, what: str) -> None:
    """A new file of mode 0600 with that text; raises `ConfigInvalid` when it exists."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigInvalid(
            f"{what} `{path}` exists already", "a key is never written over", "move it away first"
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(
            f"cannot write {what} `{path}`", reason, "check the directory"
        ) from error


def read_secret(path: Path, what: str) -> bytes:
    """The 32 bytes of a secret file, once only its owner can read and write it.

    Raises `ConfigInvalid` for anything else than the one line of `make_secret`.
    """
    real = check_owned(path, what, secret=True)
    try:
        text = real.read_text("ascii")
        if not text.startswith(_PREFIX):
            raise ValueError("it is not a secret of signoff")
        raw = base64.b64decode(text.removeprefix(_PREFIX).strip(), validate=True)
        if len(raw) != SECRET_BYTES:
            raise ValueError(f"it has {len(raw)} bytes, not {SECRET_BYTES}")
    except (OSError, ValueError, binascii.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigInvalid(
            f"cannot read {what} `{path}`", reason, "put the right file back"
        ) from error
    return raw
