"""What an AWS profile says of itself, so that `signoff init` need not ask: its account, its
region, and whether it points at another endpoint than AWS."""

from __future__ import annotations

from dataclasses import dataclass

from signoff.model.errors import ConfigInvalid

TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Account:
    """A profile's account (12 digits), region and endpoint; "" is not known or not set."""

    account: str = ""
    region: str = ""
    endpoint: str = ""
    trouble: str = ""


def look_up(profile: str) -> Account:
    """What is known of `profile` ("" is botocore's own default): its files are read, and STS
    is asked once whose credentials these are. `trouble` says why it did not answer.

    Raises `ConfigInvalid` when there is no such profile.
    """
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

    session = botocore.session.Session(profile=profile or None)
    try:
        scoped = session.get_scoped_config()
        region = str(session.get_config_variable("region") or "")
    except ProfileNotFound as error:
        there = ", ".join(f"`{name}`" for name in session.available_profiles) or "none"
        raise ConfigInvalid(
            f"there is no AWS profile `{profile}`",
            f"the AWS configuration has {there}",
            "name another with `--profile`, or make it: aws configure --profile NAME",
        ) from error
    endpoint = str(scoped.get("endpoint_url") or "")
    try:
        client = session.create_client(
            "sts",
            region_name=region or "us-east-1",
            endpoint_url=endpoint or None,
            config=Config(
                connect_timeout=TIMEOUT_SECONDS,
                read_timeout=TIMEOUT_SECONDS,
                retries={"total_max_attempts": 1},
            ),
        )
        told = client.get_caller_identity()
    except (BotoCoreError, ClientError, ValueError) as error:
        words = " ".join(str(error).split())[:300]
        return Account("", region, endpoint, words or type(error).__name__)
    return Account(str(told.get("Account", "")), region, endpoint)
