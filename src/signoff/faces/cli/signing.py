"""A human's signature, made at a terminal: which key, which passphrase, over which bytes.

A passphrase is read from the terminal itself, never from stdin, a variable or an
argument: an agent that runs this command has no terminal to type it at.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signoff.config import Config
from signoff.faces.cli.shared import tell
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, Human, KeyKind

NAMESPACE = "signoff"
TRIES_MOST = 3
SYSTEM_PATH = "/usr/bin:/bin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class Signer:
    """One human with one of their enrolled keys and the file of its private half."""

    human: Human
    key: EnrolledKey
    file: Path

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`; asks for the passphrase at the terminal.

        Raises `SignOffInvalid` without a terminal, or when the key does not open.
        """
        require_terminal()
        if self.key.kind is KeyKind.SSH:
            return _ssh_sign(self.file, message)
        from signoff.approvals.keys import sign

        passphrase = ask_passphrase(f"passphrase of `{self.human.name}` ({self.file}): ")
        return sign(self.file.read_text(), passphrase, message)


def signer(config: Config, name: str, key_file: str) -> Signer:
    """The human and key that sign: `--as` or `$SIGNOFF_HUMAN`, else the login name, else
    the only one with a key file here; the key from `--key`, `$SIGNOFF_KEY` or `keys/`.

    Raises `SignOffInvalid` when nobody or nothing fits.
    """
    human = _human(config, name)
    file = _key_file(config, human, key_file)
    public = _public(file)
    for key in human.keys:
        if key.fingerprint == public.fingerprint:
            return Signer(human, key, file)
    raise SignOffInvalid(
        f"the key `{file}` is not enrolled for `{human.name}`",
        f"its fingerprint is `{public.fingerprint}`",
        "name another with `--key`, or sign as another with `--as`",
    )


def require_terminal() -> None:
    """Raise `SignOffInvalid` unless this process has a terminal of its own."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        raise SignOffInvalid(
            "there is no terminal",
            "a sign-off is made by a human at a terminal",
            "run the command in a terminal of your own",
        ) from error


def ask_passphrase(prompt: str) -> str:
    """What the human types at the terminal, not shown. Raises as `require_terminal`."""
    require_terminal()
    try:
        return getpass.getpass(f"signoff: {prompt}")
    except EOFError as error:
        raise SignOffInvalid("no passphrase was typed", "", "run the command again") from error


def new_passphrase(whose: str) -> str:
    """A passphrase typed twice, the same both times; asked again when it does not do.

    Raises `SignOffInvalid` without a terminal, or after the third time.
    """
    from signoff.approvals.keys import PASSPHRASE_LEAST

    for _ in range(TRIES_MOST):
        least = f"{PASSPHRASE_LEAST} characters or more"
        first = ask_passphrase(f"a new passphrase for `{whose}` ({least}): ")
        if len(first) < PASSPHRASE_LEAST:
            tell(f"that is shorter than {least}")
        elif first != ask_passphrase("the same again: "):
            tell("the two differ")
        else:
            return first
    raise SignOffInvalid("no passphrase was chosen", "three tries", "run the command again")


def _human(config: Config, name: str) -> Human:
    wanted = name or os.environ.get("SIGNOFF_HUMAN", "")
    names = ", ".join(f"`{h.name}`" for h in config.humans)
    if wanted:
        found = config.human(wanted)
        if found is None:
            raise SignOffInvalid(f"`{wanted}` is not enrolled", f"enrolled: {names}", "--as NAME")
        return found
    login = config.human(os.environ.get("USER", ""))
    if login is not None:
        return login
    here = [h for h in config.humans if _default_file(config, h).exists()]
    if len(here) == 1:
        return here[0]
    raise SignOffInvalid("who signs is not said", f"enrolled: {names}", "add `--as NAME`")


def _default_file(config: Config, human: Human) -> Path:
    folder = config.path.parent if config.path else Path.home() / ".config" / "signoff"
    return folder / "keys" / f"{human.name}.key"


def _key_file(config: Config, human: Human, named: str) -> Path:
    text = named or os.environ.get("SIGNOFF_KEY", "")
    file = Path(text).expanduser() if text else _default_file(config, human)
    if not file.is_file():
        raise SignOffInvalid(
            f"there is no key file `{file}`",
            f"`{human.name}` signs with a key of their own",
            "name it with `--key FILE`",
        )
    return file


def _public(file: Path) -> EnrolledKey:
    from signoff.approvals.keys import public_line

    try:
        text = file.read_text()
        if text.lstrip().startswith("{"):
            return EnrolledKey.parse(public_line(text))
        return EnrolledKey.parse(Path(f"{file}.pub").read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SignOffInvalid(
            f"cannot read the key `{file}`", reason, "name another with `--key`"
        ) from error


def _ssh_sign(file: Path, message: bytes) -> bytes:
    program = shutil.which("ssh-keygen", path=SYSTEM_PATH)
    if program is None:
        raise SignOffInvalid(
            "there is no `ssh-keygen`", f"looked in {SYSTEM_PATH}", "install the OpenSSH client"
        )
    command: Sequence[str] = (program, "-Y", "sign", "-f", str(file), "-n", NAMESPACE)
    # No ssh-agent: it signs by itself, and a signature must show that a human was there.
    shell = {k: v for k, v in os.environ.items() if k in {"HOME", "TERM", "DISPLAY", "LANG"}}
    ran = subprocess.run(
        command,
        input=message,
        stdout=subprocess.PIPE,
        env={**shell, "PATH": SYSTEM_PATH},
        check=False,
    )
    if ran.returncode != 0:
        raise SignOffInvalid(
            "`ssh-keygen` did not sign", f"it ended with {ran.returncode}", "try again"
        )
    return ran.stdout
