"""Ports whose server speaks first, and clients that do not wait for it."""

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import MUST, Capability, MeshUnderTest, Mode, MutualTls, Workload, check, control

from .plaintext import is_handled

SERVER_FIRST = "tcp-banner"

SAID: Mapping[str, Mapping[str, Any]] = {
    # id: what the client says at once
    "line": {"at_once": True},
    "http-request": {"at_once": True, "raw": b"GET / HTTP/1.1\r\nhost: server\r\n\r\n"},
}


@pytest.mark.parametrize("said", SAID)
@check(MUST, "mtls.first-words", proves={Capability.STRICT_MTLS}, uses={Capability.PERMISSIVE_MTLS})
async def test_speaks_first_on_server_first_ports(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, said: str
) -> None:
    """Where the server speaks first, a client that speaks plaintext at once is refused like one that waits.

    A data plane looks at the first bytes of a connection to tell TLS from plaintext, and on such a port it may have
    given up looking for them.
    """
    at_once = SAID[said]
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        control(await outsider.get(server, SERVER_FIRST, **at_once)).answered()
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server, SERVER_FIRST, **at_once)).answered()
        await is_handled(mesh, outsider, server, SERVER_FIRST, Mode.STRICT, said, **at_once)
