"""Detection of the mode of a pre-installed mesh; a mode that belongs to another ``--mesh`` name is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.resources import Api


@dataclass(frozen=True)
class Trace:
    """An object in the cluster that shows the mode of a mesh.

    Attributes:
        words: Its description, for the error message.
        path: The path of a list of objects in the API.
        selector: The labels that one of them must have; empty for any.
        name: The name that one of them must have; empty for any.
    """

    words: str
    path: str
    selector: str = ""
    name: str = ""

    async def is_there(self, api: Api) -> bool:
        """Whether the cluster has such an object."""
        found, _ = await api.items(self.path, self.selector)
        return any(self.name in ("", one["metadata"]["name"]) for one in found)


@dataclass(frozen=True)
class InstalledMode:
    """A way in which a mesh can be installed.

    Attributes:
        judged_as: The matching names for ``--mesh``, the usual one first.
        words: The end of a sentence that names the mode, e.g. ``in ambient mode``.
        traces: Objects any of which shows the mode.
        otherwise: Why this is the mode if no trace of any mode exists; empty if that does not follow.
    """

    judged_as: tuple[str, ...]
    words: str
    traces: Sequence[Trace] = ()
    otherwise: str = ""


async def refuse_other(api: Api, mesh: str, installed: str, modes: Sequence[InstalledMode]) -> None:
    """Check that a mesh runs in the mode of a name.

    Args:
        api: The cluster.
        mesh: The name in ``--mesh``; a name that belongs to no mode is accepted.
        installed: A description of the installed mesh, with version and namespace.
        modes: All modes, several of which can be in use at once.

    Raises:
        MeshUnavailable: It does not; with the detected mode and the name to use.
    """
    if not any(mesh in mode.judged_as for mode in modes):
        return
    used = [(mode, trace.words) for mode in modes for trace in mode.traces if await trace.is_there(api)]
    used = used or [(mode, mode.otherwise) for mode in modes if mode.otherwise]
    if used and not any(mesh in mode.judged_as for mode, _ in used):
        raise other_mode(mesh, installed, *used[0])


def other_mode(mesh: str, installed: str, mode: InstalledMode, shown_by: str) -> MeshUnavailable:
    """The message about a mesh that runs in another mode than its name says."""
    use = " or ".join(f"--mesh={name}" for name in mode.judged_as)
    return MeshUnavailable(f"{installed} is installed {mode.words} ({shown_by}): use {use}, not --mesh={mesh}")
