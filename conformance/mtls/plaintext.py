"""Plaintext to enrolled servers, by mode of mutual TLS."""

from typing import Any

from pytest_meshcheck.suite import MeshUnderTest, Mode, Via, Workload, expect


async def is_handled(
    mesh: MeshUnderTest,
    outsider: Workload,
    server: Workload,
    port: str,
    mode: Mode,
    what: str,
    via: Via = Via.SERVICE,
    **request: Any,
) -> None:
    """Plaintext is served under permissive mutual TLS, and refused under strict; the client speaks at once."""
    seen = await outsider.get(server, port, via, **({"at_once": True} | request))
    if mode is Mode.PERMISSIVE:
        expect(seen, what).answered()
        return
    expect(seen, what).refused(mesh.refusals.plaintext, arrived=await server.attempts(seen))
