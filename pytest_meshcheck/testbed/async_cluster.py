"""``mesh_cluster`` for coroutines: the same methods, each in a thread, so that the event loop keeps running."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_meshcheck.testbed.cluster_access import READY_WITHIN
from pytest_meshcheck.testbed.manifest_files import Source

if TYPE_CHECKING:
    from kr8s.objects import APIObject

    from pytest_meshcheck.testbed.mesh_cluster import MeshCluster

R = TypeVar("R")


@dataclass(frozen=True)
class AsyncMeshCluster:
    """The value of ``mesh_cluster.aio``, with the arguments, results and errors of ``MeshCluster``.

    Attributes:
        cluster: The cluster.
    """

    cluster: "MeshCluster"

    @asynccontextmanager
    async def namespace(self, *, enrolled: bool = True, prefix: str = "test") -> AsyncIterator[str]:
        """A namespace of a unique name while the block runs."""
        async with _entered(self.cluster.namespace(enrolled=enrolled, prefix=prefix)) as name:
            yield name

    async def apply(self, source: Source, *, namespace: str = "") -> "list[APIObject]":
        """Create or update resources."""
        return await _in_thread(partial(self.cluster.apply, source, namespace=namespace))

    async def kubectl(self, *arguments: str, namespace: str = "") -> str:
        """The output of ``kubectl``."""
        return await _in_thread(partial(self.cluster.kubectl, *arguments, namespace=namespace))

    async def wait(
        self, what: str, condition: str = "condition=Available", *, namespace: str = "", within: float = READY_WITHIN
    ) -> "APIObject":
        """Wait for a condition of a resource, and return the resource."""
        return await _in_thread(partial(self.cluster.wait, what, condition, namespace=namespace, within=within))

    @asynccontextmanager
    async def port_forward(self, what: str, port: int, *, namespace: str) -> AsyncIterator[int]:
        """A port of 127.0.0.1 that leads to a ready pod while the block runs."""
        async with _entered(self.cluster.port_forward(what, port, namespace=namespace)) as local:
            yield local

    async def load_image(self, image: str) -> None:
        """Load an image of this machine onto every node of the kind cluster."""
        await _in_thread(partial(self.cluster.load_image, image))


async def _in_thread(work: Callable[[], R]) -> R:
    import anyio.to_thread  # noqa: PLC0415 - comes with kr8s, whose extra is there wherever there is a MeshCluster

    return await anyio.to_thread.run_sync(work)


@asynccontextmanager
async def _entered(blocking: AbstractContextManager[R]) -> AsyncIterator[R]:
    """A context manager that is entered and left in a thread; also left if the caller is cancelled."""
    import anyio  # noqa: PLC0415 - as above

    value = await _in_thread(blocking.__enter__)
    try:
        yield value
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await _in_thread(partial(_left, blocking, error))
        raise
    await _in_thread(partial(blocking.__exit__, None, None, None))


def _left(blocking: AbstractContextManager[Any], error: BaseException) -> None:
    """Leave with an error, which the caller raises again."""
    try:
        blocking.__exit__(type(error), error, error.__traceback__)
    except BaseException as raised:
        if raised is not error:
            raise
