"""Control planes and data planes that give a mode of mutual TLS to the wrong ports."""

from dataclasses import replace

from pytest_meshcheck.meshes.envoy.control_plane import Snapshot
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.policies import DEFAULT_MODE, PolicySet
from pytest_meshcheck.model.policy import Mode
from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.mtls import accept_plaintext
from tests.falsify.meshes.withholding import AnswersWithheld

EXCEPTION = "mtls/port-exception-opens-one-port-only"
PRECEDENCE = "mtls/workload-overrides-namespace"
ENDS = "mtls/exception-ends-with-its-policy"
POLLED_FOR = 0.5
"""Seconds."""
AT_ONCE = "mtls/speaks-first-on-server-first-ports"


def deciding(name: str, policies: type[PolicySet]) -> type[EnvoyMesh]:
    """An embedded mesh that looks up modes of mutual TLS in its own way."""

    class Deciding(EnvoyMesh):
        def _snapshot(self) -> Snapshot:
            return replace(super()._snapshot(), policies=policies(self._of_platform().resources.values()))

    Deciding.__name__ = name
    return Deciding


class WidestWins(PolicySet):
    def mode(self, namespace: str, name: str, port: str) -> Mode:
        return next(reversed(self.modes(namespace, name, port)), DEFAULT_MODE)


class StrictestWins(PolicySet):
    def mode(self, namespace: str, name: str, port: str) -> Mode:
        return Mode.STRICT if Mode.STRICT in self.modes(namespace, name, port) else DEFAULT_MODE


class LaxestWins(PolicySet):
    def mode(self, namespace: str, name: str, port: str) -> Mode:
        modes = self.modes(namespace, name, port) or [DEFAULT_MODE]
        return Mode.PERMISSIVE if Mode.PERMISSIVE in modes else Mode.STRICT


def exceptions_that_stay(*, polled: bool = False) -> type[EnvoyMesh]:
    """An embedded mesh that goes on excepting a port; ``polled``: requests have to show which policies act."""
    excepted: set[tuple[str, str, str]] = set()

    class ExceptionsStay(PolicySet):
        def mode(self, namespace: str, name: str, port: str) -> Mode:
            modes, of = self.modes(namespace, name, port), (namespace, name, port)
            if Mode.PERMISSIVE in modes:
                excepted.add(of)
            return Mode.PERMISSIVE if modes and of in excepted else super().mode(*of)

    mesh = deciding("ExceptionsStayMesh", ExceptionsStay)
    if polled:
        mesh.documented = replace(EnvoyMesh.documented, policies_act_within=POLLED_FOR)
    return mesh


def one_exception_opens_all(_workload: str, resources: Resources) -> None:
    listeners = parts.inbound(resources)
    if any(parts.plaintext_chains(listener) for listener in listeners):
        for listener in listeners:
            accept_plaintext(listener)


def one_strict_port_closes_all(_workload: str, resources: Resources) -> None:
    listeners = parts.inbound(resources)
    if not all(parts.plaintext_chains(listener) for listener in listeners):
        for listener in listeners:
            listener["filter_chains"] = [parts.secure_chain(listener)]


def plaintext_answered_by_data_plane(_workload: str, resources: Resources) -> None:
    """A strict port answers strangers in plaintext with 200, without the application."""
    kind = f"type.googleapis.com/{parts.MANAGER.replace('envoy.', 'envoy.extensions.')}.v3.HttpConnectionManager"
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": kind,
        "stat_prefix": "stranger",
        "route_config": {"name": "stranger", "virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    for listener in parts.inbound(resources):
        if not parts.plaintext_chains(listener):
            parts.add_plaintext_chain(listener, [{"name": parts.MANAGER, "typed_config": manager}])


def open_to_whom_speaks_first(_workload: str, resources: Resources) -> None:
    """Only silence is refused: it ends the connection, where a sound mesh takes it for plaintext."""
    for listener in parts.inbound(resources):
        if parts.port_of(listener) == "tcp-banner" and not parts.plaintext_chains(listener):
            accept_plaintext(listener)
            listener["continue_on_listener_filters_timeout"] = False


DEFECTS = {
    "exception-opens-every-port": Defect(
        "A strict workload with one permissive port accepts plaintext on every port.",
        tuple(f"{EXCEPTION}[{port}]" for port in ("http", "grpc", "tcp", "tcp-banner")),
        one_exception_opens_all,
    ),
    "exception-ignored": Defect(
        "Where one port of a workload is declared strict, all of them refuse plaintext.",
        (
            f"{EXCEPTION}[http]",
            f"{EXCEPTION}[tcp]",
            "mtls/plaintext-is-refused-on-every-strict-port[first-and-second]",
        ),
        one_strict_port_closes_all,
    ),
    "widest-scope-wins": Defect(
        "Of several modes of mutual TLS that of the widest scope counts.",
        tuple(
            f"{PRECEDENCE}[{narrow}-over-{wide}-{mode}]"
            for narrow, wide in (("workload", "namespace"), ("namespace", "mesh"), ("port", "mesh"))
            for mode in Mode
        ),
        mesh=deciding("WidestWinsMesh", WidestWins),
    ),
    "strictest-scope-wins": Defect(
        "Of several modes of mutual TLS strict counts, in whatever scope it is set.",
        (f"{PRECEDENCE}[workload-over-namespace-permissive]", f"{PRECEDENCE}[port-over-namespace-permissive]"),
        mesh=deciding("StrictestWinsMesh", StrictestWins),
    ),
    "laxest-scope-wins": Defect(
        "Of several modes of mutual TLS permissive counts, in whatever scope it is set.",
        (f"{PRECEDENCE}[workload-over-mesh-strict]", f"{PRECEDENCE}[port-over-namespace-strict]"),
        mesh=deciding("LaxestWinsMesh", LaxestWins),
    ),
    "exceptions-stay": Defect(
        "An exception from strict mutual TLS stays in effect after its policy is deleted.",
        (ENDS,),
        mesh=exceptions_that_stay(),
    ),
    "exceptions-stay-where-polled": Defect(
        "An exception from strict mutual TLS outlives its policy, where only traffic shows the policies in effect.",
        (ENDS,),
        mesh=exceptions_that_stay(polled=True),
    ),
    "plaintext-answered-by-data-plane": Defect(
        "A server's data plane answers plaintext to strict ports itself.",
        (
            f"{PRECEDENCE}[workload-over-namespace-strict]",
            f"{EXCEPTION}[grpc]",
            "mtls/enrolment-matrix[strict-http-service]",
        ),
        plaintext_answered_by_data_plane,
    ),
    "answers-to-plaintext-withheld": Defect(
        "Plaintext to a strict port reaches the application, and only the answer is withheld.",
        (
            f"{PRECEDENCE}[workload-over-namespace-strict]",
            f"{EXCEPTION}[http]",
            *(f"mtls/enrolment-matrix[strict-{port}-service]" for port in ("http", "tcp")),
        ),
        mesh=AnswersWithheld,
    ),
    "open-to-whom-speaks-first": Defect(
        "On strict ports whose server speaks first, plaintext from clients that speak at once is let in.",
        (f"{AT_ONCE}[line]", f"{AT_ONCE}[http-request]"),
        open_to_whom_speaks_first,
    ),
}
