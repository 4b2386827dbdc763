"""The roots that istiod announces, and that the pods of a run mount."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from cryptography import x509

from pytest_meshcheck.meshes.istio.policies import ROOT_NAMESPACE
from pytest_meshcheck.meshes.istio.revisions import ISTIOD
from pytest_meshcheck.meshes.kubernetes.readiness import touch
from pytest_meshcheck.model.pki import certificates_in
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN

ROOTS = "istio-ca-root-cert"
"""The ConfigMap, in every namespace, with the roots by which data planes verify istiod."""

PAUSE = 0.1
LOOKS_PER_TOUCH = 10
"""After so many looks the pods are annotated again: a busy kubelet can miss a change."""


async def adopted(api: Api, roots: frozenset[x509.Certificate], step: str) -> None:
    """Return once istiod announces these roots, and the kubelets have been asked to update them in all pods of runs.

    By themselves they take up to two minutes. Until then a data plane refuses an istiod that has restarted, for example
    because a check stopped it.
    """
    await _announced(api, ROOT_NAMESPACE, roots, lambda: touch(api, ROOT_NAMESPACE, ISTIOD, step))
    found, _ = await api.items("/api/v1/namespaces", RUN)
    for namespace in (ROOT_NAMESPACE, *(one["metadata"]["name"] for one in found)):
        await _announced(api, namespace, roots)
        await touch(api, namespace, "", step)


async def _announced(
    api: Api,
    namespace: str,
    roots: frozenset[x509.Certificate],
    remind: Callable[[], Awaitable[None]] | None = None,
) -> None:
    for look in itertools.count():
        if remind is not None and look % LOOKS_PER_TOUCH == 0:
            await remind()
        seen = await _roots_in(api, namespace)
        if seen == roots or (not seen and namespace != ROOT_NAMESPACE):  # it has none, or goes away just now
            return
        await asyncio.sleep(PAUSE)


async def _roots_in(api: Api, namespace: str) -> frozenset[x509.Certificate]:
    announced = await api.read(f"/api/v1/namespaces/{namespace}/configmaps/{ROOTS}") or {}
    return certificates_in(str(announced.get("data", {}).get("root-cert.pem", "")))
