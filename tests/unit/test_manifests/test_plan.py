"""What becomes of manifests on a mesh, and what cannot be used, with file and line."""

from pathlib import Path

import pytest

from pytest_meshcheck.manifests.described import described
from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import Configured, Plan, accounts, cleaned, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.probe.protocol.messages import Protocol

ISTIO = Configured("istio", ("networking.istio.io", "security.istio.io"), "istio-system")
SHOP = (Path(__file__).parent / "shop.yaml").read_text("utf-8")
DESCRIBED = """\
manifests for istio: 2 stand-ins, 2 services, 2 mesh resources, 2 left out
  namespace shop: with its labels (shop.yaml:1)
  stand-in shop/orders for Deployment (shop.yaml:11), ports 8080 http/1.1, 9090 grpc, 2 replicas
  stand-in shop/report for CronJob (shop.yaml:56), ports none
  service shop/orders:80 http/1.1 (by name http) -> orders
  service shop/orders:9090 grpc (by appProtocol grpc) -> orders
  applied to the letter: 1 NetworkPolicy, 1 VirtualService
  left out: Server shop/orders (shop.yaml:74): neither a workload or a service, nor a kind of istio
  left out: Secret shop/orders-key (shop.yaml:84): a stand-in has no secrets
  note: Service shop/orders (shop.yaml:35) is of type ClusterIP here, and not LoadBalancer
  note: port 8125 of Service shop/orders (shop.yaml:35) is UDP, which no probe speaks, and is not called
  note: Service shop/legacy (shop.yaml:49) leads to no workload of these manifests, and is not called
  note: Deployment shop/orders (shop.yaml:11) has 2 replicas here, and not 5
"""


def read(content: str) -> list[KubernetesObject]:
    return objects_in([Text("shop.yaml", content)])


@pytest.fixture
def shop() -> Plan:
    return plan(read(SHOP), ISTIO)


def test_what_is_made_of_manifests_is_said(shop: Plan) -> None:
    assert "".join(f"{line}\n" for line in described(shop, "istio")) == DESCRIBED


def test_a_stand_in_takes_over_labels_annotations_and_account_and_nothing_secret(shop: Plan) -> None:
    orders, report = shop.stand_ins
    assert orders.labels == {"app": "orders", "version": "v1"}
    assert orders.annotations == {"sidecar.istio.io/logLevel": "debug"}
    assert (orders.service_account, report.service_account) == ("orders", "default")
    assert not any(word in repr(orders) for word in ("hunter2", "registry.example", "orders-key"))


def test_a_service_is_applied_without_what_leads_out_of_the_cluster(shop: Plan) -> None:
    assert cleaned(shop.services[0]) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": "orders"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web"},
                {"name": "rpc", "port": 9090, "appProtocol": "grpc"},
                {"name": "stats", "port": 8125, "protocol": "UDP"},
            ],
        },
    }


def test_what_configures_the_mesh_is_applied_to_the_letter(shop: Plan) -> None:
    assert cleaned(shop.resources[0])["spec"] == {"hosts": ["orders"], "http": [{"retries": {"attempts": 3}}]}


def test_the_account_of_a_stand_in_is_made_also_where_nothing_declares_it() -> None:
    made = plan(
        read(
            SHOP.replace(
                "metadata: {name: orders, namespace: shop}\n---\napiVersion: apps",
                "metadata: {name: other, namespace: shop}\n---\napiVersion: apps",
            )
        ),
        ISTIO,
    )
    assert {name: one is None for name, one in accounts(made).items()} == {
        ("shop", "orders"): True,
        ("shop", "other"): False,
    }


def test_on_another_mesh_its_own_kinds_count() -> None:
    made = plan(read(SHOP), Configured("linkerd", ("policy.linkerd.io",), "linkerd"))
    assert [one.kind for one in made.resources] == ["Server", "NetworkPolicy"]
    assert [str(one.object) for one in made.left_out] == ["VirtualService shop/orders", "Secret shop/orders-key"]


def port(**declared: object) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in declared.items())
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: a}}\nspec: {containers: [{name: a}]}\n---\n"
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{selector: {{app: a}}, ports: [{{{fields}}}]}}\n"
    )


SPOKEN = {
    # how a port is declared: what the stand-in speaks
    "undeclared": ({"port": 1}, Protocol.HTTP1, ""),
    "name": ({"port": 1, "name": "grpc-orders"}, Protocol.GRPC, "name grpc-orders"),
    "http2-is-not-http": ({"port": 1, "name": "http2"}, Protocol.H2C, "name http2"),
    "no-prefix": ({"port": 1, "name": "httpbin"}, Protocol.HTTP1, ""),
    "application-before-name": ({"port": 1, "name": "http", "appProtocol": "tcp"}, Protocol.TCP, "appProtocol tcp"),
    "mongo": ({"port": 27017, "name": "mongo"}, Protocol.TCP, "name mongo"),
    "unknown-application": ({"port": 1, "appProtocol": "example.com/own"}, Protocol.TCP, "appProtocol example.com/own"),
}


@pytest.mark.parametrize("case", SPOKEN)
def test_a_port_is_spoken_as_it_is_declared(case: str) -> None:
    declared, spoken, by = SPOKEN[case]
    made = plan(read(port(**declared)), ISTIO)
    (called,) = made.destinations
    assert (called.declared.spoken, called.declared.by) == (spoken, by)
    assert [one.declared.spoken for one in made.stand_ins[0].ports] == [spoken]


def test_a_name_that_ports_of_two_containers_share_is_that_of_the_first() -> None:
    one, other = ("{ports: [{name: metrics, containerPort: 9100}]}", "{ports: [{name: metrics, containerPort: 9101}]}")
    made = plan(read(port(port=80).replace("{name: a}]}", f"{one}, {other}]}}", 1)), ISTIO)
    assert [(each.name, each.number) for each in made.stand_ins[0].ports] == [("metrics", 9100), ("", 9101), ("", 80)]


def of(kind: str, version: str, about: str) -> str:
    return f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{{about}}}\n"


POD = "spec: {containers: []}\n"
REFUSED = {
    # case: mesh, what is added to the manifests, what is said
    "default": (
        ISTIO,
        of("Pod", "v1", "name: a, namespace: default") + POD,
        "shop.yaml:89: Pod default/a is about the namespace default, which is in every cluster; leave "
        "metadata.namespace out, and the run puts it in a namespace of its own",
    ),
    "root-namespace-of-others": (
        Configured("istio", ISTIO.groups, "istio-system", ours=False),
        of("PeerAuthentication", "security.istio.io/v1", "name: default, namespace: istio-system"),
        "shop.yaml:89: PeerAuthentication istio-system/default is about istio-system, the namespace of the control "
        "plane of istio, which was installed by others; take it out of these manifests, or run on a mesh that the run "
        "installs",
    ),
    "workload-in-root-namespace": (
        ISTIO,
        of("Pod", "v1", "name: a, namespace: istio-system") + POD,
        "shop.yaml:89: Pod istio-system/a is about istio-system, the namespace of the control plane of istio, which "
        "takes policies there, and nothing else; take it out of these manifests, or run on a mesh that the run "
        "installs",
    ),
    "same-name": (
        ISTIO,
        of("Pod", "v1", "name: orders-2, namespace: shop") + POD,
        "shop.yaml:89: the stand-ins of Pod shop/orders-2 and of Deployment shop/orders (shop.yaml:11) would both be "
        "called orders-2; give one of them another name",
    ),
    "no-pod": (ISTIO, of("Pod", "v1", "name: a"), "shop.yaml:89: Pod a has no pod template with a spec"),
    "replicas": (
        ISTIO,
        of("Deployment", "apps/v1", "name: a") + "spec: {replicas: many, template: {spec: {}}}\n",
        "shop.yaml:89: Deployment a has replicas: 'many'; write a number from 0",
    ),
    "port": (
        ISTIO,
        of("Pod", "v1", "name: a") + "spec: {containers: [{ports: [{containerPort: web}]}]}\n",
        "shop.yaml:89: Pod a has a container port 'web'; write a number from 1 to 65535",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_line(case: str) -> None:
    mesh, added, said = REFUSED[case]
    with pytest.raises(ManifestError) as refused:
        plan(read(SHOP + added), mesh)
    assert str(refused.value) == said


def test_a_policy_in_the_root_namespace_is_applied_on_a_mesh_of_the_run() -> None:
    about = of("PeerAuthentication", "security.istio.io/v1", "name: default, namespace: istio-system")
    made = plan(read(SHOP + about), ISTIO)
    assert made.resources[-1].kind == "PeerAuthentication"
    assert list(made.namespaces) == ["shop"]


UNCALLED = """
apiVersion: v1
kind: Pod
metadata: {name: dns, labels: {app: dns}}
spec: {containers: [{name: main, ports: [{containerPort: 8080, name: http}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec:
  selector: {app: dns}
  ports: [{port: 80, targetPort: http}, {port: 53, protocol: UDP}, {port: 81, targetPort: admin}]
"""


def test_ports_that_cannot_be_called_are_said() -> None:
    made = plan(read(UNCALLED), ISTIO)
    assert [one.port for one in made.destinations] == [80]
    assert made.notes == (
        "port 81 of Service dns (shop.yaml:7) leads to no port of a workload, and is not called",
        "port 53 of Service dns (shop.yaml:7) is UDP, which no probe speaks, and is not called",
    )


def test_manifests_with_nothing_to_call_are_refused() -> None:
    with pytest.raises(ManifestError, match=r"shop\.yaml: no service among these manifests leads to a workload"):
        plan(read(of("Pod", "v1", "name: a") + POD), ISTIO)
