"""Attempts to leave with a credential or a secret that works without the gate."""

from __future__ import annotations

from typing import Any

import pytest

from attacks.attacker import call, query_call, send
from attacks.conftest import Scene
from signoff.store.reading import StateFile

ROLE = "arn:aws:iam::123456789012:role/admin"
REAL = ("OWNERSREALKEYID00000", "the owners real secret")

# sentence: service, operation, parameters
CREDENTIALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a role by web identity": (
        "sts",
        "AssumeRoleWithWebIdentity",
        {"RoleArn": ROLE, "RoleSessionName": "s", "WebIdentityToken": "t"},
    ),
    "a role by SAML": (
        "sts",
        "AssumeRoleWithSAML",
        {"RoleArn": ROLE, "PrincipalArn": "p", "SAMLAssertion": "a"},
    ),
    "a root session": (
        "sts",
        "AssumeRoot",
        {"TargetPrincipal": "1", "TaskPolicyArn": {"arn": "a"}},
    ),
    "an access key": ("iam", "CreateAccessKey", {"UserName": "root"}),
    "a login for the console": (
        "iam",
        "CreateLoginProfile",
        {"UserName": "u", "Password": "p"},
    ),
    "a service's own password": (
        "iam",
        "CreateServiceSpecificCredential",
        {"UserName": "u", "ServiceName": "codecommit.amazonaws.com"},
    ),
    "a registry's token": ("ecr", "GetAuthorizationToken", {}),
    "a public registry's token": ("ecr-public", "GetAuthorizationToken", {}),
    "an artifact store's token": ("codeartifact", "GetAuthorizationToken", {"domain": "d"}),
    "a machine's password": ("ec2", "GetPasswordData", {"InstanceId": "i-1"}),
    "a new key pair": ("ec2", "CreateKeyPair", {"KeyName": "mine"}),
    "a session on a machine": ("ssm", "StartSession", {"Target": "i-1"}),
    "a cluster's credentials": (
        "redshift",
        "GetClusterCredentials",
        {"DbUser": "admin", "ClusterIdentifier": "c"},
    ),
    "an identity's credentials": (
        "cognito-identity",
        "GetCredentialsForIdentity",
        {"IdentityId": "i"},
    ),
    "a single sign-on role's credentials": (
        "sso",
        "GetRoleCredentials",
        {"roleName": "r", "accountId": "1", "accessToken": "t"},
    ),
    "a secret": ("secretsmanager", "GetSecretValue", {"SecretId": "db"}),
    "many secrets": ("secretsmanager", "BatchGetSecretValue", {"SecretIdList": ["db"]}),
    "a parameter in the clear": (
        "ssm",
        "GetParameter",
        {"Name": "/db/password", "WithDecryption": True},
    ),
    "a tree of parameters in the clear": (
        "ssm",
        "GetParametersByPath",
        {"Path": "/", "WithDecryption": True},
    ),
    "a data key": ("kms", "GenerateDataKey", {"KeyId": "k", "KeySpec": "AES_256"}),
    "a ciphertext in the clear": ("kms", "Decrypt", {"CiphertextBlob": b"x"}),
    "a certificate's private key": (
        "acm",
        "ExportCertificate",
        {"CertificateArn": "arn:x", "Passphrase": b"pass"},
    ),
    "a function's code and variables": ("lambda", "GetFunction", {"FunctionName": "f"}),
}


@pytest.mark.parametrize("sentence", CREDENTIALS)
def test_a_credential_or_secret_does_not_pass_the_gate_unasked(scene: Scene, sentence: str) -> None:
    service, operation, parameters = CREDENTIALS[sentence]
    told = scene.try_call(service, operation, **parameters)
    assert told, "it went through"
    ticket = told.partition("ticket `")[2].partition("`")[0]
    if ticket:
        assert scene.guard.control.show(ticket)["quorum"] == 2
    else:
        assert "denied" in told or "not signed" in told, told
    assert operation not in [name for name, _ in scene.aws.asked]


@pytest.mark.parametrize("operation", ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"])
def test_a_role_by_a_foreign_token_is_no_way_out_when_signed_either(
    scene: Scene, operation: str
) -> None:
    form = f"Action={operation}&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=s"
    form += "&WebIdentityToken=t&SAMLAssertion=a&PrincipalArn=p"
    seen = query_call(scene.endpoint, scene.key, "sts", form)
    assert not [secret for secret in REAL if secret in seen.text]
    assert operation not in [name for name, _ in scene.aws.asked]


@pytest.mark.parametrize(
    "form", ["Action=GetSessionToken", "Action=GetFederationToken&Name=me&Policy={}"]
)
def test_a_token_that_is_asked_for_is_a_run_key_of_the_same_run(scene: Scene, form: str) -> None:
    seen = query_call(scene.endpoint, scene.key, "sts", f"{form}&Version=2011-06-15")
    assert scene.aws.asked == []
    key_id = seen.text.partition("<AccessKeyId>")[2].partition("<")[0]
    if key_id:
        with StateFile(scene.guard.config.ledger_path) as state:
            found = state._one("SELECT run FROM run_keys WHERE key_id = ?", (key_id,))
        assert found == (scene.key["run"],)
    else:
        assert "denied" in seen.text


def test_assume_role_answers_with_a_run_key_of_the_same_run(scene: Scene) -> None:
    role = scene.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s")["Credentials"]
    assert "AssumeRole" not in [name for name, _ in scene.aws.asked]
    assert role["AccessKeyId"] not in REAL
    child = {
        "key_id": role["AccessKeyId"],
        "secret": role["SecretAccessKey"],
        "token": role["SessionToken"],
    }
    minted = scene.another_run()
    minted.key = {**child, "run": scene.key["run"]}
    assert minted.dynamodb("ListTables").status == 200
    held = minted.put(3)
    assert scene.held(held)["run"] == scene.key["run"]


def test_a_minted_key_without_its_token_is_no_key(scene: Scene) -> None:
    role = scene.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s")["Credentials"]
    minted = scene.another_run()
    minted.key = {"key_id": role["AccessKeyId"], "secret": role["SecretAccessKey"], "run": ""}
    assert minted.dynamodb("ListTables").status == 403


def test_no_answer_and_no_receipt_holds_the_real_credentials(scene: Scene) -> None:
    answers = [
        scene.dynamodb("ListTables"),
        scene.put(2),
        query_call(scene.endpoint, scene.key, "sts", "Action=GetCallerIdentity&Version=2011-06-15"),
    ]
    said = "".join(a.text + str(dict(a.headers)) for a in answers)
    said += str(scene.receipts()) + (scene.guard.folder / "daemon.log").read_text()
    assert not [secret for secret in (*REAL, scene.key["secret"]) if secret in said]


def test_what_reaches_the_target_is_signed_by_the_real_key_and_never_by_the_run_key(
    scene: Scene,
) -> None:
    scene.dynamodb("ListTables")
    signed = [w[2].get("authorization", "") for w in scene.aws.wires]
    assert signed
    assert all(REAL[0] in text for text in signed)
    assert scene.key["key_id"] not in str(scene.aws.wires)


@pytest.mark.parametrize("operation", ["get_object", "put_object", "delete_object"])
def test_a_presigned_address_of_the_run_key_opens_nothing(scene: Scene, operation: str) -> None:
    client = scene.client("s3")
    url = client.generate_presigned_url(operation, {"Bucket": "invoices", "Key": "a"})
    method = {"get_object": "GET", "put_object": "PUT", "delete_object": "DELETE"}[operation]
    seen = send(scene.endpoint, method, url.removeprefix(scene.endpoint))
    assert seen.status >= 400
    assert scene.aws.wires == []


def test_a_header_that_asks_the_target_to_sign_or_redirect_is_not_passed_on(scene: Scene) -> None:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Forwarded-Host": "evil.example",
        "X-Amz-Security-Token": "",
        "Cookie": "a=b",
    }
    call(scene.endpoint, scene.key, "dynamodb", body=b"{}", headers=headers)
    assert "evil.example" not in str(scene.aws.wires)
