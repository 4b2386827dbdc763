"""In which mode a mesh is installed that was there before the run: one that is judged under another name is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.resources import Api


@dataclass(frozen=True)
class Trace:
    """What there is in a cluster where a mesh runs in some mode.

    Attributes:
        words: What it is, for whoever asked for another mode.
        path: A list of objects.
        selector: The labels that one of them has; empty for any.
        name: The name that one of them has; empty for any.
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
class Mode:
    """A way in which a mesh can be installed.

    Attributes:
        judged_as: What ``--mesh`` has to name, the usual one first.
        words: How a sentence ends that says so, e.g. ``in ambient mode``.
        traces: Any of them shows that it is used.
        otherwise: Why it is this mode where no trace of any is there; empty where it is not.
    """

    judged_as: tuple[str, ...]
    words: str
    traces: Sequence[Trace] = ()
    otherwise: str = ""


async def refuse_other(api: Api, mesh: str, installed: str, modes: Sequence[Mode]) -> None:
    """Make sure that a mesh runs in the mode that a name stands for.

    Args:
        api: The cluster.
        mesh: The name that was asked for; one that no mode is judged as is let pass.
        installed: What is there, with its version and namespace.
        modes: All that it can be installed in, several of them at once.

    Raises:
        MeshUnavailable: It does not; names the mode that it runs in, and what to ask for.
    """
    if not any(mesh in mode.judged_as for mode in modes):
        return
    used = [(mode, trace.words) for mode in modes for trace in mode.traces if await trace.is_there(api)]
    used = used or [(mode, mode.otherwise) for mode in modes if mode.otherwise]
    if used and not any(mesh in mode.judged_as for mode, _ in used):
        raise other_mode(mesh, installed, *used[0])


def other_mode(mesh: str, installed: str, mode: Mode, shown_by: str) -> MeshUnavailable:
    """What to say of a mesh that runs in another mode than a name stands for."""
    use = " or ".join(f"--mesh={name}" for name in mode.judged_as)
    return MeshUnavailable(f"{installed} is installed {mode.words} ({shown_by}): use {use}, not --mesh={mesh}")
