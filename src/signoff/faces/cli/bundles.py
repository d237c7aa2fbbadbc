"""Which bundle a policy command means: the configured one, the shipped one, or files.

The commands look at candidates as well as at what runs, so nothing here asks who owns a
file that was named; the daemon does, before it loads one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.faces.cli.shared import tell
from signoff.model.errors import ConfigInvalid, PolicyInvalid

if TYPE_CHECKING:
    from signoff.config import Config
    from signoff.policy.bundle import Bundle

SHIPPED = "shipped"
"""In place of a path: the shipped policies and nothing else."""

FILES_MOST = 1_000
POLICIES_MOST = 20_000
QUIET_BYTES = 200_000
"""Up to here reading and checking policies takes about a second."""


@dataclass(frozen=True)
class Chosen:
    """A bundle, the settings it was made with (None: none), and how people call it."""

    bundle: Bundle
    config: Config | None
    called: str

    @property
    def shipped_only(self) -> bool:
        """Whether nothing of an owner is in it: neither settings nor policies."""
        return self.config is None and all(p.shipped for p in self.bundle.policies)

    def as_data(self) -> dict[str, object]:
        """What was looked at, for `--json`."""
        own = sorted({p.file for p in self.bundle.policies if not p.shipped})
        return {
            "bundle": self.called,
            "profile": self.bundle.profile,
            "policies": len(self.bundle.policies),
            "files": own,
            "digest": self.bundle.digest,
        }


def chosen_bundle(paths: Sequence[Path], profile: str | None) -> Chosen:
    """The bundle that `paths` and `--profile` mean.

    No path: the configured bundle, or the shipped one when there are no settings or a
    profile is named. A path: a `signoff.toml`, a folder with one or with `.cedar` files,
    `.cedar` files (under the settings of this user, if there are any and no profile is
    named), or the word `shipped`. Raises `PolicyInvalid`.
    """
    try:
        return _chosen([path for path in paths if str(path) != SHIPPED], bool(paths), profile)
    except ConfigInvalid as error:
        raise PolicyInvalid(error.what, error.why, error.next_step) from error


def _chosen(paths: Sequence[Path], named: bool, profile: str | None) -> Chosen:
    from signoff.config import config_path, load_config

    settings = [path for path in map(_settings_at, paths) if path]
    if settings:
        if len(paths) > 1:
            raise click.UsageError("name one settings file, or policy files")
        if profile:
            raise click.UsageError("the settings name the profile: leave --profile out")
        return _checked(load_config(settings[0], owners=False), str(paths[0]))
    known = config_path().exists() and not profile
    if not named:
        if known:
            return _checked(load_config(), str(config_path()))
        return _loaded(profile or "team", (), f"shipped for `{profile or 'team'}`")
    files = [file for path in paths for file in _policies_at(path)]
    called = " ".join(map(str, paths)) or f"shipped for `{profile or 'team'}`"
    if known and files:
        config = replace(load_config(), policies=tuple(files))
        return _checked(config, f"{called}, with the settings `{config_path()}`")
    return _loaded(profile or "team", files, called)


def _settings_at(path: Path) -> Path | None:
    """The settings file a path means, None when it means policies."""
    if path.is_dir():
        inside = path / "signoff.toml"
        return inside if inside.is_file() else None
    return path if path.suffix == ".toml" else None


def _policies_at(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        if path.exists() and path.suffix != ".cedar":
            raise PolicyInvalid(
                f"`{path}` is no policy", "policies end in `.cedar`, settings in `.toml`", ""
            )
        return [path]
    files = sorted(path.glob("*.cedar"))
    if not files:
        raise PolicyInvalid(
            f"nothing to load in `{path}`", "neither `signoff.toml` nor a `.cedar` file", ""
        )
    if len(files) > FILES_MOST:
        raise PolicyInvalid(
            f"{len(files):,} policy files in `{path}`", f"at most {FILES_MOST:,}", "join some"
        )
    return files


def _checked(config: Config, called: str) -> Chosen:
    """The bundle the daemon would make of these settings, before it asks who owns them."""
    from signoff.policy.loading import bundle_of

    _announce(config.policies)
    return Chosen(_few(bundle_of(config)), config, called)


def _loaded(profile: str, files: Sequence[Path], called: str) -> Chosen:
    from signoff.policy.bundle import load_bundle

    _announce(files)
    return Chosen(_few(load_bundle(profile, files)), None, called)


def _announce(files: Sequence[Path]) -> None:
    """Say on stderr what will take more than a second."""
    size = sum(file.stat().st_size for file in files if file.is_file())
    if size > QUIET_BYTES:
        tell(f"reading {size:,} bytes of policies")


def _few(bundle: Bundle) -> Bundle:
    if len(bundle.policies) > POLICIES_MOST:
        raise PolicyInvalid(
            f"{len(bundle.policies):,} policies",
            f"at most {POLICIES_MOST:,} are proved",
            "join some",
        )
    return bundle
