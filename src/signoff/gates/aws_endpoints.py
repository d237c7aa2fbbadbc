"""Where a request may go: computed from the identified service, never from the client's Host.

The rules are botocore's own endpoint rule sets. A configured endpoint (a local AWS for
tests) stands in for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

from signoff.model.errors import ConfigInvalid, Refused
from signoff.surfaces.aws.models import Models

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one service is reached in one region, and the scope its requests are signed
    for. `host` carries the port when it is not the scheme's own."""

    scheme: str
    host: str
    region: str
    signing_name: str
    fixed: bool = False


class Endpoints:
    """Endpoints by service and region, inside the regions that are allowed."""

    def __init__(self, models: Models, regions: tuple[str, ...] = (), override: str = "") -> None:
        """`regions` empty allows every region botocore knows; `override` is a URL.

        Raises `ConfigInvalid` for an override that is plain http beyond the loopback
        interface, or no address at all.
        """
        self._models, self._regions = models, frozenset(regions)
        self._override = _override(override) if override else None
        self._loader = Loader()
        self._lock = threading.Lock()
        self._partitions: Any = None
        self._known: dict[tuple[str, str], Endpoint] = {}

    def known(self, service: str, region: str) -> Endpoint | None:
        """The endpoint when it was found before; never reads a file."""
        return self._known.get((service, region))

    def find(self, service: str, region: str) -> Endpoint:
        """The endpoint of botocore's service name in a region.

        Raises `Refused` for a region outside the allowed ones and for a service that has
        no endpoint there; `MalformedRequest` for an unknown service. The first call for a
        service reads its rules (about a millisecond).
        """
        found = self._known.get((service, region))
        if found is None:
            with self._lock:
                found = self._resolve(service, region)
            self._known[(service, region)] = found
        return found

    def _resolve(self, service: str, region: str) -> Endpoint:
        model = self._models.service(service)
        if self._partitions is None:
            self._partitions = self._loader.load_data("partitions")
        known = _partition_of(self._partitions)
        if region not in known:
            raise _outside(region, "it is no region botocore knows")
        try:
            rules = self._loader.load_service_model(service, "endpoint-rule-set-1")
            provider = EndpointProvider(rules, self._partitions)
            made = provider.resolve_endpoint(Region=region, UseFIPS=False, UseDualStack=False)
        except (BotoCoreError, KeyError, ValueError) as error:
            raise Refused(
                f"`{service}` has no endpoint in `{region}`",
                f"{type(error).__name__}",
                "choose another region",
            ) from error
        schemes: Any = made.properties.get("authSchemes") or [{}]
        home = str(schemes[0].get("signingRegion", region))
        # A service with one endpoint for all regions is reached under any region's name
        # (boto3 signs IAM for us-east-1 everywhere), inside the partition that is allowed.
        everywhere = region not in str(urlsplit(made.url).netloc).split(".")
        partitions = {known.get(name) for name in self._regions}
        allowed = region in self._regions or (everywhere and known[region] in partitions)
        if self._regions and not allowed:
            raise _outside(region, f"allowed are {', '.join(sorted(self._regions))}")
        signing_name = str(schemes[0].get("signingName", model.signing_name))
        if self._override is not None:
            url_scheme, host = self._override
            return Endpoint(url_scheme, host, home, signing_name, fixed=True)
        return Endpoint("https", str(urlsplit(made.url).netloc), home, signing_name)


def check_regions(regions: Iterable[str]) -> None:
    """Raises `ConfigInvalid` for the first region of the settings that botocore does not know.

    Reads botocore's list of partitions (some milliseconds).
    """
    known = _partition_of(Loader().load_data("partitions")) if regions else {}
    for region in regions:
        if region not in known:
            raise ConfigInvalid(
                f"there is no AWS region `{region[:40]}`",
                "it is no region botocore knows",
                "correct `aws.regions` (`init`: --region), as in `eu-west-1`",
            )


def _partition_of(partitions: Any) -> dict[str, str]:
    """The partition of every region botocore lists."""
    return {name: part["id"] for part in partitions["partitions"] for name in part["regions"]}


def _outside(region: str, why: str) -> Refused:
    return Refused(
        f"the region `{region[:40]}` is not allowed", why, "use an allowed region (`aws.regions`)"
    )


def _override(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    plain = parts.scheme == "http" and host in _LOOPBACK
    bare = not parts.query and not parts.fragment and parts.path in ("", "/")
    if not host or parts.username or not bare or not (plain or parts.scheme == "https"):
        raise ConfigInvalid(
            f"`aws.endpoint` is `{url}`",
            "it must be https, or http on the loopback interface, without a path",
            "write it as https://HOST or http://127.0.0.1:PORT",
        )
    return parts.scheme, parts.netloc
