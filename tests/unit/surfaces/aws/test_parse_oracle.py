"""An independent reader of the same models (moto's) understands requests the same way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

import aws_corpus
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import parse_wire

MODELS = Models()
SERVICES = ("cloudformation", "dynamodb", "rds", "iam", "sqs", "sts")
INDEX = Index.build(SERVICES, MODELS)


def plain(value: Any) -> Any:
    """Both readers' values in one form: times as UTC, no empty members."""
    if isinstance(value, dict):
        kept = {k: plain(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in ({}, [], None)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return value


def by_oracle(sample: aws_corpus.Sample) -> Any:
    """The parameters as moto's parser reads them."""
    operation = get_service_model(sample.service).operation_model(sample.operation)
    parser = PROTOCOL_PARSERS[MODELS.protocol(sample.service)]
    body = sample.wire.body.decode()
    request = {
        "body": body,
        "headers": Headers(sample.wire.headers),
        "method": sample.wire.method,
        "url_params": {},
        "url_path": sample.wire.path,
        "values": MultiDict(parse_qsl(body, keep_blank_values=True)),
    }
    return plain(parser(operation).parse(request))


def test_two_readers_agree_on_every_operation_of_the_deep_services() -> None:
    total = 0
    differing = []
    for sample in aws_corpus.samples(MODELS, aws_corpus.names(MODELS, SERVICES), full=True):
        if isinstance(sample, tuple):
            continue
        total += 1
        signing = sample.signing or "sts" * (sample.service == "sts")
        wire = sample.wire
        action = parse_wire(MODELS, INDEX, wire, signing_name=signing, region="r", account="1")
        if plain(action.as_data()["parameters"]) != by_oracle(sample):
            differing.append(action.name)
    assert total > 500
    assert differing == []
