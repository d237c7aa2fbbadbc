"""The stage of one arm: a fresh environment, its service, its prober, and the agent.

Every arm gets its own upstream, a copy of one that was built from the seed, so all arms
start from equal hashes. Everything started here ends with the context, or with this process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signoff.demo import world as worlds
from signoff.demo.children import COPY, Child, bare_environment, start
from signoff.demo.prober import Health, Prober
from signoff.demo.world import Snapshot, World

Progress = Callable[[str], None]


def silent(line: str) -> None:
    """Progress nobody watches."""


def terminal(line: str) -> None:
    """Progress on standard error, only when a person watches."""
    if sys.stderr.isatty():
        print(f"signoff: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class AgentRun:
    """What came of one agent process: its exit code and what it saw, in order."""

    code: int
    seen: tuple[dict[str, Any], ...]
    seconds: float

    def of(self, step: str) -> tuple[dict[str, Any], ...]:
        """What it saw in one step."""
        return tuple(one for one in self.seen if one["step"] == step)

    def last(self, op: str) -> dict[str, Any]:
        """The last thing it saw of an operation (`service:operation`), empty when never called."""
        return next((one for one in reversed(self.seen) if one["op"] == op), {})

    @property
    def untouched(self) -> int:
        """Calls that passed at the first try."""
        return sum(one["status"] == "ok" and one["tries"] == 1 for one in self.seen)


@dataclass
class Stage:
    """Where an arm plays. `endpoint` is the upstream itself: the owners' and the judge's way in.

    `before` is the state at the start. Guards put themselves between by handing the agent
    another endpoint and key.
    """

    world: World
    folder: Path
    endpoint: str
    service: Child
    prober: Prober
    before: Snapshot
    progress: Progress = silent
    _agents: list[AgentProcess] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """The agent's work tree: its repository, and nothing else of the stage."""
        return self.folder / "work"

    def snapshot(self) -> Snapshot:
        """The state of everything, now."""
        return worlds.snapshot(self.world, self.endpoint)

    def health(self) -> Health:
        """What the prober saw so far."""
        return self.prober.health()

    def bug_is_fixed(self) -> bool:
        """Whether the service answers with the right decimals, asked until its setting is fresh."""
        want = int(worlds.RIGHT_DECIMALS)
        for _ in range(16):
            probe = self.prober.ask()
            if probe.good and probe.body.get("decimals") == want:
                return True
            time.sleep(0.1)
        return False

    def template_file(self, decimals: str = worlds.RIGHT_DECIMALS) -> Path:
        """The template in the agent's repository: the stack with the bug fixed."""
        self.work.mkdir(exist_ok=True)
        path = self.work / "template.json"
        path.write_text(worlds.template(self.world, decimals), encoding="utf-8")
        return path

    def start_agent(
        self,
        endpoint: str,
        key_id: str,
        secret: str,
        *options: str,
        through: Sequence[str] = (),
        token: str = "",
        run: str = "",
    ) -> AgentProcess:
        """Start the agent with an endpoint and a run key; `options` as `agent.main` takes them.

        `through` is put before the command line (a launcher such as `signoff run --`).
        """
        world = self.world
        command = [
            *through,
            *(sys.executable, "-m", "signoff.demo.agent"),
            *("--stack", world.stack, "--table", world.table, "--bucket", world.bucket),
            *("--template", str(self.template_file()), "--seed", str(world.seed)),
            *options,
        ]
        variables = bare_environment(
            AWS_ENDPOINT_URL=endpoint,
            AWS_ACCESS_KEY_ID=key_id,
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_DEFAULT_REGION=world.region,
            **({"AWS_SESSION_TOKEN": token} if token else {}),
            **({"SIGNOFF_RUN": run} if run else {}),
        )
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "agent.log").open("ab"),
            env=variables,
            cwd=self.work,
            text=True,
        )
        agent = AgentProcess(process)
        self._agents.append(agent)
        return agent

    def run_agent(
        self, endpoint: str, key_id: str, secret: str, *options: str, **more: Any
    ) -> AgentRun:
        """Start the agent and wait for its end."""
        return self.start_agent(endpoint, key_id, secret, *options, **more).result()

    def stop(self) -> None:
        """End every agent still running."""
        for agent in self._agents:
            agent.stop()


@dataclass
class AgentProcess:
    """A running agent; iterate `seen()` to react to holds while it waits."""

    process: subprocess.Popen[str]
    begun: float = field(default_factory=time.monotonic)
    _seen: list[dict[str, Any]] = field(default_factory=list)

    def seen(self) -> Iterator[dict[str, Any]]:
        """What it sees, as it happens, until it ends."""
        if self.process.stdout is not None:
            for line in self.process.stdout:
                one = json.loads(line)
                self._seen.append(one)
                yield one

    def result(self, most_seconds: float = 60.0) -> AgentRun:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        for _ in self.seen():
            pass
        code = self.process.wait(most_seconds)
        return AgentRun(code, tuple(self._seen), round(time.monotonic() - self.begun, 2))

    def stop(self) -> None:
        """Kill it if it still runs, and close its pipe."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def upstream(folder: Path) -> Iterator[Child]:
    """A fresh, empty local AWS on a free loopback port."""
    child = start("signoff.demo.upstream", ["--tied"], folder, bare_environment())
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def service(world: World, endpoint: str, folder: Path) -> Iterator[Child]:
    """The costs service in front of the table."""
    arguments = ["--tied", "--endpoint", endpoint]
    arguments += ["--table", world.table, "--setting", world.setting]
    child = start("signoff.demo.service", arguments, folder, bare_environment())
    try:
        yield child
    finally:
        child.stop()


@dataclass(frozen=True)
class Model:
    """A built environment that stages are copies of. `before` is its state."""

    world: World
    folder: Path
    upstream: Child
    before: Snapshot


@contextmanager
def model(seed: int = 0, progress: Progress = silent) -> Iterator[Model]:
    """Build the environment of the seed."""
    world = worlds.draw(seed)
    with tempfile.TemporaryDirectory(prefix="signoff-demo-") as name:
        folder = Path(name)
        with upstream(folder) as aws:
            progress(f"building `{world.stack}`: {world.items} items, {world.objects} objects")
            worlds.build(world, aws.url)
            yield Model(world, folder, aws, worlds.snapshot(world, aws.url))


@contextmanager
def copied(built: Model, progress: Progress = silent) -> Iterator[Stage]:
    """A stage of its own that begins as the model is; the model stays as it was built."""
    with urllib.request.urlopen(f"{built.upstream.url}{COPY}", b"") as answer:
        told = json.load(answer)
    try:
        with _around(built, f"http://127.0.0.1:{told['port']}", progress) as made:
            yield made
    finally:
        with suppress(ProcessLookupError):
            os.kill(told["pid"], signal.SIGKILL)


@contextmanager
def _around(built: Model, endpoint: str, progress: Progress) -> Iterator[Stage]:
    """The service, the prober and the agent's work tree around an upstream."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="signoff-demo-")))
        costs = stack.enter_context(service(built.world, endpoint, folder))
        prober = Prober(costs.port, f"/costs/{built.world.customer(built.world.seed % 50)}")
        stack.enter_context(prober)
        made = Stage(built.world, folder, endpoint, costs, prober, built.before, progress)
        stack.callback(made.stop)
        yield made
