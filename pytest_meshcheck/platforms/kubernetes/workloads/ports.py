"""The ports of a workload, on its pod and on its service, and how its probe serves them."""

from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.probe.agent.arguments import served
from pytest_meshcheck.probe.protocol.messages import Listen, ServerTls

NUMBERS = {"http": 8080, "http-alt": 8081, "grpc": 9090, "tcp": 9000, "tcp-banner": 9001}
"""Port numbers by name; they are the same on services and on pods."""

FIRST_OTHER = 10080
"""The first number of declared ports that have other names, in their order."""


def port_number(spec: WorkloadSpec, name: str) -> int:
    """The number of a declared port."""
    port = spec.port(name)
    return port.number or NUMBERS.get(name) or FIRST_OTHER + spec.ports.index(port)


def listen(spec: WorkloadSpec, port: str, tls: ServerTls | None = None) -> Listen:
    """How the probe of a workload serves a declared port."""
    declared = spec.port(port)
    return Listen(
        port=port,
        address=("0.0.0.0", port_number(spec, port)),  # noqa: S104 - a pod has one network of its own
        protocol=declared.protocol,
        server_first=declared.server_first,
        tls=tls,
    )


def served_at_once(spec: WorkloadSpec) -> tuple[str, ...]:
    """The argument for the ports that a probe serves as soon as its container runs, as applications do.

    An impersonated workload waits for its check.
    """
    if spec.enrolment is Enrolment.IMPERSONATED:
        return ()
    return "--serve", served([listen(spec, port.name) for port in spec.ports])
