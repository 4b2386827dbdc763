"""Errors that are not the mesh's fault."""

from pytest_meshcheck.model.redaction import redacted


class Inconclusive(Exception):
    """The check could not judge: a control failed, or the platform, the mesh or a probe broke."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class Unsupported(Exception):
    """The mesh has no way to express what was asked of it; says what, why and where that is documented."""


class MeshUnavailable(Exception):
    """The mesh that was asked for cannot be had on this machine; says why, and the next step. Nothing was made yet."""


class ClusterError(Exception):
    """What a test asked of its cluster failed; names it, and says why."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))
