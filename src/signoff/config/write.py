"""`Config` to a commented `signoff.toml`, for `signoff init` and `signoff human add`.

Nothing is written that does not read back as the same settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from signoff.config.read import parse_config
from signoff.config.settings import Setting, Shape, section, sections
from signoff.config.values import Config
from signoff.model.errors import ConfigInvalid

HEADER = """# The settings of Signoff. Every key with bounds and meaning: docs/reference/config.md
# Only its owner may write this file and the directories above it; `signoff doctor` checks.
"""


def render_config(config: Config) -> str:
    """The settings as commented TOML; `parse_config` of it gives the same `Config`."""
    parts = [HEADER + _table("", "", {"profile": config.profile, "state_dir": config.state_dir})]
    for name in ("gate", "ledger", "vault", "holds", "limits", "grants"):
        parts.append(_table(f"[{name}]", name, _members(getattr(config, name))))
    for human in config.humans:
        keys = [k.public for k in human.keys]
        entry = {"name": human.name, "keys": tuple(keys), "groups": human.groups}
        parts.append(_table("[[human]]", "human", entry))
    for environment in config.environments:
        members = _members(environment)
        name = str(members.pop("name"))
        parts.append(_table(f"[environment.{_quoted(name)}]", "environment", members))
    for row in config.rules:
        parts.append(_table("[[map]]", "map", _members(row)))
    for quorum in config.quorums:
        parts.append(_table("[[quorum]]", "quorum", _members(quorum)))
    parts.append(_table("[aws]", "aws", _members(config.aws)))
    parts.append(_table("[audit]", "audit", _members(config.audit)))
    if config.policies:
        parts.append(_table("[policies]", "policies", {"extra": config.policies}))
    if config.observe.environments:
        parts.append(_table("[observe]", "observe", _members(config.observe)))
    return "\n".join(parts)


def write_config(config: Config, path: Path) -> None:
    """Write the settings to `path` (mode 0644), whole or not at all.

    Raises `ConfigInvalid` when what would be written does not read back as valid
    settings, or the file cannot be written; the old file then stands.
    """
    text = render_config(config)
    parse_config(text, path)
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(fresh, 0o644)
        os.replace(fresh, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(
            f"cannot write `{path}`", reason, "name another path with `SIGNOFF_CONFIG`"
        ) from error


def config_reference() -> str:
    """docs/reference/config.md: every setting with its type, bounds, default and meaning."""
    lines = ["# Settings", "", "<!-- written by `make docs`; do not edit -->", ""]
    lines += [
        "`signoff.toml` lies at `$SIGNOFF_CONFIG`, else `~/.config/signoff/signoff.toml`",
        "(for root `/etc/signoff/signoff.toml`). A key that is not listed here, a wrong type, or",
        "a number out of its bounds keeps Signoff from starting; the message names the line.",
        "Paths may be relative to the file.",
        "",
    ]
    titles = {"": "Top level", "human": "[[human]]", "map": "[[map]]", "quorum": "[[quorum]]"}
    titles["environment"] = "[environment.NAME]"
    for name in sections():
        lines += [f"## {titles.get(name, f'[{name}]')}", ""]
        for setting in section(name).values():
            kind = " or ".join(f"`{c}`" for c in setting.choices if c) or setting.shape.value
            if setting.high:
                kind += f", {setting.low:,} to {setting.high:,} {setting.unit}".rstrip()
            default = "required" if setting.required else f"default {_default(setting)}"
            lines += [f"### {setting.heading}", "", f"{setting.says} ({kind}; {default})", ""]
    return "\n".join(lines).rstrip() + "\n"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "by profile" if setting.shape is Shape.FLAG else "beside the settings file"
    return f"`{_toml(setting.default)}`"


def _members(value: object) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type] # every caller hands in a dataclass


def _table(heading: str, name: str, members: Mapping[str, object]) -> str:
    lines = [heading] if heading else []
    for key, setting in section(name).items():
        value = members.get(key)
        if value is None or (value in ("", ()) and not setting.required):
            continue
        if name not in {"human", "map", "quorum", "environment"}:
            lines.append(f"# {setting.says}")
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return _quoted(str(value), always=True)


def _quoted(text: str, always: bool = False) -> str:
    # A JSON string is a TOML basic string, except that TOML wants DEL escaped as well.
    plain = not always and text and all(c.isascii() and (c.isalnum() or c in "-_") for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
