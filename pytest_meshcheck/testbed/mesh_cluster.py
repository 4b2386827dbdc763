"""The cluster with a mesh on it, for a user's own tests: namespaces, manifests, ports; no workload of the suite."""

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kind.cluster import Kind
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from pytest_meshcheck.testbed.async_cluster import AsyncMeshCluster
from pytest_meshcheck.testbed.cluster_access import READY_WITHIN, Access
from pytest_meshcheck.testbed.manifest_files import Source, manifests_of

if TYPE_CHECKING:
    import kr8s
    from kr8s.objects import APIObject

LONGEST_PREFIX = 30
"""Characters; with the run and a random part a namespace's name stays below the 63 that Kubernetes allows."""

KUBECTL_WITHIN = 300.0
PAUSE = 0.2
CONDITIONS = ("condition=TYPE[=STATUS]", "jsonpath={.PATH}=VALUE", "delete")
CONDITION = re.compile(r"condition=\w+(=\w+)?|jsonpath='?\{(?P<path>.+)\}'?=(?P<value>.*)|delete")


@dataclass(eq=False, repr=False)
class MeshCluster:
    """The value of the fixture ``mesh_cluster``. Its methods block; ``aio`` has the same ones to await.

    Attributes:
        adapter: The adapter of the mesh.
        access: The access to the API server.
        owner: The labels of the namespaces, by which ``meshcheck clean`` finds leftovers.
        kind: The kind cluster; None for any other cluster.
        scale: The factor for time limits (``--mesh-timeout-scale``).
        namespaces: The existing namespaces of the tests.
        artefacts: The directory for logs and events if the current test fails; None: nothing is kept.
    """

    adapter: Mesh
    access: Access
    owner: Ownership
    kind: Kind | None
    scale: float = 1.0
    namespaces: list[str] = field(default_factory=list)
    artefacts: Path | None = None
    _to_delete: list[Manifest] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<MeshCluster {self.name}: {self.mesh} {self.version}>"

    @property
    def name(self) -> str:
        """The name of the kind cluster, or the context of any other cluster."""
        return self.kind.name if self.kind else self.access.context

    @property
    def kubeconfig(self) -> str:
        """The kubeconfig: a path, or several with colons between them, as in ``KUBECONFIG``."""
        return str(self.access.kubeconfig)

    @property
    def context(self) -> str:
        """The context in the kubeconfig."""
        return self.access.context

    @property
    def mesh(self) -> str:
        """The name of the mesh, such as ``istio``."""
        return self.adapter.name

    @property
    def version(self) -> str:
        """The version of the mesh that is installed."""
        return self.adapter.version

    @property
    def api(self) -> "kr8s.Api":
        """The kr8s client of the cluster, for everything else."""
        return self.access.client

    @property
    def aio(self) -> AsyncMeshCluster:
        """The same methods for coroutines, in any event loop."""
        return AsyncMeshCluster(self)

    @contextmanager
    def namespace(self, *, enrolled: bool = True, prefix: str = "test") -> Iterator[str]:
        """A namespace of a unique name while the block runs; its deletion begins at the end of the block.

        Args:
            enrolled: Whether every pod in it joins the mesh.
            prefix: The beginning of its name, at most 30 characters.

        Raises:
            ClusterError: It cannot be created.
            Unsupported: The adapter does not say how the mesh enrols a namespace.
        """
        name = self._make_namespace(enrolled=enrolled, prefix=prefix)
        try:
            yield name
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt | GeneratorExit):
                self.keep_state(name)
            raise
        finally:
            self._delete_namespace(name)

    def apply(self, source: Source, *, namespace: str = "") -> "list[APIObject]":
        """Create or update resources by server-side apply.

        Resources created outside the namespaces of ``namespace()`` are deleted at the end of the run.

        Args:
            source: The path of a file or folder, YAML text, a manifest or several.
            namespace: The namespace of resources that name none.

        Raises:
            ClusterError: The source cannot be used, or the API server rejects a resource.
        """
        applied = self.access.apply(manifests_of(source), namespace)
        new = [one.resource for one in applied if one.is_new]
        self._to_delete += [one for one in new if one["metadata"].get("namespace") not in self.namespaces]
        return [self.access.object(one.resource) for one in applied]

    def kubectl(self, *arguments: str, namespace: str = "") -> str:
        """The output of ``kubectl``, run with the cluster's kubeconfig and context.

        Raises:
            ClusterError: There is no kubectl, it fails, or it does not end within 300 s; quotes its error output.
        """
        where = ["--context", self.context, *(["--namespace", namespace] if namespace else [])]
        called = f"kubectl {' '.join(arguments)}"
        try:
            ran = subprocess.run(
                ["kubectl", *where, *arguments],  # noqa: S607 - the user's own
                env=os.environ | {"KUBECONFIG": self.kubeconfig},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=KUBECTL_WITHIN * self.scale,
            )
        except FileNotFoundError as missing:
            raise ClusterError(f"no program kubectl on the PATH: `{called}` cannot be run") from missing
        except subprocess.TimeoutExpired as late:
            raise ClusterError(f"`{called}` did not end within {late.timeout:.0f} s") from late
        if ran.returncode:
            raise ClusterError(f"`{called}` ended with {ran.returncode}: {' '.join(ran.stderr.split())}")
        return ran.stdout

    def wait(
        self, what: str, condition: str = "condition=Available", *, namespace: str = "", within: float = READY_WITHIN
    ) -> "APIObject":
        """Wait for a condition of a resource, and return the resource.

        Args:
            what: ``KIND/NAME``, such as ``deployment/shop``.
            condition: As ``kubectl wait --for`` takes it: ``condition=Ready``, ``jsonpath={.status.phase}=Running``,
                ``delete``.
            namespace: Its namespace; empty for resources without one.
            within: Seconds.

        Raises:
            ClusterError: There is no such resource, or it does not meet the condition in time; with the pods' state.
        """
        matched = CONDITION.fullmatch(condition)
        if matched is None:
            raise ClusterError(f"condition {condition!r}: valid are {', '.join(CONDITIONS)}")
        found = self.access.named(what, namespace)
        patience = within * self.scale
        try:
            _wait(found, _as_kr8s(condition, matched), patience)
        except TimeoutError:
            why = f": {self.access.trouble(namespace)}" if namespace else ""
            raise ClusterError(f"{what} does not meet {condition} within {patience:.0f} s{why}") from None
        return found

    @contextmanager
    def port_forward(self, what: str, port: int, *, namespace: str) -> Iterator[int]:
        """A port of 127.0.0.1 that leads to a ready pod of a service, a deployment or a pod while the block runs.

        As with ``kubectl port-forward``, its connections enter the pod past the sidecar: to test the mesh, call from
        another pod.

        Args:
            what: ``KIND/NAME``, such as ``service/shop``.
            port: The port of the service, or otherwise of the pod.
            namespace: Its namespace.

        Raises:
            ClusterError: There is no such resource or port.
        """
        found: Any = self.access.named(what, namespace)
        pod = found if found.kind == "Pod" else _ready_pod(found, what)
        with pod.portforward(_port_of(pod, found, what, port), local_port="auto") as local:
            yield local

    def load_image(self, image: str) -> None:
        """Load an image of this machine onto every node of the kind cluster.

        Raises:
            ClusterError: It is not a kind cluster of this machine.
            Inconclusive: kind cannot load it; the message has the reason.
        """
        if self.kind is None:
            raise ClusterError(
                f"{image} cannot be loaded: {self.name} is not a kind cluster of this machine; have its nodes pull it"
            )
        self.kind.load(image)

    def keep_state(self, *namespaces: str) -> None:
        """Write logs and events of namespaces, by default of all, to the artefacts of the test."""
        if self.artefacts is not None and (wanted := namespaces or tuple(self.namespaces)):
            self.access.write_state(self.artefacts, wanted)

    def close(self) -> None:
        """Delete the remaining namespaces, and the resources created outside them."""
        for name in list(self.namespaces):
            self._delete_namespace(name)
        self.access.delete(self._to_delete[::-1])
        self._to_delete.clear()

    def _make_namespace(self, *, enrolled: bool, prefix: str) -> str:
        if not prefix or len(prefix) > LONGEST_PREFIX:
            raise ClusterError(f"prefix={prefix!r}: 1 to {LONGEST_PREFIX} characters are valid")
        wanted = self.adapter.namespace_enrolment() if enrolled else Metadata()
        name = f"{self.owner.namespace(prefix)}-{secrets.token_hex(3)}"
        self.access.apply([manifests.namespace(self.owner, name, wanted.labels, wanted.annotations)])
        self.namespaces.append(name)
        return name

    def _delete_namespace(self, name: str) -> None:
        self.namespaces.remove(name)
        self.access.delete([manifests.namespace(self.owner, name)])


def _as_kr8s(condition: str, matched: re.Match[str]) -> str:
    """A condition as kr8s takes it, with quotes around a path."""
    return f"jsonpath='{{{matched['path']}}}'={matched['value']}" if matched["path"] else condition


def _wait(found: "APIObject", condition: str, patience: float) -> None:
    """Wait with kr8s, also while it raises ValueError because a path leads to no value yet."""
    until = time.monotonic() + patience
    while True:
        try:
            found.wait(condition, timeout=max(until - time.monotonic(), 0.0))
        except ValueError:
            time.sleep(PAUSE)
        else:
            return


def _ready_pod(found: Any, what: str) -> Any:
    """A ready pod that a service or a workload selects."""
    selector = found.spec.get("selector", {}) if "spec" in found.raw else {}
    labels = dict(selector.get("matchLabels", selector))
    if not labels:
        raise ClusterError(f"{what} selects no pods by labels: name a service, a workload or a pod")
    pods = found.api.get("pods", namespace=found.namespace, label_selector=labels)
    ready = next((pod for pod in pods if pod.ready()), None)
    if ready is None:
        raise ClusterError(f"no pod of {what} is ready: wait for it first")
    return ready


def _port_of(pod: Any, found: Any, what: str, port: int) -> int:
    """The pod's port behind a port of a service; otherwise the port itself."""
    if found.kind != "Service":
        return port
    declared = {one.port: one.get("targetPort", one.port) for one in found.spec.ports}
    if port not in declared:
        raise ClusterError(f"{what} has no port {port}; it has {', '.join(map(str, declared))}")
    target = declared[port]
    if isinstance(target, int):
        return target
    ports = [one for container in pod.spec.containers for one in container.get("ports", [])]
    return next(int(one.containerPort) for one in ports if one.get("name") == target)
