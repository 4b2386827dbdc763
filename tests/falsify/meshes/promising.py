"""The embedded mesh with other documentation.

An error after the last retry, a header with the number of an attempt, a limit for every request, and a second way to
write one; and tunnels, in which peers reach a workload.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_meshcheck.meshes.base import TlsEndpoint
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.policy import FieldTimeout, Policy, Retry
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest
from tests.falsify import parts
from tests.falsify.defect import Resources

LIMIT = 1.0
"""Seconds."""

EXHAUSTED = 503

ATTEMPT_HEADER = "x-envoy-attempt-count"


LAST_ANSWER_REPLACED = """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "502" then
    handle:headers():replace(":status", "503")
    local body = handle:body(true):setBytes("retries exhausted")
    handle:headers():replace("content-length", body)
  end
end
"""


class PromisesBroken(EnvoyMesh):
    """Documents them, and has none."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self.documented = replace(
            self.documented,
            timeout=replace(self.documented.timeout, default=LIMIT, in_field=True),
            retry=replace(
                self.documented.retry, exhausted_statuses=frozenset({EXHAUSTED}), attempt_header=ATTEMPT_HEADER
            ),
        )

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return super().render([policy for policy in policies if not isinstance(policy, FieldTimeout)])


class PromisesKept(PromisesBroken):
    """Documents them, and has them."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **{"publish_hook": keep_promises, **named})

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """A tunnel to the application, which the listener of the port accepts."""
        sidecar = super().endpoint(workload, port)
        host, number = sidecar.address
        return replace(sidecar, alpn=("h2",), tunnel=f"{host}:{number}")

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return EnvoyMesh.render(self, policies)


class TunnelsForAll(PromisesKept):
    """Documents them, and its tunnels are open to everybody."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, publish_hook=open_tunnels, **named)


class GivesUpEarly(PromisesKept):
    """Documents them, and has them, but its error comes one retry too soon."""

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return super().render([_one_retry_less(policy) if isinstance(policy, Retry) else policy for policy in policies])


def _one_retry_less(policy: Retry) -> Retry:
    return replace(policy, attempts=policy.attempts - 1)


def keep_promises(_workload: str, resources: Resources) -> Resources:
    """Limit what is not limited, number attempts, and replace the last answer where retries are in force."""
    for configuration in resources["routes"]:
        for host in configuration["virtual_hosts"]:
            host["include_request_attempt_count"] = configuration["name"].startswith("outbound.")
    for action in parts.actions(resources):
        if action["timeout"] == parts.OFF:
            action["timeout"] = f"{LIMIT}s"
    parts.script(LAST_ANSWER_REPLACED, *parts.listeners_that_retry(resources))
    _accept_tunnels(resources)
    return resources


def open_tunnels(workload: str, resources: Resources) -> Resources:
    """The same, and ask peers for no certificate."""
    kept = keep_promises(workload, resources)
    for context in parts.server_contexts(kept):
        parts.ask_for_no_certificate(context)
    return kept


def _accept_tunnels(resources: Resources) -> None:
    """Have the inbound HTTP listeners terminate tunnels, and forward the tunnelled traffic to the application."""
    connect = {"upgrade_type": "CONNECT"}
    for manager in parts.managers(*parts.inbound(resources)):
        manager["http2_protocol_options"] = {"allow_connect": True}
        manager["upgrade_configs"] = [connect]
    for configuration in resources["routes"]:
        name = configuration["name"]
        if name.startswith("inbound."):
            route = {"cluster": name, "timeout": parts.OFF, "upgrade_configs": [{**connect, "connect_config": {}}]}
            for host in configuration["virtual_hosts"]:
                host["routes"].insert(0, {"match": {"connect_matcher": {}}, "route": route})
