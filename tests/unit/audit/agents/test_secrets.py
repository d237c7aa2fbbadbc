"""What is shown of a line that may hold a secret."""

from __future__ import annotations

import pytest

from signoff.audit.agents.secrets import hidden

TOKEN = "ghp_" + "a" * 36


@pytest.mark.parametrize(
    "text",
    [
        f"`guard --note {TOKEN} || true` ends well whatever the hook says",
        f"Bash(curl -H 'Authorization: Bearer {'x1' * 20}':*)",
        "Bash(PGPASSWORD=hunter2hunter2 psql:*)",
        "npx server --api-key hunter2hunter2",
        "npx server --api-key=hunter2hunter2",
        "psql postgres://me:hunter2hunter2@db/prod",
        f'curl -H "X-Api-Key: {"k9" * 12}"',
        "export AWS_SECRET_ACCESS_KEY='hunter2hunter2'",
    ],
)
def test_what_looks_like_a_secret_is_not_repeated(text: str) -> None:
    shown = hidden(text)
    assert "***" in shown
    for secret in (TOKEN[4:], "hunter2", "x1x1", "k9k9"):
        assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "`defaultMode` is `bypassPermissions`",
        "`guard --token $TOKEN || true` ends well whatever the hook says",
        "PGPASSWORD=${PGPASSWORD} psql",
        "the secret `mcpServers.a.env.TOKEN` stands in the file",
        "Bash(git push origin task-branch:*)",
        "--key-file /etc/ssl/private.key",
        "https://user@example.org/path",
    ],
)
def test_a_reference_or_a_name_stays_readable(text: str) -> None:
    assert hidden(text) == text
