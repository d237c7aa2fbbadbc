"""A local AWS for the tests that drive the surface without a gate: a world and an executor.

`LocalAws` starts the demo's local AWS on a free port, answers questions with botocore and carries
out steps, waiting for what a step waits for.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from signoff.demo.upstream import server
from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import Understanding
from signoff.model.values import Data, freeze, frozen, thaw
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import ROUNDS_MOST, Captured, Places, Restoration

SCOPE = {"account": "123456789012", "region": "eu-west-1"}


class LocalAws:
    """moto behind botocore clients."""

    def __init__(self) -> None:
        self._server = server()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._clients: dict[str, Any] = {}
        self.asked: list[str] = []

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def client(self, service: str) -> Any:
        """A botocore client that talks to the local AWS."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=SCOPE["region"],
                aws_access_key_id="AKIAEXAMPLE",
                aws_secret_access_key="example",
                config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    def call(self, name: str, **parameters: Any) -> Any:
        """One call by its name (`dynamodb:PutItem`), as an agent makes it."""
        service, _, operation = name.partition(":")
        client = self.client(service)
        methods = {v: k for k, v in client.meta.method_to_api_mapping.items()}
        return getattr(client, methods[operation])(**parameters)

    def ask(self, question: Question) -> Answer:
        """A question, answered."""
        self.asked.append(question.name)
        given: Any = thaw(question.parameters)
        service, _, operation = question.name.partition(":")
        client = self.client(service)
        methods = {v: k for k, v in client.meta.method_to_api_mapping.items()}
        try:
            if question.paginate and client.can_paginate(methods[operation]):
                pages = client.get_paginator(methods[operation]).paginate(
                    **given, PaginationConfig={"MaxItems": question.most}
                )
                value = pages.build_full_result()
                truncated = "NextToken" in value
            else:
                value, truncated = self.call(question.name, **given), False
        except ClientError as error:
            return Answer(error=error.response["Error"]["Code"])
        return Answer(_plain(value), truncated=truncated)

    def run(self, action: Action) -> Data:
        """Carry out one step; its answer as plain data."""
        given: Any = thaw(action.parameters)
        if "CopySource" in given:
            # An action carries the header as it is on the wire; botocore quotes it itself.
            given["CopySource"] = unquote(given["CopySource"])
        return _plain(self.call(action.name, **given))


def _plain(value: Any) -> Data:
    if "Body" in value and hasattr(value["Body"], "read"):
        value = {**value, "Body": value["Body"].read()}
    value = {k: v for k, v in value.items() if k != "ResponseMetadata"}
    found = freeze(value)
    assert isinstance(found, dict) or hasattr(found, "items")
    return found  # type: ignore[return-value]


def action(name: str, **parameters: Any) -> Action:
    """An action in the tests' account and region."""
    return Action("aws", name, frozen(**parameters), SCOPE)


def understand(aws: LocalAws, act: Action, places: Places | None = None) -> Understanding:
    """The rounds of questions, then the effects."""
    answers: dict[str, Answer] = {}
    for _ in range(ROUNDS_MOST):
        new = [q for q in SURFACE.questions(act, answers) if q.key not in answers]
        if not new:
            break
        answers.update({q.key: aws.ask(q) for q in new})
    else:
        raise AssertionError("questions without end")
    return SURFACE.effects(act, answers, places or Places())


def capture(aws: LocalAws, understanding: Understanding) -> tuple[tuple[Question, ...], Answers]:
    """The rounds of capture, every answer fresh."""
    answers: dict[str, Answer] = {}
    questions: tuple[Question, ...] = ()
    for _ in range(ROUNDS_MOST):
        questions = SURFACE.capture(understanding, answers)
        new = [q for q in questions if q.key not in answers]
        if not new:
            break
        answers.update({q.key: aws.ask(q) for q in new})
    else:
        raise AssertionError("captures without end")
    return questions, answers


def ask_all(aws: LocalAws, questions: tuple[Question, ...]) -> Answers:
    """The same questions, asked again."""
    return {q.key: aws.ask(q) for q in questions}


def differences(questions: tuple[Question, ...], one: Answers, other: Answers) -> list[str]:
    """Names of the questions whose fingerprints differ."""
    return [
        q.name
        for q in questions
        if SURFACE.fingerprint(q, one[q.key]) != SURFACE.fingerprint(q, other[q.key])
    ]


class Trip:
    """One action, done through the surface; `undo` takes it back and compares."""

    def __init__(self, aws: LocalAws, act: Action) -> None:
        self.aws, self.action = aws, act
        self.understanding = understand(aws, act)
        self.questions, self.before = capture(aws, self.understanding)
        self.response: Data = {}
        for step in self.understanding.plan:
            answer = aws.run(step.action)
            if step.original:
                self.response = answer
        self.after = ask_all(aws, self.questions)

    @property
    def effect(self) -> str:
        """Verb and reversibility of everything the action does, for comparing."""
        return ", ".join(
            f"{e.verb.value} {e.reversibility.value}" for e in self.understanding.effects
        )

    def restoration(self, now: Answers | None = None) -> Restoration:
        """The way back."""
        captured = Captured(
            self.questions, self.before, self.after, now or self.after, self.response
        )
        return SURFACE.restore(self.action, captured)

    def conflicts(self) -> list[str]:
        """What someone changed since."""
        return differences(self.questions, self.after, ask_all(self.aws, self.questions))

    def undo(self) -> list[str]:
        """Take it back; what is still not as it was before."""
        for step in self.restoration(ask_all(self.aws, self.questions)).steps:
            self.aws.run(step.action)
        return differences(self.questions, self.before, ask_all(self.aws, self.questions))
