"""The generated pages of docs/reference: commands, settings and errors, from the code itself.

`python -m signoff.faces.reference [DIRECTORY]` writes them; a test compares them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from signoff.config import config_reference
from signoff.faces.cli import signoff
from signoff.model import errors
from signoff.model.errors import SignoffError

MARK = "<!-- written by `make docs`; do not edit -->"


def cli_reference() -> str:
    """docs/reference/cli.md: what `--help` shows, for every command."""
    lines = ["# Commands", "", MARK, ""]
    lines += [
        "Answers go to stdout, everything else to stderr behind `signoff: `. `--json` carries",
        "the same content. Colour is used on a terminal only, and not with `NO_COLOR`.",
        "`SIGNOFF_CONFIG` names the settings, `SIGNOFF_CONTROL` the control socket,",
        "`SIGNOFF_HUMAN` and `SIGNOFF_KEY` who signs; `SIGNOFF_DEBUG=1` shows tracebacks.",
        "",
    ]
    for name, text in help_texts():
        lines += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def errors_reference() -> str:
    """docs/reference/errors.md: every error, whose fault it is, and its exit code."""
    lines = ["# Errors", "", MARK, ""]
    lines += [
        "Every error says what happened, why, and the next step; `--json` has them as `error`.",
        "",
    ]
    for kind in error_classes():
        words = inspect.cleandoc(kind.__doc__ or "").replace("\n", " ")
        lines += [f"## {kind.__name__}", "", words, ""]
        above = kind.__mro__[1].__name__
        parent = f" It is a `{above}`." if kind is not SignoffError else ""
        lines += [f"Exit code {kind.exit_code}.{parent}", ""]
    return "\n".join(lines).rstrip() + "\n"


def help_texts() -> Iterator[tuple[str, str]]:
    """Each command's full name with its help, groups before what they hold."""
    yield from _helps(signoff, "signoff", None)


def error_classes() -> tuple[type[SignoffError], ...]:
    """Every error of the model, in the order of its file."""
    found = (value for value in vars(errors).values() if isinstance(value, type))
    return tuple(kind for kind in found if issubclass(kind, SignoffError))


def pages() -> dict[str, str]:
    """Each page's file name and text."""
    return {
        "cli.md": cli_reference(),
        "config.md": config_reference(),
        "errors.md": errors_reference(),
    }


def _helps(
    command: click.Command, name: str, above: click.Context | None
) -> Iterator[tuple[str, str]]:
    word = name.rpartition(" ")[2]
    context = click.Context(command, info_name=word, parent=above, **command.context_settings)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _helps(found, f"{name} {inner}", context)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
    for file, text in pages().items():
        (folder / file).write_text(text)
