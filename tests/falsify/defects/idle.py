"""Data planes that close what is idle, or that repeat what was served."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.retry import by_default

IDLE_LIMIT = {"idle_timeout": "1s"}


def idle_connections_closed(_workload: str, resources: Resources) -> None:
    for manager in parts.managers(*parts.outbound(resources)):
        manager["common_http_protocol_options"] = IDLE_LIMIT


IDLE = "timeout/idle-connection-is-reusable"

DEFECTS = {
    "idle-connections-closed": Defect(
        "A connection is closed after a second without a request.", (f"{IDLE}[two-seconds]",), idle_connections_closed
    ),
    "served-requests-repeated": Defect(
        "A request that was served is sent again, though nobody asked for it.",
        (f"{IDLE}[two-seconds]",),
        by_default(retry_on="retriable-status-codes", retriable_status_codes=[200], num_retries=1),
    ),
}
