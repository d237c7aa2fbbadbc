"""The local AWS of the demos and the tests: moto, with what moto lacks put in.

`python -m signoff.demo.upstream --port 0` serves on a free loopback port and prints one
JSON line, `{"port": N}`. All arms of a demo use the same one. It is moto's own server in
this process; `gaps` replaces a few methods of moto's CloudFormation, so that no answer is
rewritten between moto and its client. What it adds, because a story about deleting a stack
needs it and moto 5.2 does not have it:

1. **Termination protection.** UpdateTerminationProtection and CreateStack's
   EnableTerminationProtection are kept, DescribeStacks shows them, and DeleteStack of a
   protected stack answers the service's ValidationError. (moto: a non-XML error, and the
   protected stack is deleted.)
2. **`Replacement` in change sets.** DescribeChangeSet says `True`, `False` or `Conditional`,
   with the properties that decide it, from a table of the properties that need a new
   resource. (moto: never there.) An update that would replace a resource with a fixed name
   is refused as the service refuses it.
3. **IMPORT change sets.** ResourcesToImport is checked (every resource exists, belongs to no
   stack and has a DeletionPolicy; nothing else is new) and ExecuteChangeSet takes the
   existing resources into the stack, untouched. (moto: treats them as new and fails.)

And what it sets right: a stack whose bucket still has objects ends as `DELETE_FAILED` and
keeps the bucket (moto says DELETE_COMPLETE and forgets it), `RetainResources` then works; a
table survives an update of its stack (moto loses track of it); a resource that leaves the
template with DeletionPolicy Retain stays; only-attribute changes touch nothing.

What stays different from the service: everything happens at once, there are no events in
between, names come free at once, and a Snapshot DeletionPolicy takes no snapshot. Seconds
measured here are seconds of moto.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from signoff.demo.children import COPY, exit_when_stdin_closes
from signoff.demo.gaps import fill


def _copied(app: Any, running: list[Any]) -> Any:
    """The application with the one path that is not AWS's in front."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") != COPY or environ.get("REQUEST_METHOD") != "POST":
            return app(environ, start_response)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            # Only this thread goes on in the copy; it serves until its parent's parent ends.
            running[0].socket.close()
            exit_when_stdin_closes()
            own = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_handler())
            os.write(writer, str(own.server_port).encode())
            os.close(writer)
            own.serve_forever()
            os._exit(0)
        os.close(writer)
        port = int(os.read(reader, 16) or b"0")
        os.close(reader)
        body = json.dumps({"port": port, "pid": child}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return answer


def _handler() -> Any:
    # Without the second flag each answer waits 40 ms for the client's delayed ACK.
    return type("Handler", (MotoRequestHandler,), {"log": _quiet, "disable_nagle_algorithm": True})


def _quiet(self: Any, *arguments: Any) -> None:
    """moto's own request log says nothing a test needs."""


def server(port: int = 0) -> Any:
    """A threaded WSGI server of the local AWS on 127.0.0.1; `server_port` says where."""
    fill()
    app = DomainDispatcherApplication(create_backend_app)
    running: list[Any] = []
    served = _copied(app, running)
    running.append(
        make_server("127.0.0.1", port, served, threaded=True, request_handler=_handler())
    )
    return running[0]


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 picks a free one.")
@click.option("--tied", is_flag=True, help="End when standard input closes.")
def main(port: int, tied: bool) -> None:
    """Serve the local AWS until stopped."""
    running = server(port)
    if tied:
        exit_when_stdin_closes()
    print(json.dumps({"port": running.server_port}), flush=True)
    try:
        running.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
