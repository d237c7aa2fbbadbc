"""The minted replies are read by botocore's own parser, and hold the run key alone."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.parsers import create_parser

from signoff.gates.aws_mint import MINTED, new_key_id, render_minted
from signoff.model.action import Principal
from signoff.model.errors import MalformedRequest
from signoff.model.ports import RunKey

ROLE = "arn:aws:iam::123456789012:role/path/deployer"
KEY = RunKey(
    "ASIAQQQQQQQQQQQQQQQQ", "se<cr&t", Principal("a", "R-1", "ana"), 0, 1_760_000_000_000, "t&ken"
)


@pytest.mark.parametrize("operation", sorted(MINTED))
def test_botocore_reads_a_run_key_out_of_every_minted_reply(operation: str) -> None:
    reply = render_minted(
        operation, KEY, account="123456789012", request_id="r-1", role_arn=ROLE, session="s<1>"
    )
    model = botocore.session.get_session().get_service_model("sts").operation_model(operation)
    result = create_parser("query").parse(
        {"headers": dict(reply.headers), "status_code": reply.status, "body": reply.body},
        model.output_shape,
    )
    credentials = result["Credentials"]
    assert credentials["AccessKeyId"] == KEY.key_id
    assert credentials["SecretAccessKey"] == KEY.secret
    assert credentials["SessionToken"] == KEY.token
    assert credentials["Expiration"].timestamp() * 1000 == KEY.expires_ms
    if operation == "AssumeRole":
        arn = result["AssumedRoleUser"]["Arn"]
        assert arn == "arn:aws:sts::123456789012:assumed-role/deployer/s<1>"
    if operation == "GetFederationToken":
        assert result["FederatedUser"]["FederatedUserId"] == "123456789012:s<1>"


def test_any_other_issuing_call_is_not_answered() -> None:
    with pytest.raises(MalformedRequest):
        render_minted("AssumeRoleWithSAML", KEY, account="1", request_id="r")


def test_a_key_without_a_session_token_is_not_rendered() -> None:
    bare = RunKey("ASIA", "s", KEY.principal, 0, 1)
    with pytest.raises(ValueError, match="session token"):
        render_minted("GetSessionToken", bare, account="1", request_id="r")


def test_key_ids_look_like_aws_and_spend_every_random_bit() -> None:
    assert new_key_id(bytes(10)) == "AKIA" + "A" * 16
    assert new_key_id(b"\xff" * 10, child=True) == "ASIA" + "7" * 16
    one_bit = {new_key_id((1 << bit).to_bytes(10, "big")) for bit in range(80)}
    assert len(one_bit) == 80
    assert all(len(key_id) == 20 for key_id in one_bit)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        new_key_id(b"short")
