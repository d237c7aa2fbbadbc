"""The vectors of testkit/aws-wire: a request a file, and what it means or why it is refused.

A file has a line of why, the signing name (`-` for none), the request as HTTP/1.1 without
line ends of its own, `----`, and the answer as JSON: `name` and `parameters`, or `refused`
with a part of the message.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import aws_corpus
from signoff.model.errors import MalformedRequest
from signoff.model.values import canonical
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import parse_wire
from signoff.surfaces.aws.wire import WireRequest

VECTORS = sorted((Path(__file__).resolve().parents[4] / "testkit" / "aws-wire").glob("*.txt"))
MODELS = Models()
INDEX = Index.build(aws_corpus.DEEP, MODELS)


def vector(path: Path) -> tuple[str, WireRequest, dict[str, object]]:
    request, _, answer = path.read_text().partition("\n----\n")
    _, head, rest = (*request.split("\n\n", 1)[0].split("\n"), request.split("\n\n", 1)[1])
    top, _, body = rest.partition("\n\n")
    line, *lines = top.split("\n")
    method, target, _ = line.split(" ")
    where, _, query = target.partition("?")
    headers = tuple((k.lower(), v.strip()) for k, _, v in (h.partition(":") for h in lines))
    signing = head.removeprefix("signed for: ").strip("-")
    return signing, WireRequest(method, where, query, headers, body.encode()), json.loads(answer)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 19


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_a_vector_means_what_it_says(path: Path) -> None:
    signing, wire, answer = vector(path)
    if "refused" in answer:
        with pytest.raises(MalformedRequest) as caught:
            parse_wire(MODELS, INDEX, wire, signing_name=signing, region="r", account="1")
        assert str(answer["refused"]) in str(caught.value)
        return
    action = parse_wire(MODELS, INDEX, wire, signing_name=signing, region="r", account="1")
    assert action.name == answer["name"]
    assert canonical(action.parameters) == canonical(answer["parameters"])
