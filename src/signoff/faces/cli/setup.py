"""`signoff init` and `signoff human`: who signs, what is production, where things lie."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from signoff.config import (
    AwsSettings,
    Config,
    LedgerSettings,
    MapRow,
    Seal,
    VaultSettings,
    check_owned,
    config_path,
    load_config,
    make_private_file,
    make_secret,
    parse_config,
    read_secret,
    read_texts,
    render_config,
    write_config,
    write_seal,
)
from signoff.faces.cli.account import Account, look_up
from signoff.faces.cli.shared import DONE, answer, fail, json_option, tell
from signoff.faces.cli.verification import PUBLIC_NAME, public_key
from signoff.gates.aws_endpoints import check_regions
from signoff.model.errors import ConfigInvalid
from signoff.model.human import EnrolledKey, Human

AWAY = "move it away first, or name a key with --public"
ENVIRONMENTS = ("production", "staging", "development")
MATCHERS = ("account", "region", "name", "tag")
PORT, PORTS_TRIED = 4690, 100
TEAM_LEAST = 3
"""Two who sign besides an operator."""


@click.command()
@click.argument("surface", type=click.Choice(["aws"]), default="aws")
@click.option(
    "--human",
    "humans",
    multiple=True,
    metavar="NAME[=PUBLIC]",
    help="Who signs; again for each. PUBLIC: a public key line or .pub file; else a key is made.",
)
@click.option(
    "--team/--solo",
    "team",
    default=None,
    help="Two or more besides the operator, or one human (default: by their number).",
)
@click.option("--profile", default="", help="The AWS profile with the real credentials.")
@click.option(
    "--credentials",
    type=click.Choice(["profile", "environment"]),
    default="profile",
    show_default=True,
)
@click.option("--account", default="", help="The AWS account (12 digits).")
@click.option(
    "--region", "regions", multiple=True, help="A region agents may call; again for each."
)
@click.option(
    "--production",
    multiple=True,
    metavar="MATCH",
    help="account=, region=, name= or tag= of what is production, joined by commas; the rest too.",
)
@click.option("--staging", multiple=True, metavar="MATCH", help="What is staging.")
@click.option("--development", multiple=True, metavar="MATCH", help="What is development.")
@click.option("--trust-tags", is_flag=True, help="Only people write tags, so tags may lower.")
@click.option("--endpoint", default="", help="Another endpoint for all AWS services (a local AWS).")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Where ledger, vault and sockets live "
    "(default: $XDG_STATE_HOME/signoff; else ~/.local/state/signoff, for root /var/lib/signoff).",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=None,
    help="The port of the gate (default: 4690, or the next that is free).",
)
@click.option("--yes", is_flag=True, help="Ask nothing that has a default.")
@json_option
def init(
    surface: str,
    humans: tuple[str, ...],
    team: bool | None,
    yes: bool,
    as_json: bool,
    **given: object,
) -> int:
    """Ask a few questions and write the settings and keys; then show the result.

    Every question has an option, for scripts. Passphrases are typed at the terminal.
    """
    path = config_path()
    if path.exists():
        raise ConfigInvalid(
            f"there are settings at `{path}` already",
            "they are never written over",
            "signoff status",
        )
    answers = _asked(dict(given), yes)
    names = humans or _ask_humans(yes, team)
    _folder(path.parent)
    people = tuple(_human(text, path.parent / "keys") for text in names)
    config = _config(path, people, team, answers)
    _folder(config.state_dir)
    # The settings are checked before any secret is made, and written last.
    parse_config(render_config(config), path)
    make_secret(config.ledger.key_file, "the ledger key")
    make_secret(config.vault.key_file, "the vault key")
    (path.parent / PUBLIC_NAME).write_text(public_key(config) + "\n")
    write_config(config, path)
    load_config(path)
    # The first start compares what it finds with this, and says when it is something else.
    key = read_secret(config.vault.key_file, "the vault key")
    write_seal(Seal.of(config, read_texts(path)).signed(key))
    answer(as_json, summary(config), told(config), "signoff up   (it stays in the foreground)")
    return DONE


@click.group()
def human() -> None:
    """The people who may sign."""


@human.command()
@click.argument("name")
@json_option
def key(name: str, as_json: bool) -> int:
    """Make a key for NAME on this machine; prints the public line for `human add`."""
    _folder(config_path().parent)
    public, file = _new_key(name, config_path().parent / "keys")
    lines = [f"{'key':<9} {file}", f"{'public':<9} {public}"]
    next_step = f"signoff human add {name} --public '{public}'"
    answer(as_json, {"name": name, "file": str(file), "public": public}, lines, next_step)
    return DONE


@human.command()
@click.argument("name")
@click.option(
    "--public", default="", help="A public key line or a .pub file; without it a key is made here."
)
@click.option("--group", "groups", multiple=True, help="A group policies may name.")
@json_option
def add(name: str, public: str, groups: tuple[str, ...], as_json: bool) -> int:
    """Enrol NAME, or one more key of theirs. Takes effect once people signed for it."""
    config = load_config()
    if config.path is None:
        raise ConfigInvalid("there are no settings to add to", "", "signoff init")
    fresh = _human(f"{name}={public}" if public else name, config.path.parent / "keys")
    old = config.human(name)
    if old is None:
        people = (*config.humans, replace(fresh, groups=groups))
    else:
        merged = Human(name, (*old.keys, *fresh.keys), tuple(dict.fromkeys((*old.groups, *groups))))
        people = tuple(merged if h is old else h for h in config.humans)
    write_config(replace(config, humans=people), config.path)
    lines = [f"{'human':<9} {h.name}  {_keys(h)}" for h in people]
    answer(as_json, {"humans": [h.name for h in people]}, lines, "signoff apply")
    return DONE


# Questions.


def _asked(given: dict[str, object], yes: bool) -> dict[str, object]:
    with_profile = given["credentials"] == "profile"
    if with_profile and not given["profile"] and not yes:
        given["profile"] = _ask("AWS profile with the real credentials", "default")
    known = _known(str(given["profile"])) if with_profile and given["profile"] else Account()
    if known.endpoint and not given["endpoint"]:
        given["endpoint"] = known.endpoint
        tell(f"the profile points at {known.endpoint} instead of AWS")
    given["account"] = given["account"] or known.account
    if not yes and not given["account"]:
        given["account"] = _ask("AWS account (12 digits, empty: any)")
    if not given["regions"]:
        question = "regions agents may call (blanks between, empty: all)"
        named = known.region if yes else _ask(question, known.region)
        given["regions"] = tuple(named.split())
    check_regions(_texts(given["regions"]))
    for name in () if yes else ENVIRONMENTS:
        if not given[name]:
            rest = "all that nothing else names" if name == "production" else "nothing"
            question = f"what is {name}? (account=.. region=.. name=.. tag=k=v; empty: {rest})"
            given[name] = _ask_map(name, question)
    return given


def _ask_map(name: str, question: str) -> tuple[str, ...]:
    """The matches of one environment, asked again until each says something."""
    texts = tuple(_ask(question).split())
    try:
        for text in texts:
            _row(name, text, False)
    except ConfigInvalid as error:
        fail(error)
        return _ask_map(name, question)
    return texts


def _known(profile: str) -> Account:
    known = look_up(profile)
    if known.trouble:
        tell(f"the account of profile `{profile}` is not known: {known.trouble}")
    elif known.account:
        tell(f"profile `{profile}` is of account {known.account}")
    return known


def _ask_humans(yes: bool, team: bool | None) -> tuple[str, ...]:
    if yes:
        raise ConfigInvalid("nobody can sign", "no human was named", "add --human NAME")
    few = "" if team is None else " three or more" if team else " one"
    names = tuple(_ask(f"who signs?{few} (names, blanks between)").split())
    return names or _ask_humans(True, team)


def _ask(question: str, default: str = "") -> str:
    return str(
        click.prompt(question, default=default, show_default=bool(default), err=True)
    ).strip()


# The result.


def _config(
    path: Path, people: Sequence[Human], team: bool | None, given: dict[str, object]
) -> Config:
    folder = path.parent
    profile = "team" if (len(people) >= TEAM_LEAST if team is None else team) else "solo"
    state = given["state_dir"]
    if not isinstance(state, Path):
        state = _state_dir()
    trusted = bool(given["trust_tags"])
    port = given["port"]
    defaults = Config(
        profile,
        Path(os.path.abspath(state)),
        LedgerSettings(folder / "keys" / "ledger.key", folder / "high-water" / "mark"),
        VaultSettings(folder / "keys" / "vault.key"),
    )
    return replace(
        defaults,
        gate=replace(defaults.gate, port=port if isinstance(port, int) else _free_port()),
        humans=tuple(people),
        rules=tuple(
            _row(name, text, trusted) for name in ENVIRONMENTS for text in _texts(given[name])
        ),
        aws=AwsSettings(
            credentials=str(given["credentials"]),
            profile=str(given["profile"]),
            account=str(given["account"]),
            regions=tuple(_texts(given["regions"])),
            endpoint=str(given["endpoint"]),
        ),
        path=path,
    )


def _state_dir() -> Path:
    named = os.environ.get("XDG_STATE_HOME", "")
    if named:
        return Path(named) / "signoff"
    return Path("/var/lib/signoff") if os.geteuid() == 0 else Path.home() / ".local/state/signoff"


def _free_port() -> int:
    """The first port from `PORT` on that nobody listens at, so that `up` can start."""
    for port in range(PORT, PORT + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port != PORT:
            tell(f"port {PORT} is taken; the gate gets {port}")
        return port
    return PORT


def _row(environment: str, text: str, trusted: bool) -> MapRow:
    members: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if name not in MATCHERS or not equals or not value or name in members:
            raise ConfigInvalid(
                f"`{text}` does not say what is {environment}",
                f"expected {', '.join(f'{m}=...' for m in MATCHERS)}",
                "for example --development account=123456789012,name=dev-*",
            )
        members[name] = value
    lowers = environment != "production"
    trusts = trusted and lowers and "tag" in members
    return MapRow(environment, **members, tags_trusted=trusts)  # type: ignore[arg-type] # members are matchers, all of them texts


def _human(text: str, keys: Path) -> Human:
    name, _, public = text.partition("=")
    if not name or not name.isprintable() or "/" in name or " " in name:
        raise ConfigInvalid(f"`{name}` is no name for a human", "letters, digits, dots and dashes")
    if public.endswith(".pub"):
        try:
            public = Path(public).expanduser().read_text().strip()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigInvalid(f"cannot read `{public}`", reason) from error
    line = public or _new_key(name, keys)[0]
    return Human(name, (EnrolledKey.parse(line),))


def _new_key(name: str, keys: Path) -> tuple[str, Path]:
    from signoff.approvals.keys import create_key
    from signoff.faces.cli.signing import new_passphrase

    file = keys / f"{name}.key"
    if file.exists():
        raise ConfigInvalid(f"the key `{file}` exists already", "a key is never written over", AWAY)
    made = create_key(new_passphrase(name))
    make_private_file(file, made.encrypted, "the key")
    tell(f"the key of `{name}` is `{file}`: it belongs to that human alone")
    return made.public, file


def _folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(f"cannot make `{path}`", reason, "name another place") from error
    check_owned(path, "the directory")


def summary(config: Config) -> dict[str, object]:
    """What `init` wrote, as data."""
    return {
        "settings": str(config.path),
        "state_dir": str(config.state_dir),
        "profile": config.profile,
        "humans": [h.name for h in config.humans],
        "map": [dict(r.as_rule()) for r in config.rules],
        "regions": list(config.aws.regions),
        "account": config.aws.account,
    }


def told(config: Config) -> Iterable[str]:
    """What `init` wrote, as lines."""
    yield f"{'settings':<9} {config.path}"
    yield f"{'state':<9} {config.state_dir}"
    quorum = (
        "two people for what cannot be taken back"
        if config.profile == "team"
        else ("your own sign-off for what can be taken back; the rest is denied to agents")
    )
    yield f"{'profile':<9} {config.profile}: {quorum}"
    yield f"{'humans':<9} {', '.join(h.name for h in config.humans)}"
    aws = config.aws
    held = f"profile `{aws.profile}`" if aws.credentials == "profile" else "the shell variables"
    regions = ", ".join(aws.regions) or "every region"
    yield f"{'aws':<9} {aws.account or 'any account'}, {regions}, by {held}"
    if aws.endpoint:
        yield f"{'':<9} NOT AWS: every call goes to {aws.endpoint}"
    for row in config.rules:
        match = ", ".join(f"{k}={v}" for k, v in row.as_rule().items() if k in MATCHERS)
        yield f"{'map':<9} {row.environment:<12} {match}"
    yield f"{'map':<9} {'production':<12} everything else"
    yield f"{'keys':<9} {config.ledger.key_file}, {config.vault.key_file}"


def _keys(human: Human) -> str:
    return "1 key" if len(human.keys) == 1 else f"{len(human.keys)} keys"


def _texts(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, (tuple, list)) else []
