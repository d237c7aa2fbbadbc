"""Times as people give them to a command."""

from __future__ import annotations

from datetime import UTC, datetime

import click


def since_ms(text: str) -> int:
    """ISO 8601 (UTC unless it says otherwise) in milliseconds since the epoch; 0 for none.

    Raises `click.BadParameter` for what is no time.
    """
    if not text:
        return 0
    try:
        when = datetime.fromisoformat(text)
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"`{text}` is not a time such as 2026-11-22T18:51:07Z") from error
