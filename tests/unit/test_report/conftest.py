"""A report with every verdict in it, and hostile text in every place that takes text."""

from collections.abc import Callable, Mapping

import msgspec
import pytest

from pytest_meshcheck.checks.requirements import Requirement, Source
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.doctor.finding import Finding, Severity
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.report import baseline
from pytest_meshcheck.report.model import MeshVersion, Report, observe

HOSTILE = "<script>alert('owned')</script> | **bold** `code` <img src=x onerror=alert(1)>"

DOCS = "https://www.envoyproxy.io/docs/envoy/latest/"

REQUIREMENTS: Mapping[str, Requirement] = {
    "mtls.strict": Requirement(
        "A workload under strict mutual TLS MUST refuse every connection that is not mutual TLS.",
        (
            Source(
                "Istio: PeerAuthentication",
                "https://istio.io/latest/docs/reference/config/security/",
                "STRICT: Connection is an mTLS tunnel.",
            ),
        ),
    ),
    "mtls.lifetime": Requirement(
        "A peer whose certificate is expired MUST be refused.",
        (
            Source("RFC 5280 6.1.3", "https://www.rfc-editor.org/rfc/rfc5280#section-6.1.3", "It includes the time."),
            Source("X.509-SVID 5.2", "https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md"),
        ),
    ),
    "retry.count": Requirement("A request MUST NOT be tried more often than the policy says.", (Source("A", DOCS),)),
    "timeout.total": Requirement("A timeout MUST cover all attempts of a request.", (Source("evil", "javascript:x"),)),
}

FINDINGS = (
    Finding(
        rule="enrolment.without-sidecar",
        severity=Severity.ERROR,
        object="workload shop/web",
        why=f"2 of its pods should be in Istio and have no sidecar {HOSTILE}",
        advice="restart the workload",
        source=DOCS,
    ),
    Finding(
        rule="policy.permissive",
        severity=Severity.WARNING,
        object="PeerAuthentication shop/old",
        why="mode PERMISSIVE admits plaintext",
        advice="set STRICT",
        source="javascript:x",
    ),
    Finding(rule="installation.installed", severity=Severity.INFO, object="Deployment mesh/istiod", why="Istio 1.31.0"),
)

DESCRIPTION = """A workload under strict mutual TLS refuses a plaintext connection.

    The same workload answers it under `permissive`, so that the refusal is known to come from the policy.

    > STRICT: Connection is an mTLS tunnel
    > (TLS with client cert must be presented).
    """

CLAIMS = {
    Capability.MTLS: Claim(supported=True, source=DOCS),
    Capability.STRICT_MTLS: Claim(supported=True, source=DOCS, note="from the next new connection on"),
    Capability.RETRY: Claim(supported=True, source=DOCS),
    Capability.TIMEOUT: Claim(supported=True, source=DOCS),
    Capability.ROOT_ROTATION: Claim(supported=True, source=DOCS),
    Capability.CA_OUTAGE: Claim(supported=False, source=DOCS, note="the authority runs inside of every proxy"),
}


def result(check_id: str, verdict: Verdict, requirement: str, *needs: Capability, **more: object) -> Result:
    fields: dict[str, object] = {
        "id": check_id,
        "verdict": verdict,
        "level": Level.MUST,
        "requirement": requirement,
        "description": DESCRIPTION,
        "seconds": 0.24,
        "needs": tuple(needs),
        "reproduce": f"pytest --mesh=envoy@1.40.0 -k '{check_id}'",
    }
    return Result(**{**fields, **more})  # type: ignore[arg-type]


RESULTS = (
    result("mtls/plaintext-is-refused[http-service]", Verdict.CONFORMS, "mtls.strict", Capability.MTLS),
    result("mtls/plaintext-is-refused[http-address]", Verdict.CONFORMS, "mtls.strict", Capability.MTLS),
    result("mtls/plaintext-is-refused[grpc-service]", Verdict.CONFORMS, "mtls.strict", Capability.MTLS),
    result(
        "mtls/expired-certificate-is-refused",
        Verdict.VIOLATES,
        "mtls.lifetime",
        Capability.STRICT_MTLS,
        expected="the handshake is refused: the certificate expired 40 s ago",
        actual=f"200 over TLSv1.3, peer spiffe://cluster.local/ns/green/sa/client {HOSTILE}",
        evidence="mtls/expired-certificate-is-refused",
        seconds=3.21,
    ),
    result(
        "retry/status-is-retried[attempts=3-status=503-method=POST-body=65536-chunked-through-two-replicas]",
        Verdict.CONFORMS,
        "retry.count",
        Capability.RETRY,
        measured={"policy acts after (s)": 0.0042, "attempts": 4, "spread": "2:2"},
    ),
    result(
        "retry/no-retry-on-success",
        Verdict.KNOWN_VIOLATION,
        "retry.count",
        Capability.RETRY,
        reason="two retries by default",
        link="https://github.com/istio/istio/issues/1",
        expected="1 attempt",
        actual="3 attempts",
    ),
    result("timeout/covers-all-attempts", Verdict.FIXED, "timeout.total", Capability.TIMEOUT, reason="was 15 s"),
    result(
        "timeout/slow-upload", Verdict.CONFORMS, "timeout.total", level=Level.MAY, measured={"clock starts": "head"}
    ),
    result(
        "rotation/root-is-replaced",
        Verdict.INCONCLUSIVE,
        "rotation.root",
        Capability.ROOT_ROTATION,
        reason=f"the probe of blue/server is gone: exit status 137 {HOSTILE}",
        evidence="rotation/root-is-replaced",
    ),
    result(
        "rotation/outage-of-the-authority",
        Verdict.UNSUPPORTED,
        "rotation.outage",
        Capability.CA_OUTAGE,
        level=Level.SHOULD,
        reason="needs ca-outage",
        seconds=0.0,
    ),
    result("identity/header-is-not-passed-on", Verdict.NOT_RUN, "identity.header", seconds=0.0),
)


@pytest.fixture
def make_result() -> Callable[..., Result]:
    return result


@pytest.fixture
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """A function that makes a report from results."""

    def make(*results: Result, **more: object) -> Report:
        fields: dict[str, object] = {
            "meshcheck": "0.1.0",
            "mesh": MeshVersion("envoy", "1.40.0"),
            "platform": "local processes",
            "started": "2026-03-01T14:05:09+00:00",
            "seconds": 18.4,
            "level": Level.SHOULD,
            "capabilities": observe(CLAIMS, results),
            "results": results,
        }
        return Report(**{**fields, **more})  # type: ignore[arg-type]

    return make


@pytest.fixture
def sample(make_report: Callable[..., Report]) -> Report:
    """Every verdict, a baseline, and hostile text."""
    full = make_report(
        *RESULTS,
        requirements=REQUIREMENTS,
        steps={"mesh start": 0.81, "stage start": 0.93, "checks": 15.2},
        doctor=FINDINGS,
        defects={"mtls/plaintext-is-refused": ("client certificate not required", "only the first strict port strict")},
    )
    earlier = make_report(
        result("mtls/expired-certificate-is-refused", Verdict.CONFORMS, "mtls.lifetime"),
        result("timeout/covers-all-attempts", Verdict.VIOLATES, "timeout.total"),
        result("retry/no-retry-on-success", Verdict.VIOLATES, "retry.count"),
        result("retry/was-removed", Verdict.CONFORMS, "retry.count"),
        mesh=MeshVersion("envoy", "1.36.2"),
    )
    return msgspec.structs.replace(full, baseline=baseline.compare(earlier, full))
