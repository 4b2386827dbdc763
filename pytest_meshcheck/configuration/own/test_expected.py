"""What the owner of the manifests expects, as ``meshcheck.toml`` says it."""

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Capability,
    ExpectedAccess,
    Identity,
    Limit,
    MeshUnderTest,
    Trial,
    check,
    control,
    expect,
)


@check(MUST, "own.access-as-expected")
async def test_access_is_as_expected(mesh: MeshUnderTest, trial: Trial, expected_access: ExpectedAccess) -> None:
    """Who is listed for this port is served by the name of the service, and nobody else gets in, on any way.

    The list is an ``[[access]]`` in ``meshcheck.toml``. A request got in if the ledger of a stand-in has it, whatever
    its caller saw; that violates even where nothing else is known. Who is listed need not be served by the address of a
    pod, as most meshes know services by their names.
    """
    port = expected_access.destination
    for name, exchange in await trial.answers_itself(port):
        control(exchange, f"{name} to itself").answered()
    seen = expected_access.compared(await trial.access(port))
    mesh.measure("not as expected", len(seen.leaks) + len(seen.missing))
    expect(seen, f"access to {port}").refused()
    expect(seen, f"access to {port}").served()


@check(MUST, "own.limit")
async def test_wait_is_limited(mesh: MeshUnderTest, trial: Trial, expected_limit: Limit) -> None:
    """A caller of the mesh that gets no answer from this port is answered within the limit by the mesh.

    The limit is a ``[[limit]]`` in ``meshcheck.toml``. It counts from the request to the end of all retries, as retries
    that outlast their callers help nobody.
    """
    limit, silent = expected_limit, Answer(behaviour=Behaviour.STALL)
    patience = limit.seconds + 10 * mesh.tolerance
    seen = await trial.executions(limit.destination, "GET", silent, path=limit.path, patience=patience)
    for sent in seen:
        control(len(sent.attempts), f"attempts of {sent.caller} at the application").at_least(1)
        mesh.measure(f"seconds of {sent.caller}", round(sent.exchange.seconds, 3))
    for sent in seen:
        wait = f"seconds that {sent.caller} waits for {limit}"
        expect(sent.exchange.seconds, wait, rests_on=mesh.time(limit.seconds)).at_most(limit.seconds + mesh.tolerance)


@check(MUST, "own.identity", uses={Capability.PEER_IDENTITY})
async def test_identity_is_as_expected(mesh: MeshUnderTest, trial: Trial, expected_identity: Identity) -> None:
    """Every service that this workload reaches is told the identity that its owner expects.

    It is an ``[[identity]]`` in ``meshcheck.toml``. Policies name callers by it; a workload with another service
    account is somebody else to them.
    """
    caller = expected_identity.caller
    for attempt in await trial.calls_of(caller):
        seen = mesh.peer_identity(attempt)
        mesh.measure(f"identity of {caller}", seen or "none")
        expect(seen, f"identity of {caller}").equals(expected_identity.name)
