"""The texts a configuration is made of, as one value: what is sealed, signed and run.

A configuration is the text of `signoff.toml` and of every file it names whose content
decides something (policies, the session policy). Whoever holds the texts needs no file any
more, so nothing that changes on disk after they were read can change what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from signoff.config.read import CONFIG_BYTES_MOST, parse_config
from signoff.config.values import Config
from signoff.model.errors import ConfigInvalid
from signoff.model.values import digest

FILE_BYTES_MOST = 1 << 20
FILES_MOST = 200
TEXT_BYTES_MOST = 1_500_000
"""All texts of a configuration together; a hold's card and the control socket carry them."""

MOVES = "the state is not moved by a change of settings"


@dataclass(frozen=True)
class ConfigurationTexts:
    """`settings` is the text of the settings file `path`, `files` the texts of the files it
    names, by absolute path. `digest` (hex) covers all of it."""

    path: str
    settings: str
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical form (docs/spec/configuration.md)."""
        return digest(self.as_data())

    def as_data(self) -> dict[str, object]:
        """The texts as plain data; `from_data` is its inverse."""
        return {"path": self.path, "settings": self.settings, "files": dict(self.files)}

    @classmethod
    def from_data(cls, data: object) -> ConfigurationTexts:
        """The texts that `as_data` wrote down, within their bounds. Raises `ConfigInvalid`."""
        if not isinstance(data, Mapping) or set(data) != {"path", "settings", "files"}:
            raise ConfigInvalid("this is no configuration", "expected path, settings and files")
        path, settings, files = data["path"], data["settings"], data["files"]
        if not isinstance(path, str) or not isinstance(settings, str):
            raise ConfigInvalid("this is no configuration", "its settings are no text")
        if not isinstance(files, Mapping) or not all(
            isinstance(name, str) and isinstance(text, str) for name, text in files.items()
        ):
            raise ConfigInvalid("this is no configuration", "its files are no texts")
        made = cls(path, settings, dict(files))
        made.check_size()
        return made

    def check_size(self) -> None:
        """Raise `ConfigInvalid` when a text, or all together, is too large."""
        _bounded(self.path, self.settings, CONFIG_BYTES_MOST)
        for name, text in self.files.items():
            _bounded(name, text, FILE_BYTES_MOST)
        if len(self.files) > FILES_MOST:
            raise ConfigInvalid(
                f"the settings name {len(self.files)} files", f"at most {FILES_MOST} are read"
            )
        total = sum(_bytes(t) for t in (self.settings, *self.files.values()))
        if total > TEXT_BYTES_MOST:
            raise ConfigInvalid(
                f"the configuration has {total:,} bytes", f"at most {TEXT_BYTES_MOST:,} are sealed"
            )

    def config(self) -> Config:
        """The settings these texts mean, with the texts of their files in `Config.files`.

        Raises `ConfigInvalid` as `parse_config`, and when the files are not exactly those
        that the settings name. Touches no file.
        """
        config = parse_config(self.settings, Path(self.path))
        named = {str(p) for p in named_files(config)}
        if named != set(self.files):
            odd = sorted(named ^ set(self.files))[0]
            there = "is missing" if odd in named else "is not named by the settings"
            raise ConfigInvalid(
                "the configuration is not whole", f"`{odd}` {there}", "read it anew"
            )
        return replace(config, files=dict(self.files))


def named_files(config: Config) -> tuple[Path, ...]:
    """The files whose content decides something, in the order the settings name them."""
    session = (config.aws.session_policy,) if config.aws.session_policy else ()
    return tuple(dict.fromkeys((*config.policies, *session)))


def check_stays(now: Config, candidate: Config) -> None:
    """Raise `ConfigInvalid` when a candidate would look for the state in another place.

    Another ledger or another key would be another beginning: nothing signed so far would
    be known there.
    """
    places = (
        ("state_dir", now.state_dir, candidate.state_dir),
        ("ledger.key_file", now.ledger.key_file, candidate.ledger.key_file),
        ("ledger.high_water", now.ledger.high_water, candidate.ledger.high_water),
        ("ledger.origin", now.ledger.origin, candidate.ledger.origin),
        ("vault.key_file", now.vault.key_file, candidate.vault.key_file),
        ("the settings file", now.path, candidate.path),
    )
    for name, old, new in places:
        if old != new:
            raise ConfigInvalid(f"`{name}` would be `{new}`, it is `{old}`", MOVES, "put it back")


def _bounded(name: str, text: str, most: int) -> None:
    if (size := _bytes(text)) > most:
        raise ConfigInvalid(f"`{name}` has {size:,} bytes", f"at most {most:,} are read")


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise ConfigInvalid("a text is not UTF-8", f"character {error.start}") from error
