"""Resources that dead runs left behind, and how to remove them."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.cleanup.namespaces import remove_namespaces, runs_in
from pytest_meshcheck.platforms.cleanup.run_records import (
    KeptCluster,
    OwnCluster,
    RunRecord,
    adopted,
    forget,
    records,
    reserved,
)
from pytest_meshcheck.platforms.helm import helm
from pytest_meshcheck.platforms.helm.helm import Helm
from pytest_meshcheck.platforms.helm.installation import installed_by, remove
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kind.cluster import KEPT, OURS, Kind
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, NamedCluster
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import contexts, located
from pytest_meshcheck.platforms.kubernetes.api.resources import REACHABLE_WITHIN, Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Refused
from pytest_meshcheck.platforms.run_directory import RunDirectory, dead_runs

IS_KEPT = "--mesh-keep=always keeps it for the next run"
NO_RECORD = "it has no run record: kept on purpose, or created by another user or machine"
UNINSTALLED_WITHIN = 120.0
NO_CONTEXT = "its context is no longer in the kubeconfig"


Uninstall = Callable[[str, ClusterRef], str]
"""Uninstalls the mesh ``NAME[@VERSION]`` of a run through its adapter; returns an error message, empty on success."""


@dataclass(frozen=True)
class Leftover:
    """One resource that a run left behind.

    Attributes:
        what: Its name, for messages.
        remove: Removes it; returns an error message, empty on success.
        doubt: Why it may still be in use; empty if it certainly is not.
    """

    what: str
    remove: Callable[[], str]
    doubt: str = ""


def left_by_dead_runs() -> list[str]:
    """Descriptions of what dead runs of this user left in clusters, for a line at the start of the next run."""
    return [_described(record) for record in records()[1] if not _is_gone(record)]


def finished(cluster: Kind) -> bool:
    """Whether a kept cluster exists; removes one whose creation was interrupted. The caller holds its reservation."""
    for record in records()[1]:
        is_of_it = isinstance(record.where, OwnCluster) and record.uses(cluster.name) and record.is_in_reach
        if is_of_it and not cluster.delete():
            forget(record)
    return cluster.exists()


def of_dead_runs(uninstall: Uninstall) -> Iterator[Leftover]:
    """Resources named by this user's run records, records whose resources are gone, and run directories."""
    for record in records()[1]:
        if doubt := _doubt(record):
            yield Leftover(f"record of {_described(record)}", partial(_remove, record), doubt)
        elif _is_gone(record):
            yield Leftover(f"record of {_described(record)}, which is gone", partial(_remove, record))
        else:
            yield Leftover(_described(record), partial(_remove, record, uninstall))
    for path in dead_runs(Path(tempfile.gettempdir())):
        yield Leftover(f"folder {path}", partial(_remove_folder, path))


def of_nobody() -> Iterator[Leftover]:
    """Kind clusters with a name of ours and no run record, or kept and not in use.

    Raises:
        MeshUnavailable: They cannot be listed.
    """
    if shutil.which("kind") is None:
        return
    alive, dead = records()
    for name in filter(lambda name: name.startswith(OURS), kind.clusters()):
        known = [*alive, *(record for record in dead if isinstance(record.where, OwnCluster))]
        if not any(record.uses(name) for record in known):
            doubt = IS_KEPT if name.startswith(KEPT) else NO_RECORD
            yield Leftover(f"kind cluster {name}", partial(_remove_kind, name), doubt)


def in_cluster(kubeconfig: Path | None, context: str | None) -> Iterator[Leftover]:
    """Namespaces in a cluster of runs that are not alive; MeshUnavailable if the cluster is unreachable."""
    alive, dead = ({record.run for record in some} for some in records())
    context = contexts(kubeconfig).named(context)
    for run, names in sorted(asyncio.run(runs_in(kubeconfig, context)).items()):
        if run not in alive:
            there = ClusterRef(run, "", "", str(located(kubeconfig)), context)
            what = f"namespaces {', '.join(sorted(names))} of run {run}"
            yield Leftover(what, partial(_remove_namespaces, there), "" if run in dead else NO_RECORD)


def _described(record: RunRecord) -> str:
    match record.where:
        case OwnCluster(name):
            return f"kind cluster {name}"
        case KeptCluster(name):
            return f"namespaces of run {record.run} in kind cluster {name}"
        case NamedCluster(context):
            meshes = f" (with {', '.join(record.meshes)})" if record.meshes else ""
            return f"resources of run {record.run} in context {context}{meshes}"


def _is_gone(record: RunRecord) -> bool:
    """Whether the resource of a record certainly no longer exists."""
    if isinstance(record.where, NamedCluster) or shutil.which("kind") is None:
        return False
    try:
        return record.is_in_reach and not kind.has(record.where.name)
    except MeshUnavailable:
        return False


def _doubt(record: RunRecord) -> str:
    if not record.is_in_reach:
        return f"it is managed by another container engine: set {record.engine}"
    if not isinstance(record.where, NamedCluster):
        return ""
    try:
        known = contexts(record.where.path)
    except MeshUnavailable:
        return NO_CONTEXT
    return "" if record.where.context in known.names else NO_CONTEXT


def _remove(record: RunRecord, uninstall: Uninstall | None = None) -> str:
    """Remove the resources that a record names, then the record; without ``uninstall`` only the record."""
    with adopted(record) as ours:
        if not ours:
            return ""  # another process is removing it
        try:
            trouble = _remove_made(record, uninstall) if uninstall and not _is_gone(record) else ""
        except (Inconclusive, MeshUnavailable) as error:
            return str(error)
        if not trouble:
            forget(record)
        return trouble


def _remove_made(record: RunRecord, uninstall: Uninstall) -> str:
    match record.where:
        case OwnCluster(name):
            return _remove_kind(name, record.run)
        case KeptCluster(name):
            with contextlib.closing(RunDirectory()) as folder:
                kubeconfig = folder.path / "kubeconfig"
                Kind(name).write_kubeconfig(kubeconfig)
                return _remove_namespaces(ClusterRef(record.run, "", "", str(kubeconfig), Kind(name).context))
        case NamedCluster(context) as named:
            there = ClusterRef(record.run, "", "", str(located(named.path)), context)
            return (
                _remove_namespaces(there)
                or asyncio.run(_remove_installed(there))
                or "; ".join(filter(None, [uninstall(mesh, there) for mesh in record.meshes]))
            )


def _remove_kind(name: str, dead: str = "") -> str:
    """Remove a cluster that no run uses but the dead one whose record we hold.

    A run that waits for the name has written that down before, and is seen; one that comes later waits for us.
    """
    with reserved(name) if name.startswith(KEPT) else contextlib.nullcontext():
        users = [record.run for record in records()[0] if record.uses(name) and record.run != dead]
        return f"run {users[0]} uses it" if users else Kind(name).delete()


async def _remove_installed(cluster_ref: ClusterRef) -> str:
    """Remove the Helm meshes of a run; helm is required only if there is one."""
    api = await Api.connect(cluster_ref.kubeconfig, cluster_ref.context)
    try:
        for one in await installed_by(api, cluster_ref.run):
            helm.require()
            await remove(api, Helm(cluster_ref.kubeconfig, cluster_ref.context), one, UNINSTALLED_WITHIN)
    except (*UNREACHABLE, Refused) as error:
        return f"the API server failed: {error}"
    finally:
        await api.close()
    return ""


def _remove_namespaces(cluster_ref: ClusterRef) -> str:
    left = asyncio.run(remove_namespaces(cluster_ref, REACHABLE_WITHIN))
    return f"still there: {', '.join(left)}" if left else ""


def _remove_folder(path: Path) -> str:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return ""  # another run has removed it
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""
