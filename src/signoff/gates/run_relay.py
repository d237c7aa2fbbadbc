"""Inside the sandbox: 127.0.0.1:PORT to the gate's unix socket, then the agent itself.

Run by path as `python -I -S run_relay.py PORT SOCKET AGENT...`; standard library only,
and nothing of Signoff's. The relay is handed to the sandbox's first process, so the agent
is the process that was asked for, with no child it did not start.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

CHUNK_BYTES = 65536
NOT_FOUND, NOT_STARTED = 127, 126


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, then say so to the target."""
    try:
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    except OSError:
        pass
    finally:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def join(client: socket.socket, path: str) -> None:
    """Both directions of one connection; closes both ends when both are done."""
    gate = socket.socket(socket.AF_UNIX)
    with client, gate:
        try:
            gate.connect(path)
        except OSError:
            return
        back = threading.Thread(target=pump, args=(gate, client), daemon=True)
        back.start()
        pump(client, gate)
        back.join()


def relay(listener: socket.socket, path: str) -> None:
    """Accept for ever."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=join, args=(client, path), daemon=True).start()


def main(port: int, path: str, agent: list[str]) -> int:
    """Start the relay behind a double fork, then become the agent."""
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            relay(listener, path)
        os._exit(0)
    os.waitpid(child, 0)
    listener.close()
    try:
        os.execvp(agent[0], agent)  # noqa: S606 - the program the human named
    except FileNotFoundError:
        os.write(2, f"signoff: no program `{agent[0]}` in the sandbox\n".encode())
        return NOT_FOUND
    except OSError as error:
        os.write(2, f"signoff: cannot start `{agent[0]}`: {error.strerror}\n".encode())
        return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
