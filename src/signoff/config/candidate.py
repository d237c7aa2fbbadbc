"""Reading a configuration from disk: each file once, checked on the very file that is read.

What was read is the candidate. Nobody opens the files a second time, so a file that is
exchanged afterwards exchanges nothing.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from signoff.config.owners import check_owned
from signoff.config.read import CONFIG_BYTES_MOST, config_path, parse_config
from signoff.config.sealed import FILE_BYTES_MOST, ConfigurationTexts, named_files
from signoff.model.errors import ConfigInvalid, PolicyInvalid, SignoffError

SETTINGS, POLICY = "the settings file", "a policy file"
_GROUP_OR_OTHERS = 0o022


def read_texts(path: Path | None = None) -> ConfigurationTexts:
    """The configuration at `path` (default: `config_path()`) with every file it names.

    Raises `ConfigInvalid` for what is missing, not safe (`check_owned`), not UTF-8, too
    large, or no valid settings; `PolicyInvalid` for a policy that is no text or too large.
    """
    named = Path(os.path.abspath(path or config_path()))
    if not named.exists():
        raise ConfigInvalid(
            f"there are no settings at `{named}`", "the file does not exist", "signoff init"
        )
    settings = _text(named, SETTINGS, CONFIG_BYTES_MOST)
    config = parse_config(settings, named)
    files = {str(p): _text(p, POLICY, FILE_BYTES_MOST) for p in named_files(config)}
    texts = ConfigurationTexts(str(named), settings, files)
    texts.check_size()
    return texts


@dataclass(frozen=True)
class Drift:
    """How the files differ from what is sealed: one line each; `digest` tells one state of
    the files from another, and is empty when they agree."""

    lines: tuple[str, ...] = ()
    digest: str = ""


def drift(sealed: ConfigurationTexts) -> Drift:
    """Compare the files with the sealed texts. Never raises: what cannot be read differs."""
    lines, seen = [], {}
    wanted = {sealed.path: sealed.settings, **sealed.files}
    for name, text in wanted.items():
        what = SETTINGS if name == sealed.path else POLICY
        most = CONFIG_BYTES_MOST if name == sealed.path else FILE_BYTES_MOST
        try:
            found = _text(Path(name), what, most)
        except SignoffError as error:
            lines.append(f"`{name}`: {error.what}: {error.why}")
            seen[name] = f"unreadable: {error.why}"
            continue
        if found != text:
            lines.append(f"`{name}` is not what is sealed")
            seen[name] = found
    if not lines:
        return Drift()
    return Drift(tuple(lines), ConfigurationTexts(sealed.path, "", seen).digest)


def stamp(sealed: ConfigurationTexts) -> tuple[object, ...]:
    """What changes whenever a file does (inode, size, times), without reading any."""
    found: list[object] = []
    for name in (sealed.path, *sealed.files):
        try:
            seen = os.stat(name)
            found.append(
                (seen.st_ino, seen.st_dev, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            )
        except OSError as error:
            found.append(error.errno)
    return tuple(found)


def _text(path: Path, what: str, most: int) -> str:
    real = check_owned(path, what)
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            seen = os.fstat(file.fileno())
            # The file that was checked by name may be another by now: what counts is this one.
            if not stat.S_ISREG(seen.st_mode):
                raise ConfigInvalid(f"{what} `{path}` is no file", "it is a pipe or a device")
            if seen.st_uid not in (os.geteuid(), 0) or seen.st_mode & _GROUP_OR_OTHERS:
                raise ConfigInvalid(
                    f"{what} `{path}` is not safe", "others could write it", f"chmod go-w {path}"
                )
            raw = file.read(most + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(f"cannot read `{path}`", reason, f"chmod u+r {path}") from error
    invalid = ConfigInvalid if what == SETTINGS else PolicyInvalid
    if len(raw) > most:
        why = f"at most {most:,} are read"
        raise invalid(f"`{path}` has more than {most:,} bytes", why, "split the file")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        why = f"byte {error.start} is no part of a character"
        raise invalid(f"`{path}` is not UTF-8", why, "save it as UTF-8") from error
