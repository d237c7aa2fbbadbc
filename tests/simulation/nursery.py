"""A parent that has read everything already and forks real daemons, so that starts are quick.

    python nursery.py CONFIG LOG      one line `start` on stdin, the child's pid on stdout

Each child runs `signoff.faces.daemon.serve`, all of what `signoff up` runs except reading
modules and the operations index from disk, which cost most of a start.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

from signoff import wiring
from signoff.config import Config, load_config
from signoff.faces.daemon import serve
from signoff.surfaces.aws.levels import level_of


def daemon(config: Config, log: Path) -> None:
    """Be the daemon, and never come back."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(handle, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        code = serve(config)
    finally:
        os._exit(code)


def main() -> None:
    """Fork one daemon for every line; all of them end with this process' stdin."""
    config, log = load_config(Path(sys.argv[1])), Path(sys.argv[2])
    config.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    read = wiring._aws_index(config)
    wiring._aws_index = lambda config: read
    level_of("dynamodb", "GetItem")
    # What is read already is no garbage; looking through it would copy it for every child.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = 0
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            daemon(config, log)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
    if child:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
