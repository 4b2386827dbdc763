"""Requests that are carried out more often than they were sent."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    MeshUnderTest,
    Once,
    Setting,
    Trial,
    Unsupported,
    check,
    expect,
    repeated_executions,
)

FAILURES = {
    # what the service does after it has carried out the request
    "503": Answer(status=503),
    "reset": Answer(behaviour=Behaviour.RESET),
    "stall": Answer(behaviour=Behaviour.STALL),
}


@pytest.mark.parametrize("failure", FAILURES)
@check(MUST, "own.at-most-once")
async def test_post_is_executed_at_most_once(mesh: MeshUnderTest, trial: Trial, destination: str, failure: str) -> None:
    """A POST that fails after it was carried out is not sent again by the mesh, whoever of the mesh calls.

    A payment that is carried out three times is the outage that nobody finds. The client's own retries are its own
    affair; those of a VirtualService, a route, a profile or a default of the mesh are not. A gRPC call, which fails as
    unavailable in place of 503, counts where the manifests configure retries: what a mesh repeats by default is among
    the effective values.
    """
    seen, settings = mesh.recall(await trial.effects(destination)), trial.settings(destination, Setting.RETRY)
    if seen.protocol.facts.grpc and not settings:
        raise Unsupported(f"{destination} speaks gRPC, and no manifest has the mesh repeat calls")
    if not (failed := seen.failed_posts(failure)):
        raise Unsupported(f"{destination} speaks {seen.protocol}, and executes no POST of a workload of the mesh")
    for one in failed:
        mesh.measure(f"executed for {one.caller}", seen.executions(one))
    expect(repeated_executions(seen, failed, settings), f"requests to {destination} that fail ({failure})").absent(
        "one execution of each"
    )


@pytest.mark.parametrize("failure", FAILURES)
@check(MUST, "own.at-most-once")
async def test_request_is_executed_at_most_once(
    mesh: MeshUnderTest, trial: Trial, expected_once: Once, failure: str
) -> None:
    """A request that fails after it was carried out is not sent again by the mesh, whoever of the mesh calls.

    Its port, method and path are an ``[[once]]`` in ``meshcheck.toml``: a route may match just these, and retry them.
    """
    once = expected_once
    seen = await trial.executions(once.destination, once.method, FAILURES[failure], path=once.path)
    for sent in seen:
        mesh.measure(f"executed for {sent.caller}", len(sent.attempts))
    for sent in seen:
        expect(len(sent.attempts), f"executions of one {once.method} {once.path} from {sent.caller}").at_most(1)
