"""The interface by which the platform of local processes notifies a mesh."""

from typing import Protocol

from pytest_meshcheck.platforms.local.addresses import Member

SIDECAR_LABEL = "meshcheck.dev/sidecar"
"""``true``: the probe listens behind a sidecar that the mesh starts when the workload is admitted."""


class ControlPlane(Protocol):
    """A mesh of local processes as the platform notifies it; it registers itself as ``Processes.control_plane``.

    Each of these returns when the change is published; ``settled`` returns when the data planes have it.
    """

    async def admit(self, member: Member) -> None:
        """A workload starts: start what belongs to it, and wait until it can be reached and can reach others."""

    async def dismiss(self, member: Member) -> None:
        """A workload has stopped: stop what belonged to it."""

    async def retire(self, member: Member) -> None:
        """Before a workload stops: route nothing to it any more, and have its data plane drain."""

    async def changed(self) -> None:
        """Resources, or the addresses of endpoints, have changed."""

    async def settled(self) -> None:
        """Wait until every data plane has the published configuration."""
