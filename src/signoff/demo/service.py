"""The small HTTP service of the story: it answers what a customer's usage costs.

A separate process with its own credentials, straight to the upstream. It caches nothing of
the table, so a lost table is a 503 at once; the rounding setting is read at most once a
second, so a fixed setting shows a second later.

    GET /costs/CUSTOMER  -> 200 {"customer", "total", "decimals"}, 404, or 503
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import click
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from signoff.demo.children import exit_when_stdin_closes
from signoff.demo.world import client, line_key

LINES = 12
"""How many of a customer's lines of usage an answer sums."""


def total(costs: list[str], decimals: int) -> str:
    """The sum of the costs, each line rounded as the setting says (which is the bug)."""
    step = Decimal(1).scaleb(-decimals)
    return str(sum((Decimal(c).quantize(step, ROUND_HALF_UP) for c in costs), Decimal(0)))


@dataclass
class Costs:
    """Answers from the table, with the setting at most a second old."""

    table: str
    setting: str
    database: Any
    settings: Any
    decimals: int = 0
    read_at: float = field(default=-1e9)

    def of(self, customer: str) -> dict[str, Any] | None:
        """The answer for one customer, None when there are no items. Raises `ClientError`."""
        if time.monotonic() - self.read_at >= 1.0:
            found = self.settings.get_parameter(Name=self.setting)
            self.decimals = int(found["Parameter"]["Value"])
            self.read_at = time.monotonic()
        # Keys instead of a query: moto's Query walks the whole table, ten times a second.
        keys = [{"customer": {"S": customer}, "line": {"S": line_key(n)}} for n in range(LINES)]
        answer = self.database.batch_get_item(RequestItems={self.table: {"Keys": keys}})
        costs = [item["cost"]["N"] for item in answer["Responses"][self.table]]
        if not costs:
            return None
        return {
            "customer": customer,
            "total": total(costs, self.decimals),
            "decimals": self.decimals,
        }


def application(costs: Costs) -> web.Application:
    """The HTTP application over `costs`."""

    async def answer(request: web.Request) -> web.Response:
        try:
            found = await asyncio.to_thread(costs.of, request.match_info["customer"])
        except (ClientError, BotoCoreError) as error:
            return web.json_response({"error": str(error)}, status=503)
        if found is None:
            # A known customer without a single line means the data is gone, not that it is free.
            return web.json_response({"error": "no usage found"}, status=503)
        return web.json_response(found)

    app = web.Application()
    app.router.add_get("/costs/{customer}", answer)
    return app


@click.command()
@click.option("--endpoint", required=True)
@click.option("--table", required=True)
@click.option("--setting", required=True)
@click.option("--tied", is_flag=True, help="End when standard input closes.")
def main(endpoint: str, table: str, setting: str, tied: bool) -> None:
    """Serve on a free loopback port; prints `{"port": N}` when ready."""
    if tied:
        exit_when_stdin_closes()
    key = os.environ.get("SERVICE_KEY_ID", "SERVICE-KEY")
    costs = Costs(table, setting, client("dynamodb", endpoint, key), client("ssm", endpoint, key))

    async def serve() -> None:
        runner = web.AppRunner(application(costs), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
