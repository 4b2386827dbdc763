"""The control of checks in which nothing is cut."""

from pytest_meshcheck.suite import Answer, MeshUnderTest, Timeout, Workload, control

SHORT = 0.05
"""Seconds."""


async def limit_acts(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Control: the mesh is in the way and cuts at a limit, so that the absence of a cut is significant."""
    async with mesh.policy(Timeout(server, SHORT)):
        cut = await client.get(server, request_id=await server.answers(Answer(delay=SHORT + mesh.tolerance)))
    control(cut, f"under a limit of {SHORT:g} s").answered(mesh.documented.timeout.status)
