"""What is applied, whole: ``golden/`` holds what the functions have to return."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.model.workload_spec import Enrolment, Port, Template, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.workloads import manifests, ports
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from pytest_meshcheck.platforms.kubernetes.workloads.running import pods_of
from pytest_meshcheck.probe.agent.arguments import decoded, ports_of
from pytest_meshcheck.probe.protocol.messages import Protocol, Request

OWNER = Ownership("c0ffee", "gw1", "localhost/meshcheck/probe:1")
SERVER = WorkloadSpec("blue-c0ffee-gw1", "server")
GOLDEN = {
    # file: what it holds
    "namespace": [manifests.namespace(OWNER, OWNER.namespace("blue"))],
    "workload": manifests.workload(
        OWNER, SERVER, Metadata({"mesh.example/inject": "true"}, {"mesh.example/lifetime": "60s"})
    ),
    "watchers": manifests.watchers(OWNER),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    expected = json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())
    assert GOLDEN[name] == expected, f"if that is as it should be, write it into golden/{name}.json"


@pytest.mark.parametrize("manifest", [one for several in GOLDEN.values() for one in several], ids=lambda m: m["kind"])
def test_all_that_is_made_bears_the_run(manifest: dict[str, Any]) -> None:
    labels = manifest["metadata"]["labels"]
    assert (labels[manifests.RUN], labels[manifests.WORKER]) == ("c0ffee", "gw1")


def test_a_namespace_of_a_run_without_workers() -> None:
    assert Ownership("c0ffee", "", "image").namespace("blue") == "blue-c0ffee"


def test_a_level_of_pod_security_that_is_given_stays() -> None:
    given = {"pod-security.kubernetes.io/enforce": "baseline"}
    assert given.items() <= manifests.namespace(OWNER, "blue-c0ffee", given)["metadata"]["labels"].items()


def test_a_selector_does_not_change_with_the_labels_of_a_mesh() -> None:
    # Deployments cannot change their selector: a workload that is enrolled later would be refused.
    plain, enrolled = (manifests.workload_resource(OWNER, SERVER, Metadata(labels)) for labels in ({}, {"mesh": "on"}))
    assert plain["spec"]["selector"] == enrolled["spec"]["selector"]


@pytest.mark.parametrize(("grace", "drains", "killed"), [(1.0, "1", 5), (10.0, "10", 14), (0.5, "0.5", 5)])
def test_a_probe_goes_on_for_its_grace(grace: float, drains: str, killed: int) -> None:
    pod = manifests.pod(OWNER, replace(SERVER, grace=grace))
    assert pod["containers"][0]["args"][-2:] == ["--drain", drains]
    assert pod["terminationGracePeriodSeconds"] == killed


def test_a_first_request_is_an_argument_of_the_probe() -> None:
    first = Request(request_id="c0ffee", address=("10.96.0.7", 8080), authority="server.blue")
    (*_, deployment) = manifests.workload(OWNER, SERVER, Metadata(), first)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    flag, argument = container["args"][4:6]
    assert (flag, decoded(argument)) == ("--first", first)
    assert container["args"][6:] == ["--drain", "1"]


def test_ports_are_served_as_soon_as_the_container_runs() -> None:
    specs = SERVER, replace(SERVER, enrolment=Enrolment.IMPERSONATED)
    ours, impersonated = (manifests.pod(OWNER, spec)["containers"][0]["args"] for spec in specs)
    assert [one.port for one in ports_of(ours[ours.index("--serve") + 1])] == [port.name for port in SERVER.ports]
    assert "--serve" not in impersonated


def test_a_job_is_made_once_and_never_restarted() -> None:
    lasting, ending = (
        manifests.workload_resource(OWNER, replace(SERVER, job=job), Metadata({"mesh": "on"})) for job in (False, True)
    )
    assert (ending["kind"], ending["spec"]["backoffLimit"], ending["metadata"]) == ("Job", 0, lasting["metadata"])
    template, pod = lasting["spec"]["template"], ending["spec"]["template"]["spec"]
    assert pod == {"restartPolicy": "Never", **template["spec"]}
    assert ending["spec"]["template"]["metadata"] == template["metadata"]


def test_ports_have_the_same_numbers_on_service_and_pod() -> None:
    spec = WorkloadSpec("blue", "server", ports=(Port("http", Protocol.HTTP1), Port("extra", Protocol.H2C)))
    service, deployment = manifests.service(OWNER, spec), manifests.workload_resource(OWNER, spec, Metadata())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    declared = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["targetPort"] for port in service["spec"]["ports"]} == declared
    assert declared == {"http": 8080, "extra": ports.FIRST_OTHER + 1}


@pytest.mark.parametrize(
    ("port", "declared"),
    [
        (Port("http", Protocol.HTTP1), None),
        (Port("odd", Protocol.H2C), "kubernetes.io/h2c"),
        (Port("chat", Protocol.WEBSOCKET), "kubernetes.io/ws"),
        (Port("tcp-banner", Protocol.TCP, server_first=True), "tcp"),
    ],
)
def test_ports_declare_what_their_names_cannot_tell(port: Port, declared: str | None) -> None:
    service = manifests.service(OWNER, WorkloadSpec("blue", "server", ports=(port,)))
    assert service["spec"]["ports"][0].get("appProtocol") == declared


def test_an_instance_that_takes_over_is_told_apart_by_its_service() -> None:
    first, second = (manifests.workload_resource(OWNER, SERVER, Metadata(), generation) for generation in (1, 2))
    assert first["metadata"]["name"] != second["metadata"]["name"]
    selected = manifests.service(OWNER, SERVER, 2)["spec"]["selector"].items()
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in (first, second)]
    assert [selected <= own.items() for own in labels] == [False, True]


def test_replicas_share_a_service_that_leads_to_all_of_them() -> None:
    first, second = (
        manifests.workload(OWNER, replace(SERVER, replica=number, replicas=2), Metadata()) for number in (1, 2)
    )
    assert first[:2] == second[:2]
    deployments = first[2], second[2]
    assert [one["metadata"]["name"] for one in deployments] == ["server", "server-2"]
    selectors = [one["spec"]["selector"]["matchLabels"].items() for one in deployments]
    labels = [one["spec"]["template"]["metadata"]["labels"].items() for one in deployments]
    assert [[selector <= own for own in labels] for selector in selectors] == [[True, False], [False, True]]
    assert all(first[1]["spec"]["selector"].items() <= own for own in labels)


STAND_IN = WorkloadSpec(
    "shop",
    "orders",
    ports=(Port("web", Protocol.HTTP1, number=80), Port("port-9090", Protocol.GRPC, number=9090)),
    template=Template("payer", {"app.kubernetes.io/name": "other"}, {"a": "b"}),
)


def test_of_a_stand_in_only_the_pods_are_made_under_the_labels_of_its_template() -> None:
    metadata = Metadata(STAND_IN.template.labels, STAND_IN.template.annotations)  # type: ignore[union-attr]
    (made,) = manifests.workload(OWNER, STAND_IN, metadata)
    template = made["spec"]["template"]
    ours = OWNER.labels | {manifests.STAND_IN: "orders", manifests.GENERATION: "1"}
    assert template["metadata"] == {"labels": ours | {"app.kubernetes.io/name": "other"}, "annotations": {"a": "b"}}
    assert template["spec"]["serviceAccountName"] == "payer"
    assert [one["containerPort"] for one in template["spec"]["containers"][0]["ports"]] == [80, 9090]
    assert made["spec"]["selector"] == {"matchLabels": {manifests.STAND_IN: "orders", manifests.GENERATION: "1"}}


def test_a_port_below_1024_needs_a_sysctl_and_others_do_not() -> None:
    low, high = (manifests.pod(OWNER, one)["securityContext"] for one in (STAND_IN, SERVER))
    assert low["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    assert "sysctls" not in high


def test_the_pods_of_a_stand_in_are_found_whatever_its_own_labels_say() -> None:
    labels = {manifests.STAND_IN: "orders", manifests.GENERATION: "1", manifests.WORKLOAD: "other"}
    known = {("shop", "orders-1"): {"metadata": {"labels": labels}}}
    assert len(pods_of(known, "shop", "orders", 1)) == len(pods_of(known, "shop", "orders")) == 1
    assert pods_of(known, "shop", "other") == pods_of(known, "shop", "orders", 2) == []
