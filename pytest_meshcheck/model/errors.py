"""Errors that are not the mesh's fault."""

from pytest_meshcheck.model.redaction import redacted


class Inconclusive(Exception):
    """The check has no verdict on the mesh: a control failed, or the platform, the mesh or a probe broke."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class StillInEffect(Inconclusive):
    """A deleted policy is still in effect after the documented time: later checks would run under the wrong policy."""

    def __init__(self, met: str) -> None:
        super().__init__(f"a deleted policy is still in effect: {met}")


class Unsupported(Exception):
    """The mesh cannot express or do something; the message has the reason and its source."""


class MeshUnavailable(Exception):
    """The mesh cannot be provided; with the reason and the next step. Nothing was created yet."""


class ClusterError(Exception):
    """An operation of a test on its cluster failed; with the operation and the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))
