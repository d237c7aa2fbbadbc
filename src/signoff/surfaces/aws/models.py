"""botocore's service models: what operations exist and what their members mean.

The models are the one source of names and types for reading a request, judging it and
writing it again. They are loaded from the installed botocore, one service at a time, and
kept. Shapes are interned by (name, traits), so a recursive shape is one object however
deep a request nests, and hostile input cannot make the table grow.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import botocore
from botocore import loaders
from botocore.model import ServiceModel, Shape, ShapeResolver

from signoff.model.errors import MalformedRequest

BOTOCORE_VERSION: str = str(botocore.__version__)


class InternedShapes:
    """Resolves references to shapes and hands out each (name, traits) only once."""

    def __init__(self, shapes: dict[str, Any]) -> None:
        self._shapes = shapes
        self._known: dict[tuple[str, str], Any] = {}

    def get_shape_by_name(self, name: str, member_traits: dict[str, Any] | None = None) -> Any:
        """The shape with the traits of the member that refers to it.

        Raises `KeyError` for a name the service does not have.
        """
        key = (name, repr(sorted(member_traits.items())) if member_traits else "")
        shape = self._known.get(key)
        if shape is None:
            described = self._shapes[name]
            if member_traits:
                described = {**described, **member_traits}
            kind = ShapeResolver.SHAPE_CLASSES.get(described["type"], Shape)
            shape = self._known.setdefault(key, kind(name, described, self))
        return shape

    def resolve_shape_ref(self, reference: dict[str, Any]) -> Any:
        """The shape a member's reference (`{"shape": name, ...traits}`) stands for."""
        traits = {k: v for k, v in reference.items() if k not in ("shape", "documentation")}
        return self.get_shape_by_name(reference["shape"], traits or None)


@dataclass(frozen=True)
class Operation:
    """What is known of one operation before any request is seen.

    `model` and `input` are botocore's own (`input` is None without members); `generated`
    names the members a client makes up anew for each attempt, `sensitive` those the model
    marks as secret; `body` is the member that is the whole HTTP body, `raw` whether that
    body is bytes nobody interprets; `host_prefix` is the endpoint's, with its labels.
    """

    service: str
    name: str
    model: Any
    input: Any
    output: Any
    generated: frozenset[str]
    sensitive: frozenset[str]
    body: str
    raw: bool
    host_prefix: str

    @property
    def action_name(self) -> str:
        """`service:Operation`, as actions are named on this surface."""
        return f"{self.service}:{self.name}"


class Models:
    """Service models by botocore's service name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._loader = loaders.Loader()
        self._lock = threading.RLock()
        self._models: dict[str, Any] = {}
        self._operations: dict[tuple[str, str], Operation] = {}
        self._services: tuple[str, ...] | None = None

    def services(self) -> tuple[str, ...]:
        """Every service the installed botocore describes, sorted."""
        with self._lock:
            if self._services is None:
                self._services = tuple(sorted(self._loader.list_available_services("service-2")))
            return self._services

    def preload(self, names: Iterable[str]) -> None:
        """Load these services now, so that no request waits for it."""
        for name in names:
            self.service(name)

    def service(self, name: str) -> Any:
        """botocore's `ServiceModel`; raises `MalformedRequest` for an unknown service."""
        found = self._models.get(name)
        if found is not None:
            return found
        with self._lock:
            if name in self._models:
                return self._models[name]
            if name not in self.services():
                raise MalformedRequest(
                    f"unknown service `{name[:80]}`",
                    f"botocore {BOTOCORE_VERSION} does not describe it",
                    "use botocore's service name, as in `dynamodb`",
                )
            described = self._loader.load_service_model(name, "service-2")
            model = ServiceModel(described, name)
            model._shape_resolver = InternedShapes(described.get("shapes", {}))
            self._models[name] = model
            return model

    def protocol(self, service: str) -> str:
        """The protocol botocore's own client speaks: `json`, `query`, `rest-xml`, ..."""
        return str(self.service(service).resolved_protocol)

    def protocols(self, service: str) -> frozenset[str]:
        """Every protocol the service listens to."""
        model = self.service(service)
        return frozenset([*(model.metadata.get("protocols") or ()), model.protocol])

    def operation(self, service: str, name: str) -> Operation:
        """The facts of one operation; raises `MalformedRequest` when there is none."""
        found = self._operations.get((service, name))
        if found is not None:
            return found
        model = self.service(service)
        with self._lock:
            if name not in model.operation_names:
                raise MalformedRequest(
                    f"unknown operation `{service}:{name[:80]}`",
                    f"botocore {BOTOCORE_VERSION} does not describe it",
                    "use botocore's operation name, as in `DeleteTable`",
                )
            operation = _facts(service, name, model.operation_model(name))
            return self._operations.setdefault((service, name), operation)


def is_sensitive(shape: Any) -> bool:
    """Whether the model says that values of this shape are secrets."""
    return bool(shape.metadata.get("sensitive"))


_TOKENS = frozenset({"clienttoken", "clientrequesttoken", "idempotencytoken"})
_MARKED = ("token", "tokenid", "requestid", "operationid")
"""How names of real tokens end. Some models mark a member as one that names the thing itself
(`NamedQueryId` of athena's DeleteNamedQuery), and that decides what the request does."""
_NO_TOKENS = frozenset({"codepipeline"})
"""There a `clientToken` is half of a job worker's identity."""


def _tokens(service: str, model: Any, members: Mapping[str, Any]) -> frozenset[str]:
    """Idempotency tokens by their names: not every model marks them (CloudFormation's none,
    sixteen operations of EC2)."""
    marked = frozenset(n for n in model.idempotent_members if n.lower().endswith(_MARKED))
    if service in _NO_TOKENS:
        return marked
    return marked | frozenset(
        name
        for name, shape in members.items()
        if name.lower() in _TOKENS and shape.type_name == "string"
    )


def _facts(service: str, name: str, model: Any) -> Operation:
    shape = model.input_shape
    members = shape.members if shape is not None else {}
    body = shape.serialization.get("payload", "") if shape is not None else ""
    return Operation(
        service=service,
        name=name,
        model=model,
        input=shape,
        output=model.output_shape,
        generated=_tokens(service, model, members),
        sensitive=frozenset(k for k, v in members.items() if is_sensitive(v)),
        body=body,
        raw=bool(body) and members[body].type_name == "blob",
        host_prefix=(model.endpoint or {}).get("hostPrefix", ""),
    )
