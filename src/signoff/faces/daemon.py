"""The process behind `signoff up`: one loop with the gates and the control socket.

It starts only when everything it trusts is as it has to be, says in one line where it
listens, and stops on SIGINT or SIGTERM after what is queued is written. When another
configuration was sealed it shuts its doors, opens the house anew, and opens them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop
from aiohttp import web

from signoff.config import Config
from signoff.faces import render
from signoff.faces.control import listen, make_control_app
from signoff.faces.office import Office
from signoff.faces.watching import Watching
from signoff.gates.http_server import Door, DoorTerms
from signoff.gates.run import probe
from signoff.house import House
from signoff.model.errors import ConfigInvalid
from signoff.store.reading import StateFile
from signoff.wiring import open_house

PR_SET_DUMPABLE = 4
GARBAGE = (20_000, 20, 20)
"""How much may gather before it is collected: some requests' worth, not a part of one's."""


def serve(config: Config, *, observe: bool = False, as_json: bool = False) -> int:
    """Run the daemon until it is told to stop; the exit code. Raises what refuses a start."""
    _keep_memory_private()
    # Start-up only builds what stays; looking for garbage in it takes a third of its time.
    gc.disable()
    return uvloop.run(_serve(config, observe=observe, as_json=as_json))


async def _serve(config: Config, *, observe: bool, as_json: bool) -> int:
    _tell("checking what the guard rests on")
    sitting = Sitting(_stopped())
    house = await asyncio.to_thread(open_house, config, observe=observe)
    while await _sit(house, sitting):
        _tell("another configuration was sealed: it is opened now, and nothing passes meanwhile")
        house = await _open_anew(house)
    seen = sitting.summary
    if as_json:
        sys.stdout.write(json.dumps({"summary": seen}) + "\n")
    else:
        sys.stdout.write(seen + "\n")
    return 0


@dataclass
class Sitting:
    """What lasts while the house is opened anew: when to stop, the first receipt, the port
    that the system chose, and what to say at the end."""

    stopped: asyncio.Event
    first: int = -1
    port: int = 0
    summary: str = ""


async def _sit(house: House, sitting: Sitting) -> bool:
    """Serve until it is told to stop (False) or another configuration is sealed (True)."""
    doors: list[web.AppRunner | Door] = []
    tasks: list[asyncio.Task[object]] = []
    try:
        await house.start()
        if sitting.first < 0:
            # What start-up left (service models, tables) stays to the end: no collection of
            # garbage has to walk through it while a request waits.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GARBAGE)
            gc.enable()
            sitting.first = house.store.head()[0]
        watching = Watching(house)
        await watching.look()
        doors = await _open_doors(house, sitting)
        tasks = [asyncio.create_task(t) for t in (house.keep(), watching.keep())]
        await _either(sitting.stopped, house.drift.changed)
    finally:
        for task in tasks:
            task.cancel()
        for door in doors:
            await (door.close() if isinstance(door, Door) else door.cleanup())
        if doors:
            sitting.summary = _summary(house, sitting.first)
        await house.stop()
    return house.drift.changed.is_set() and not sitting.stopped.is_set()


async def _open_anew(house: House) -> House:
    """The house of what is sealed now. Where that may not be observed any more, it enforces."""
    try:
        return await asyncio.to_thread(open_house, house.config, observe=bool(house.observe))
    except ConfigInvalid as error:
        if not house.observe:
            raise
        _tell(f"nothing is observed any more: {error}")
        return await asyncio.to_thread(open_house, house.config)


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _open_doors(house: House, sitting: Sitting) -> list[web.AppRunner | Door]:
    """The gate on its port and its socket, and the control socket apart from both."""
    config, gate = house.config, house.gate()
    terms = DoorTerms(config.gate.body_most_mb * 1_000_000)
    door = Door(gate.reply, gate.refusal, terms)
    try:
        # A port that the system chose stays the same: agents were told it.
        port = config.gate.port or sitting.port
        address, port = await door.listen(config.gate.host, port)
        sitting.port = 0 if config.gate.port else port
    except OSError as error:
        await door.close()
        raise ConfigInvalid(
            f"cannot listen on `{config.gate.host}:{config.gate.port}`",
            (error.strerror or str(error)).lower(),
            "set another `gate.port`",
        ) from error
    endpoint = f"http://{address}:{port}"
    await _gate_socket(door, config.gate_socket)
    # Who comes over the port may be anybody on this machine; who comes through the socket
    # was, where that is possible here, put into a sandbox by `signoff run`.
    inside = (await asyncio.to_thread(probe)).level
    gates = [
        {"name": "aws", "address": endpoint, "mode": house.mode, "level": house.level.value},
        {
            "name": "aws",
            "address": str(config.gate_socket),
            "mode": house.mode,
            "level": f"{inside.value} under `signoff run`",
        },
    ]
    office = Office(house, gates, endpoint)
    control = await listen(make_control_app(office), config.control_socket)
    _tell(f"the gate for aws listens on {endpoint}")
    _tell(f"people reach it at {config.control_socket}; next: signoff status")
    if house.observe:
        _tell(f"OBSERVES {', '.join(sorted(house.observe))}: nothing is stopped there")
    # Closed in this order: whoever waits at the control socket does not keep the gate open.
    return [door, control]


async def _gate_socket(door: Door, path: Path) -> None:
    """The socket that is bound into sandboxes, alone in its directory."""
    os.makedirs(path.parent, mode=0o755, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    await door.listen_at(str(path))
    # Whoever connects still has to prove a run key; the directory holds nothing else.
    os.chmod(path, 0o666)  # noqa: S103 - an agent of another user has to reach it


def _stopped() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    return stop


def _summary(house: House, first: int) -> str:
    """What passed since the start, counted from the ledger."""
    rulings = []
    with StateFile(house.config.ledger_path) as state:
        for _, body in state.receipts(first):
            receipt = json.loads(body)
            if receipt["mark"] in {"read", "decided"} and receipt["principal"]["agent"]:
                decision = receipt.get("decision", {})
                rulings.append({**decision, "changed": receipt["mark"] == "decided"})
    return render.summary(rulings)


def _tell(line: str) -> None:
    # Whether anybody hears it decides nothing.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"signoff: {line}\n")
        sys.stderr.flush()


def _keep_memory_private() -> None:
    """Not dumpable: a process of the same user cannot read this one's memory (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise ConfigInvalid("the daemon's memory cannot be kept private", "prctl failed", "")
