"""One look at a cluster: read, examine, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

from pytest_meshcheck.doctor.finding import Finding
from pytest_meshcheck.doctor.reading import read
from pytest_meshcheck.doctor.registry import examine
from pytest_meshcheck.platforms.kubernetes.api.resources import Api


async def look(
    kubeconfig: Path | None,
    context: str | None,
    namespaces: Sequence[str] = (),
    *,
    issuers: bool = False,
    proxies: bool = False,
) -> tuple[str, tuple[Finding, ...]]:
    """The version of Kubernetes, and all findings, the worst first.

    Args:
        kubeconfig: None for the default one.
        context: None for the current one.
        namespaces: Examine the pods of these namespaces only; empty for all.
        issuers: Read the Secrets with issuers too.
        proxies: Ask each istiod which proxies have the newest configuration.

    Raises:
        MeshUnavailable: The kubeconfig or the context cannot be used, a namespace does not exist, or the API server
            does not answer.
    """
    api = await Api.connect(kubeconfig, context)
    try:
        snapshot = await read(api, namespaces, issuers=issuers, proxies=proxies)
    finally:
        await api.close()
    return snapshot.kubernetes, examine(snapshot)
