"""The command line: `signoff COMMAND`. Each group of commands is one module, imported
when one of its commands is called; answers on stdout, everything else on stderr."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

import click

from signoff.faces.cli.shared import FAILED, fail, tell
from signoff.model.errors import SignoffError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("setup", "Ask a few questions and write the settings and keys."),
    "up": ("service", "Run the daemon with its gates, in the foreground."),
    "status": ("look", "What runs, at which level, and what needs attention."),
    "doctor": ("doctor", "Check the guard itself."),
    "run": ("agent", "Start an agent with no keys and no way round the gates."),
    "key": ("keys", "Run keys: what an agent holds instead of credentials."),
    "explain": ("explain", "What an action would do and what would be decided."),
    "ticket": ("agent", "What an agent may see of its own hold."),
    "holds": ("look", "Actions that wait for people."),
    "show": ("look", "One hold in full, as its signers see it."),
    "approve": ("decide", "Sign a hold off."),
    "reject": ("decide", "Sign a refusal of a hold."),
    "grant": ("grant", "Let a run into production for a while; a peer signs."),
    "grants": ("grant", "Which runs may change production now."),
    "freeze": ("stop", "No changes in an environment, until it is lifted."),
    "halt": ("stop", "The stop button: an agent, a run, or everything."),
    "resume": ("stop", "Take a halt back."),
    "log": ("log", "What happened, receipt by receipt."),
    "verify": ("log", "Check the ledger, also without a daemon."),
    "export": ("export", "The ledger as OCSF events or OpenTelemetry log records."),
    "review": ("review", "Production actions nobody has looked at."),
    "undo": ("undo", "Take back one action or a whole run."),
    "settle": ("settle", "Say how an action in doubt ended, after looking."),
    "apply": ("apply", "Ask that the settings and policies on disk be sealed and take effect."),
    "policy": ("policy", "Check, prove and compare policies; lower a boundary."),
    "audit": ("audit", "Permissions outside Signoff, beside what was used; exit 6 on findings."),
    "human": ("setup", "The people who may sign."),
    "demo": ("replay", "Replay an incident on local components."),
    "bench": ("replay", "Measure what Signoff costs, as ratios within one run."),
}
"""Every command: its module, and the line `signoff --help` shows."""

EPILOG = (
    "First: signoff init aws, signoff up, then signoff key new --agent NAME.\n\n"
    "Exit codes: 0 done or allowed, 1 failed, 2 denied, 3 held, 4 policy invalid or proof "
    "false, 5 ledger invalid, 6 findings."
)


class Commands(click.Group):
    """The commands of `COMMANDS`, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, 1)
            meant = f". Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"no such command `{cmd_name}`{meant}")
        module = importlib.import_module(f"signoff.faces.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.command(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 90},
)
def signoff() -> None:
    """Change control for AI agents: an agent can work on production, and cannot destroy it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with the code of the contract. Never shows a traceback,
    unless `SIGNOFF_DEBUG=1` asks for it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = run_command(given)
    _flush()
    sys.exit(code)


def run_command(arguments: Sequence[str]) -> int:
    """One command; its exit code."""
    as_json = "--json" in arguments
    try:
        result = signoff.main(args=list(arguments), prog_name="signoff", standalone_mode=False)
    except SignoffError as error:
        _debug()
        return fail(error, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return FAILED
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return fail(_usage(error.format_message(), where or "signoff"), as_json)
    except (click.Abort, KeyboardInterrupt):
        tell("stopped")
        return 130
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        _debug()
        named = f"cannot use `{error.filename}`" if error.filename else "the system said no"
        return fail(SignoffError(named, (error.strerror or str(error)).lower()), as_json)
    except Exception as error:
        _debug()
        told = " ".join(str(error).split()) or "no further words"
        tell(f"unexpected {type(error).__name__}: {told[:300]}")
        click.echo("  next: run it again with SIGNOFF_DEBUG=1 and report what it shows", err=True)
        return FAILED
    return result if isinstance(result, int) else 0


def _usage(message: str, where: str) -> SignoffError:
    text = " ".join(message.split()).rstrip(".").replace("'", "`")
    return SignoffError(text[:1].lower() + text[1:], "", f"{where} --help")


def _debug() -> None:
    if os.environ.get("SIGNOFF_DEBUG") == "1":
        traceback.print_exc()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away; the interpreter must not say so again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
