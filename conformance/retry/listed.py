"""Failures that a retry policy lists."""

from collections.abc import Mapping, Set as AbstractSet
from typing import Any

import pytest

from pytest_meshcheck.suite import Capability, Documented, Failure, needs, proves

GRPC: Mapping[Failure, int] = {
    # failure: its gRPC status
    Failure.GRPC_CANCELLED: 1,
    Failure.GRPC_DEADLINE_EXCEEDED: 4,
    Failure.GRPC_RESOURCE_EXHAUSTED: 8,
    Failure.GRPC_INTERNAL: 13,
    Failure.GRPC_UNAVAILABLE: 14,
}


def unlistable(failure: Failure, documented: Documented) -> str:
    """Why a policy of the mesh cannot list a failure; empty if it can."""
    known = failure is Failure.STATUS or failure in documented.retry.failures
    return "" if known else f"{failure} cannot be listed for retries"


def listable(failure: Failure) -> pytest.MarkDecorator:
    """Needs that a retry policy can list a failure."""

    def lacking(documented: Documented) -> str:
        return unlistable(failure, documented)

    return needs(lacking)


def proven_after(failure: Failure) -> pytest.MarkDecorator:
    """Proves the capability of a mesh that retries after a failure."""
    return proves(Capability.RETRY_GRPC if failure in GRPC else Capability.RETRY)


def listing(failure: Failure, statuses: AbstractSet[int] = frozenset({503})) -> dict[str, Any]:
    """The condition of a ``Retry`` after a failure, or after these statuses where it is one."""
    return {"statuses": statuses} if failure is Failure.STATUS else {"on": {failure}}
