"""The embedded mesh with other documentation: an error after the last retry, and a limit for every request."""

from dataclasses import replace
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from tests.falsify import parts
from tests.falsify.defect import Resources

LIMIT = 1.0
"""Seconds."""

EXHAUSTED = 503

OFF = "0s"

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
    """Documents both, and has neither."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self.documented = replace(
            self.documented,
            timeout=replace(self.documented.timeout, default=LIMIT),
            retry=replace(self.documented.retry, exhausted_statuses=frozenset({EXHAUSTED})),
        )


class PromisesKept(PromisesBroken):
    """Documents both, and has both."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, publish_hook=keep_promises, **named)


def keep_promises(_workload: str, resources: Resources) -> Resources:
    """Limit what is not limited, and replace the last answer where retries are in force."""
    for action in parts.actions(resources):
        if action["timeout"] == OFF:
            action["timeout"] = f"{LIMIT}s"
    parts.script(LAST_ANSWER_REPLACED, *parts.listeners_that_retry(resources))
    return resources
