"""The account, asked: two read-only calls with the caller's or the daemon's own credentials."""

from __future__ import annotations

from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session

from signoff.audit.iam.account import Account, account_of
from signoff.model.errors import WorldUnanswered

PAGES_MOST = 1_000
KINDS = ("RoleDetailList", "UserDetailList", "GroupDetailList", "Policies")


def read_account(profile: str = "", region: str = "", endpoint: str = "") -> Account:
    """The account behind the credentials of a profile (else of the shell variables), by
    `iam:GetAccountAuthorizationDetails` alone.

    Raises `WorldUnanswered` when AWS, or the way to it, says no.
    """
    options = botocore.config.Config(
        connect_timeout=10, read_timeout=30, retries={"max_attempts": 3, "mode": "standard"}
    )
    try:
        session = botocore.session.Session(profile=profile or None)
        client = session.create_client(
            "iam", region_name=region or None, endpoint_url=endpoint or None, config=options
        )
        return account_of(_pages(client), "iam:GetAccountAuthorizationDetails")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        told = " ".join(str(error).split()).rstrip(".")[:300]
        raise WorldUnanswered(
            "AWS did not show the account's permissions",
            told,
            "give credentials that may call iam:GetAccountAuthorizationDetails, or --dump FILE",
        ) from error


def _pages(client: Any) -> dict[str, Any]:
    whole: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    marker: dict[str, str] = {}
    for _ in range(PAGES_MOST):
        page = client.get_account_authorization_details(**marker)
        for kind in KINDS:
            whole[kind] += page.get(kind, [])
        if not page.get("IsTruncated"):
            return dict(whole)
        marker = {"Marker": page["Marker"]}
    raise WorldUnanswered(
        f"AWS's answer has more than {PAGES_MOST:,} pages", "", "give a dump of some of it: --dump"
    )
