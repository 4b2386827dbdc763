"""Manifests of a shop under resources of Istio, for tests of what these do."""

from pytest_meshcheck.manifests.mutation.parts import Part, parts
from pytest_meshcheck.manifests.mutation.targets import Configuration
from pytest_meshcheck.manifests.plan import Configured, plan
from pytest_meshcheck.manifests.reading import Text, objects_in

LINKERD = Configured("linkerd", ("policy.linkerd.io", "linkerd.io"), "linkerd")
ISTIO = Configured("istio", ("networking.istio.io", "security.istio.io", "telemetry.istio.io"), "istio-system")

WORKLOAD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}, version: {version}}}}}
spec: {{serviceAccountName: {app}, containers: [{{name: app, ports: [{{containerPort: 8080}}]}}]}}
"""
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{name: {port}, port: 8080}}]}}
"""
SHOP = "".join(
    [
        *(WORKLOAD.format(name=f"{app}-v1", app=app, version="v1") for app in ("web", "orders", "ledger", "stock")),
        WORKLOAD.format(name="orders-v2", app="orders", version="v2"),
        SERVICE.format(name="web", port="http"),
        SERVICE.format(name="orders", port="http"),
        SERVICE.format(name="ledger", port="tcp-ledger"),
        SERVICE.format(name="stock", port="grpc"),
    ]
)

VERSIONS = {
    "ServiceEntry": "networking.istio.io/v1",
    "VirtualService": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "Server": "policy.linkerd.io/v1beta3",
    "MeshTLSAuthentication": "policy.linkerd.io/v1alpha1",
    "ServiceProfile": "linkerd.io/v1alpha2",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def resource(kind: str, name: str, spec: str, namespace: str = "shop") -> str:
    """A manifest of three lines; ``spec`` is YAML in one line."""
    head = f"---\napiVersion: {VERSIONS[kind]}\nkind: {kind}\n"
    return f"{head}metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"


def configured(*resources: str) -> tuple[Configuration, dict[str, Part]]:
    """The shop under these resources, and their parts by what they are called in reports."""
    texts = [Text("shop.yaml", SHOP), Text("mesh.yaml", "".join(resources))]
    made = plan(objects_in(texts), ISTIO)
    return Configuration(made, ISTIO.home), {str(one): one for one in parts(made.resources, texts)}
