"""What the doctor read of a cluster, at one moment; rules see nothing else."""

import datetime
import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.platforms.kubernetes.api.server import Object


class Kind(enum.StrEnum):
    """The kinds of objects that are read."""

    NAMESPACE = "Namespace"
    POD = "Pod"
    DEPLOYMENT = "Deployment"
    DAEMON_SET = "DaemonSet"
    CONFIG_MAP = "ConfigMap"
    ENDPOINT_SLICE = "EndpointSlice"
    MUTATING_WEBHOOK = "MutatingWebhookConfiguration"
    VALIDATING_WEBHOOK = "ValidatingWebhookConfiguration"
    DEFINITION = "CustomResourceDefinition"
    GATEWAY = "Gateway"
    HTTP_ROUTE = "HTTPRoute"
    PEER_AUTHENTICATION = "PeerAuthentication"
    DESTINATION_RULE = "DestinationRule"
    ENVOY_FILTER = "EnvoyFilter"
    CILIUM_POLICY = "CiliumNetworkPolicy"
    PROXY = "Proxy"
    """A proxy as its istiod sees it: ``resources`` by type, with the nonces ``sent`` and ``acked``."""
    ISSUER = "Issuer"
    """The public half of a Secret with an issuer: ``certificate`` in PEM, and nothing else."""


@dataclass(frozen=True)
class Unread:
    """Objects that could not be read.

    Attributes:
        what: Their kind, in words.
        why: The reason, in the words of the API server.
    """

    what: str
    why: str


@dataclass(frozen=True)
class Snapshot:
    """The objects of a cluster that rules examine.

    Attributes:
        kubernetes: The version of the API server, e.g. ``v1.34.4``.
        taken: The time; certificates are compared with it.
        objects: By kind. A kind that the cluster does not define has none.
        unread: What could not be read, or not completely.
        issuers_wanted: Whether the user allowed to read the Secrets with issuers.
    """

    kubernetes: str
    taken: datetime.datetime
    objects: Mapping[Kind, tuple[Object, ...]]
    unread: tuple[Unread, ...] = ()
    issuers_wanted: bool = False
    _namespaces: dict[str, Object] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._namespaces.update({name_of(one): one for one in self.of(Kind.NAMESPACE)})

    def of(self, kind: Kind) -> tuple[Object, ...]:
        """The objects of one kind."""
        return self.objects.get(kind, ())

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace; none if it could not be read."""
        return labels_of(self._namespaces.get(namespace, {}))

    def namespace_annotations(self, namespace: str) -> Mapping[str, str]:
        """The annotations of a namespace; none if it could not be read."""
        return annotations_of(self._namespaces.get(namespace, {}))

    def config(self, name: str) -> Iterator[Object]:
        """The ConfigMaps of that name, in any namespace."""
        return (one for one in self.of(Kind.CONFIG_MAP) if name_of(one) == name)

    def pods(self) -> Iterator[Object]:
        """The pods that run or are about to; those that have ended are of no interest."""
        return (one for one in self.of(Kind.POD) if one.get("status", {}).get("phase") not in ("Succeeded", "Failed"))


def name_of(item: Object) -> str:
    """Its name; empty in an object without one."""
    return str(item.get("metadata", {}).get("name", ""))


def namespace_of(item: Object) -> str:
    """Its namespace; empty for cluster-scoped objects."""
    return str(item.get("metadata", {}).get("namespace", ""))


def labels_of(item: Object) -> Mapping[str, str]:
    """Its labels."""
    found: Mapping[str, str] = item.get("metadata", {}).get("labels") or {}
    return found


def annotations_of(item: Object) -> Mapping[str, str]:
    """Its annotations."""
    found: Mapping[str, str] = item.get("metadata", {}).get("annotations") or {}
    return found


def called(kind: Kind | str, item: Object) -> str:
    """The object as messages call it, e.g. ``Pod shop/orders-1``."""
    namespace = namespace_of(item)
    return f"{kind} {namespace}/{name_of(item)}" if namespace else f"{kind} {name_of(item)}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Some of these names, and how many more there are."""
    known = sorted(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"{', '.join(known[:most])}{more}"
