"""What the configuration of a port comes to, and hazards in it, in requests that services serve or fail."""

from pytest_meshcheck.suite import (
    MAY,
    SHOULD,
    MeshUnderTest,
    Setting,
    Trial,
    Unsupported,
    check,
    effective_values,
    expect,
    injected_delay,
    injected_fault,
    mirrored_requests,
    multiplied_retries,
    outlasted_limit,
    unfired_retries,
    unlimited_retries,
)


@check(MAY, "own.effective-values")
async def test_effective_values(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """What the configuration comes to for each caller of the mesh that is let in.

    It records an observation, and never fails: the seconds after which the mesh ends a request to a service that
    stalls, how often a service executes one request that it fails, by method and failure, how long a connection may be
    idle, and the identity that the service is told. Callers wait for 16 s; a longer limit counts as none. That there is
    none is the default of most meshes. Connections are left idle for 2, 4 and 9 s.
    """
    seen = mesh.recall(await trial.observation(destination))
    if not (values := effective_values(seen)):
        raise Unsupported(f"no workload of the mesh is served by {destination}, so its values cannot be seen")
    mesh.record_effective(values)


@check(SHOULD, "own.limit-fits-retries")
async def test_limit_fits_retries(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """The time limit of a request leaves time for its retries, and ends the work for it.

    A caller that is cut while attempts are still due gets none of them: three attempts of 2 s do not fit into 3 s. How
    many there are shows where the service fails at once; how long each takes, where it stalls. A service that goes on
    with a request after its caller was cut works for nobody.
    """
    seen = mesh.recall(await trial.effects(destination))
    settings = trial.settings(destination, Setting.LIMIT)
    hazard = outlasted_limit(seen, settings, trial.limit_of_one_attempt(destination))
    expect(hazard, f"limit of {destination}").absent("all attempts to end within it")


@check(SHOULD, "own.retries-are-limited")
async def test_retries_are_limited(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """A request that is repeated when its service fails does not wait for ever when that service stalls.

    Who configures retries has thought of a service that fails; without a limit on time, one that hangs is never
    retried, and holds all of its callers. It is about retries in the manifests, and not about those by default.
    """
    seen = mesh.recall(await trial.effects(destination))
    hazard = unlimited_retries(seen, trial.settings(destination, Setting.RETRY))
    expect(hazard, f"requests to {destination}").absent("a limit on time beside retries")


@check(SHOULD, "own.retries-fire")
async def test_retries_fire(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """A retry policy repeats a request that fails as the policy says.

    It is about rules of VirtualServices and HTTPRoutes that match every request, and about Linkerd's annotations. Where
    they name 5xx, gateway-error or 503, a GET that fails so is executed more than once; where they name unavailable, a
    gRPC call is. A policy that never does so is overruled, or stands beside something that turns it off, or is about
    another protocol.
    """
    seen = mesh.recall(await trial.effects(destination))
    hazard = unfired_retries(seen, trial.written_retries(destination))
    expect(hazard, f"retries of {destination}").absent("a request that fails to be repeated")


@check(SHOULD, "own.retries-do-not-multiply")
async def test_retries_do_not_multiply(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """The retries along a chain of services do not multiply.

    The stand-ins call each other in turn, and return the failure of the last one, as services do: three attempts of two
    callers in a row make nine at the last, which is failing already. The chain comes from `[[calls]]` in
    meshcheck.toml, or else from the callers that its `[[access]]` lists or that policies let in. Only retries in the
    manifests count, not those of the mesh by default.
    """
    mesh.recall(await trial.effects(destination))
    sent = await trial.chain_calls(destination)
    mesh.measure("attempts at the end of a chain", max(one.hops[-1].attempts for one in sent))
    hazard = multiplied_retries(sent, trial.settings_along(sent, Setting.RETRY))
    expect(hazard, f"requests that end at {destination}").absent("retries at one call of a chain at most")


@check(SHOULD, "own.no-fault")
async def test_requests_reach_the_service(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """No request is answered in the place of its service, by a fault that was left in.

    Up to ten GETs of each caller, which the service would serve. Answers that deny access, redirect, or limit a rate
    are not counted, nor is a service that no caller reaches and that no fault is configured for.
    """
    seen = mesh.recall(await trial.effects(destination))
    hazard = injected_fault(seen, trial.settings(destination, Setting.FAULT))
    expect(hazard, f"requests to {destination}").absent("an answer of the service to each")


@check(SHOULD, "own.no-fault")
async def test_requests_are_not_delayed(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """No request is delayed on its way, by a fault that was left in.

    Up to ten GETs of each caller, which the service answers at once. Two that take more than 1 s on their way are a
    delay where a fault is configured for the port; where none is, a fifth of all that take more than 3 s.
    """
    seen = mesh.recall(await trial.effects(destination))
    hazard = injected_delay(seen, trial.settings(destination, Setting.FAULT), mesh.tolerance)
    expect(hazard, f"requests to {destination}").absent("no delay on their way")


@check(SHOULD, "own.no-mirror")
async def test_requests_are_not_mirrored(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """A request that is answered at once reaches one workload, once.

    A mirror that was left in sends copies to a workload that nobody called, which executes them: it writes what they
    write, and sends what they send. A mirror to something outside of the manifests is not seen.
    """
    seen = mesh.recall(await trial.effects(destination))
    hazard = mirrored_requests(seen, trial.settings(destination, Setting.MIRROR))
    expect(hazard, f"requests to {destination}").absent("each to arrive once")
