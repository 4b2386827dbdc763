"""Modes of mutual TLS that are set in several scopes: the narrowest scope decides."""

import itertools
from collections.abc import Callable

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Namespace,
    Via,
    WholeMesh,
    Workload,
    check,
    control,
    expect,
)

from ..calls import deletion_acts
from .plaintext import is_handled

PORTS = ("http", "grpc", "tcp", "tcp-banner")
PORT, OTHER_PORT = "http", "http-alt"

SCOPES: dict[str, Callable[[Workload, Mode], MutualTls]] = {
    # id, narrowest first: the policy that sets a mode in this scope, for a server in it
    "port": lambda server, mode: MutualTls(server, None, {PORT: mode}),
    "workload": MutualTls,
    "namespace": lambda server, mode: MutualTls(Namespace(server.namespace), mode),
    "mesh": lambda _server, mode: MutualTls(WholeMesh(), mode),
}
PAIRS = [
    pytest.param(*pair, id="-over-".join(pair))
    for pair in itertools.combinations(SCOPES, 2)
    if pair != ("port", "workload")
]
"""Ports and their workload are set in one policy: that is what exceptions are."""


@pytest.mark.parametrize("port", PORTS)
@check(
    MUST,
    "mtls.port-exception",
    proves={Capability.PORT_LEVEL_MTLS},
    uses={Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS},
)
async def test_port_exception_opens_one_port_only(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, port: str
) -> None:
    """Where one port of a strict workload is made permissive, that port accepts plaintext and no other does.

    Plaintext is tried by service name and by workload address, and where the server speaks first the client speaks at
    once. Enrolled clients are served on every port.
    """
    async with mesh.policy(MutualTls(server, Mode.STRICT, {port: Mode.PERMISSIVE})):
        for other in server.spec.ports:
            control(await client.get(server, other.name), f"a member on {other.name}").answered()
        for other, via in itertools.product(server.spec.ports, Via):
            mode = Mode.PERMISSIVE if other.name == port else Mode.STRICT
            await is_handled(mesh, outsider, server, other.name, mode, f"{other.name} by {via}", via)


@pytest.mark.parametrize("mode", Mode, ids=str)
@pytest.mark.parametrize(("narrow", "wide"), PAIRS)
@check(
    MUST,
    "mtls.precedence",
    proves={Capability.STRICT_MTLS},
    uses={Capability.PERMISSIVE_MTLS, Capability.PORT_LEVEL_MTLS},
)
async def test_workload_overrides_namespace(
    mesh: MeshUnderTest,
    server: Workload,
    outsider: Workload,
    second_client: Workload,
    server_in_green: Workload,
    narrow: str,
    wide: str,
    mode: Mode,
) -> None:
    """Where several scopes set a mode, the narrowest decides: port before workload before namespace before mesh.

    The narrower scope is strict within a permissive one, and permissive within a strict one. Ports and workloads that
    only the wider scope covers follow the wider mode.
    """
    (other,) = set(Mode) - {mode}
    async with mesh.policy(SCOPES[narrow](server, mode), SCOPES[wide](server, other)):
        await is_handled(mesh, outsider, server, PORT, mode, f"the {narrow} within the {wide}")
        if narrow == "port":
            await is_handled(mesh, outsider, server, OTHER_PORT, other, f"another port within the {wide}")
        neighbour = server_in_green if wide == "mesh" else second_client
        if wide != "workload":
            await is_handled(mesh, outsider, neighbour, PORT, other, f"another workload within the {wide}")


@check(MUST, "mtls.revocation", proves={Capability.STRICT_MTLS}, uses={Capability.PERMISSIVE_MTLS})
async def test_exception_ends_with_its_policy(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload
) -> None:
    """A strict server refuses plaintext again within the documented time after its exception is deleted."""
    async with mesh.policy(SCOPES["namespace"](server, Mode.STRICT)):
        async with mesh.policy(SCOPES["workload"](server, Mode.PERMISSIVE)):
            control(await outsider.get(server), "plaintext under the exception").answered()
        await deletion_acts(mesh)
        seen = await outsider.get(server)
        expect(seen, "plaintext afterwards").refused(mesh.refusals.plaintext, arrived=await server.attempts(seen))
        control(await client.get(server), "a member afterwards").answered()
