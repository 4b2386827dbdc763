"""Route configurations: one catch-all route per port, outbound with timeout and retries."""

from functools import lru_cache

from pytest_meshcheck.meshes.envoy.sidecar_config import Retries, Service
from pytest_meshcheck.meshes.envoy.xds.resources import REMEMBERED, Resource, seconds, typed
from pytest_meshcheck.model.policy import MARK

BACK_OFF = {"base_interval": "0.005s", "max_interval": "0.050s"}
"""The back-off in seconds, fully jittered: at most 5 ms before the first retry, never above 50 ms."""

ANOTHER_ENDPOINT: Resource = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
}
"""Has a retry go to an endpoint that has not failed yet, if the service has one."""

SELECTIONS = 5
"""Selections of an endpoint until one that has failed before is accepted."""

RETRY_BODY_LIMIT = 1024 * 1024
"""The maximum size in bytes of a request body that is kept for a retry."""


@lru_cache(maxsize=REMEMBERED)
def outbound_route(service: Service) -> Resource:
    """The route configuration of an outbound HTTP port."""
    name = service.resource
    action: Resource = {"cluster": name, "timeout": seconds(service.timeout)}
    if service.retries is not None:
        action["retry_policy"] = _retry_policy(service.retries)
    shown = {"response_headers_to_add": [_mark(service.mark)]} if service.mark else {}
    return {"name": name, "virtual_hosts": [_everything(action)], **shown}


@lru_cache(maxsize=REMEMBERED)
def inbound_route(cluster: str) -> Resource:
    """The route configuration of an inbound HTTP port: to the application."""
    return {"name": cluster, "virtual_hosts": [_everything({"cluster": cluster, "timeout": "0s"})]}


def _mark(policies: str) -> Resource:
    return {"header": {"key": MARK, "value": policies}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _everything(action: Resource) -> Resource:
    route = {"match": {"prefix": "/"}, "route": action}
    return {"name": "all", "domains": ["*"], "routes": [route], "request_body_buffer_limit": RETRY_BODY_LIMIT}


def _retry_policy(retries: Retries) -> Resource:
    conditions = (("retriable-status-codes",) if retries.statuses else ()) + retries.conditions
    policy: Resource = {
        "retry_on": ",".join(conditions),
        "num_retries": retries.attempts,
        "retry_back_off": dict(BACK_OFF),
        "retry_host_predicate": [ANOTHER_ENDPOINT],
        "host_selection_retry_max_attempts": SELECTIONS,
    }
    if retries.statuses:
        policy["retriable_status_codes"] = list(retries.statuses)
    if retries.per_try is not None:
        policy["per_try_timeout"] = seconds(retries.per_try)
    return policy
