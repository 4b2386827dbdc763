"""Reads a snapshot of a cluster: all kinds side by side, a bounded number of objects, within a bounded time."""

import asyncio
import base64
import datetime
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.doctor.proxies import read_proxies
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, Unread, name_of, namespace_of, some
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import NOT_FOUND, UNREACHABLE, Object, Query, Refused

WITHIN = 8.0
"""Seconds for everything: what is not there by then counts as not read."""

PAGE = 500
PAGES = 10
"""Pages of one kind: rules that compare pods do not get better with more than five thousand."""

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Source:
    """Where objects of one kind come from.

    Attributes:
        kind: Their kind.
        paths: The collection, in the versions of its API, the newest first.
        query: A selection on the server.
        per_namespace: Whether ``--namespace`` restricts it.
    """

    kind: Kind
    paths: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    per_namespace: bool = False


GATEWAY_API = "gateway.networking.k8s.io"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _config(name: str) -> Source:
    return Source(Kind.CONFIG_MAP, ("/api/v1/configmaps",), {"fieldSelector": f"metadata.name={name}"})


def _definition(plural: str) -> Source:
    return Source(Kind.DEFINITION, (DEFINITIONS,), {"fieldSelector": f"metadata.name={plural}.{GATEWAY_API}"})


SOURCES = (
    Source(Kind.NAMESPACE, ("/api/v1/namespaces",)),
    Source(Kind.POD, ("/api/v1/pods",), per_namespace=True),
    Source(Kind.DEPLOYMENT, ("/apis/apps/v1/deployments",)),
    Source(Kind.DAEMON_SET, ("/apis/apps/v1/daemonsets",)),
    Source(Kind.MUTATING_WEBHOOK, (f"{ADMISSION}/mutatingwebhookconfigurations",)),
    Source(Kind.VALIDATING_WEBHOOK, (f"{ADMISSION}/validatingwebhookconfigurations",)),
    _config("istio-ca-root-cert"),
    _config("cilium-config"),
    _config("linkerd-config"),
    _config("linkerd-identity-trust-roots"),
    _definition("gateways"),
    _definition("httproutes"),
    _definition("grpcroutes"),
    Source(Kind.GATEWAY, (f"/apis/{GATEWAY_API}/v1/gateways",)),
    Source(Kind.HTTP_ROUTE, (f"/apis/{GATEWAY_API}/v1/httproutes",)),
    Source(
        Kind.PEER_AUTHENTICATION,
        ("/apis/security.istio.io/v1/peerauthentications", "/apis/security.istio.io/v1beta1/peerauthentications"),
    ),
    Source(
        Kind.DESTINATION_RULE,
        ("/apis/networking.istio.io/v1/destinationrules", "/apis/networking.istio.io/v1beta1/destinationrules"),
    ),
    Source(Kind.ENVOY_FILTER, ("/apis/networking.istio.io/v1alpha3/envoyfilters",)),
    Source(Kind.CILIUM_POLICY, ("/apis/cilium.io/v2/ciliumnetworkpolicies",)),
)

ISSUERS = (
    # name of the Secret, the fields that may hold the issuer's certificate
    ("cacerts", ("ca-cert.pem", "tls.crt")),
    ("istio-ca-secret", ("ca-cert.pem",)),
    ("linkerd-identity-issuer", ("crt.pem", "tls.crt")),
)
"""Secrets with issuers: https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/ and
https://linkerd.io/2/tasks/manually-rotating-control-plane-tls-credentials/."""


@dataclass
class _Read:
    """What has been read so far."""

    objects: dict[Kind, list[Object]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def add(self, kind: Kind, objects: Iterable[Object]) -> None:
        self.objects.setdefault(kind, []).extend(objects)


async def read(api: Api, namespaces: Sequence[str] = (), *, issuers: bool = False, proxies: bool = False) -> Snapshot:
    """Read what the rules need.

    Args:
        api: The cluster.
        namespaces: Read the pods of these namespaces only; empty for all.
        issuers: Read the Secrets with issuers too; only their certificates are kept.
        proxies: Ask each istiod which proxies have the newest configuration, over a port-forward.

    Raises:
        MeshUnavailable: The API server does not answer, or refuses; or there is no such namespace.
    """
    version = await api.version()
    deadline = asyncio.get_running_loop().time() + WITHIN
    found, places = _Read(), asyncio.Semaphore(SIDE_BY_SIDE)

    async def collect(source: Source, path: Sequence[str]) -> None:
        async with places:
            await _collect(api, found, source, path, deadline)

    async with asyncio.TaskGroup() as tasks:
        for source in SOURCES:
            for paths in _paths(source, namespaces):
                tasks.create_task(collect(source, paths))
    _refuse_unknown(found, namespaces)
    await asyncio.gather(*(collect(source, source.paths) for source in _slices(found)))
    if issuers:
        await _issuers(api, found, deadline)
    if proxies:
        told, silent = await read_proxies(api, deadline)
        found.add(Kind.PROXY, told)
        found.unread += silent
    return Snapshot(
        version,
        datetime.datetime.now(datetime.UTC),
        {kind: tuple(objects) for kind, objects in found.objects.items()},
        tuple(dict.fromkeys(found.unread)),
        issuers,
    )


def _refuse_unknown(found: _Read, namespaces: Sequence[str]) -> None:
    """MeshUnavailable for a namespace that does not exist; if they may not be listed, nobody can say."""
    known = {name_of(one) for one in found.objects.get(Kind.NAMESPACE, ())}
    if known and (unknown := sorted(set(namespaces) - known)):
        raise MeshUnavailable(
            f"--namespace={unknown[0]}: there is no such namespace; the cluster has {some(known, most=10)}"
        )


def _paths(source: Source, namespaces: Sequence[str]) -> list[tuple[str, ...]]:
    if not (source.per_namespace and namespaces):
        return [source.paths]
    return [
        tuple("{}/namespaces/{}/{}".format(*_split(path, namespace)) for path in source.paths)
        for namespace in dict.fromkeys(namespaces)
    ]


def _split(path: str, namespace: str) -> tuple[str, str, str]:
    version, _, resource = path.rpartition("/")
    return version, namespace, resource


async def _collect(api: Api, found: _Read, source: Source, paths: Sequence[str], deadline: float) -> None:
    """Add the objects of the first version that the cluster serves; a kind without a definition has none."""
    what = f"{source.kind} ({source.query['fieldSelector']})" if "fieldSelector" in source.query else str(source.kind)
    for path in paths:
        try:
            async for objects, goes_on in _pages(api, path, source.query, deadline):
                found.add(source.kind, objects)
                if goes_on:
                    found.unread.append(Unread(what, f"there are more than {PAGE * PAGES}; the others were not read"))
        except Refused as error:
            if error.status == NOT_FOUND:
                continue
            found.unread.append(Unread(what, str(error)))
        except TimeoutError:
            found.unread.append(Unread(what, "not complete in time"))
        except UNREACHABLE as error:
            found.unread.append(Unread(what, str(error) or type(error).__name__))
        return


async def _pages(
    api: Api, path: str, query: Mapping[str, str], deadline: float
) -> AsyncIterator[tuple[list[Object], bool]]:
    """The pages of a list, each with whether there are pages beyond the last one that is read."""
    following = ""
    for number in range(PAGES):
        asked: Query = [*query.items(), ("limit", str(PAGE)), *([("continue", following)] if following else [])]
        async with asyncio.timeout_at(deadline):
            listed = await api.request("GET", path, asked)
        following = listed.get("metadata", {}).get("continue", "")
        yield listed.get("items") or [], bool(following) and number + 1 == PAGES
        if not following:
            return


def _slices(found: _Read) -> list[Source]:
    """The endpoints of the services behind webhooks, which lie in a few namespaces."""
    webhooks = [*found.objects.get(Kind.MUTATING_WEBHOOK, ()), *found.objects.get(Kind.VALIDATING_WEBHOOK, ())]
    services = [one["clientConfig"].get("service") for each in webhooks for one in each.get("webhooks") or ()]
    places = sorted({str(one["namespace"]) for one in services if one})
    return [
        Source(Kind.ENDPOINT_SLICE, (f"/apis/discovery.k8s.io/v1/namespaces/{place}/endpointslices",))
        for place in places
    ]


async def _issuers(api: Api, found: _Read, deadline: float) -> None:
    """Add the certificates of issuers beside the control planes; nothing else of the Secrets is kept."""
    places = {namespace_of(one) for one in found.objects.get(Kind.DEPLOYMENT, ()) if _issues(one)}
    for place in sorted(places):
        for name, fields in ISSUERS:
            try:
                async with asyncio.timeout_at(deadline):
                    secret = await api.read(f"/api/v1/namespaces/{place}/secrets/{name}")
            except (*UNREACHABLE, Refused) as error:
                found.unread.append(Unread(f"Secret {place}/{name}", str(error) or type(error).__name__))
                continue
            data = secret.get("data") or {} if secret else {}
            if certificate := next((data[one] for one in fields if one in data), None):
                found.add(Kind.ISSUER, [_public(place, name, certificate)])


def _issues(deployment: Object) -> bool:
    return name_of(deployment).startswith(("istiod", "linkerd-identity"))


def _public(namespace: str, name: str, certificate: str) -> Object:
    text = base64.b64decode(certificate).decode(errors="replace")
    return {"metadata": {"namespace": namespace, "name": name}, "certificate": text}
