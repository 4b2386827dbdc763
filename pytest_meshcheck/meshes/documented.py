"""What a mesh's documentation promises, by the family of checks that hold it to it. Seconds throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.model.observation import Answered, Ending, Form
from pytest_meshcheck.model.policy import Failure


@dataclass(frozen=True, kw_only=True)
class Promises:
    """What is promised, and where.

    Attributes:
        sources: Field name to URL.
    """

    sources: Mapping[str, str] = field(default_factory=dict)

    def source(self, field_name: str) -> str:
        """Where the mesh's documentation says so; empty where the adapter names no source."""
        return self.sources.get(field_name, "")


@dataclass(frozen=True)
class Refusals:
    """The forms in which a mesh refuses, by what it refuses.

    Attributes:
        plaintext: Plaintext under strict mutual TLS.
        silence: The same from a client that says nothing, because the server speaks first.
        client: A TLS client with the wrong certificate, or with none.
        server: A server with the wrong certificate, as a client sees that its data plane refused it.
    """

    plaintext: frozenset[Form]
    silence: frozenset[Form]
    client: frozenset[Form]
    server: frozenset[Form]


@dataclass(frozen=True, kw_only=True)
class MtlsPromises(Promises):
    """How peers are refused.

    Attributes:
        plaintext_refused_as: The forms in which plaintext is refused under strict mutual TLS.
        silent_refused_as: The same for a client that says nothing, because the server speaks first.
        peer_refused_as: The forms in which a TLS peer is refused.
        upstream_refused_statuses: HTTP statuses that a client gets when its data plane refuses the server.
        upstream_refused_grpc_statuses: The same of gRPC.
        connects_early: Whether the application of an opaque port may see a connection, without a byte on it, for a peer
            that is refused.
        tls_on_opaque_ports: Whether a data plane terminates mutual TLS on an opaque port itself; otherwise it does so
            on a dedicated port, which peers address in a protocol of the mesh.
    """

    plaintext_refused_as: frozenset[Form]
    peer_refused_as: frozenset[Form]
    silent_refused_as: frozenset[Form] = frozenset({Ending.RESET, Ending.CLOSED})
    upstream_refused_statuses: frozenset[int] = frozenset({503})
    upstream_refused_grpc_statuses: frozenset[int] = frozenset({14})
    connects_early: bool = False
    tls_on_opaque_ports: bool = True

    @property
    def refusals(self) -> Refusals:
        """The forms of refusal, by what is refused."""
        answers = {Answered(status) for status in self.upstream_refused_statuses}
        answers |= {Answered(grpc_status=status) for status in self.upstream_refused_grpc_statuses}
        return Refusals(
            plaintext=self.plaintext_refused_as,
            silence=self.silent_refused_as,
            client=self.peer_refused_as,
            server=self.peer_refused_as | answers,
        )


@dataclass(frozen=True, kw_only=True)
class IdentityPromises(Promises):
    """Headers that identify the caller, and headers that control a data plane.

    Attributes:
        headers: Headers that pass the caller's identity to a server's application.
        obeyed: Control headers by which an enrolled application may steer its own data plane.
        sent_outside: Headers of the mesh that also go to servers, and in answers to clients, outside of the mesh.
    """

    headers: tuple[str, ...] = ("x-forwarded-client-cert",)
    obeyed: frozenset[str] = frozenset()
    sent_outside: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class TimeoutPromises(Promises):
    """How a request is cut, or ends without the application.

    Attributes:
        status: HTTP status after a request timeout.
        grpc_status: gRPC status after a request timeout.
        default: The limit of a request under no policy; None: there is none.
        answers_unrouted: Whether a data plane that knows HTTP is on the way of requests without a policy about their
            service, and answers them where the application does not.
        refused_status: HTTP status where the application of an enrolled server does not listen.
        refused_http2_status: The same over HTTP/2.
        refused_grpc_status: gRPC status where it does not.
        no_endpoint_statuses: HTTP statuses where the service of an enrolled server has no endpoint.
        no_endpoint_grpc_statuses: The same of gRPC.
        caller_deadline: Whether a call is cut also at the deadline that a gRPC caller sends in ``grpc-timeout``.
        stream_idle: Seconds without a byte after which a data plane cuts a stream, or a request without an answer;
            None: it does not.
        idle: Seconds without a request after which a data plane closes an application's connection; None: it does not.
        in_field: Whether a limit can be written as ``timeouts.request`` of an HTTPRoute, as well as in the way that the
            mesh renders a ``Timeout``.
    """

    status: int = 504
    grpc_status: int = 4
    default: float | None = None
    answers_unrouted: bool = True
    refused_status: int = 503
    refused_http2_status: int = 503
    refused_grpc_status: int = 14
    no_endpoint_statuses: frozenset[int] = frozenset({503})
    no_endpoint_grpc_statuses: frozenset[int] = frozenset({14})
    caller_deadline: bool = False
    stream_idle: float | None = None
    idle: float | None = None
    in_field: bool = False


@dataclass(frozen=True)
class Default:
    """One row of the table of default retries: what happens to a request under no policy.

    Attributes:
        method: An HTTP method, or ``gRPC``.
        failure: How each attempt fails.
        status: The HTTP status, or the gRPC status, of the failing attempts; 0 where there is none.
        attempts: How many attempts reach the application.
    """

    method: str
    failure: Failure
    status: int
    attempts: int


METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH")
"""The HTTP methods of the table of default retries."""


def for_each_method(failure: Failure, attempts: int, statuses: Sequence[int] = (0,)) -> list[Default]:
    """Rows of that table for a failure, or for each of its statuses, that is treated alike for all methods."""
    return [Default(method, failure, status, attempts) for method in METHODS for status in statuses]


@dataclass(frozen=True, kw_only=True)
class RetryPromises(Promises):
    """What is tried again.

    Attributes:
        statuses: HTTP statuses that a retry policy can list.
        failures: Other failures that a retry policy can list.
        always_retried: Failures that any retry policy covers, listed or not.
        status_in_trailers: Whether a gRPC status is retried also where it comes after the head of the answer.
        exhausted_statuses: HTTP statuses that replace the last answer after the last retry; empty: it is passed on.
        default_attempts: Attempts under no policy; what is not in the table is tried once.
        body_limit: Bytes of a request body above which a request is not retried; None: none documented.
        http2_body_limit: The same for requests over HTTP/2, which data planes may buffer elsewhere.
        unfinished_retried: Whether a request is retried also before all of its body has come.
        overdue_retried: Whether an attempt that exceeds its own limit is retried, where ``Failure.RESET`` or the status
            504 is listed.
        unsafe_retried: Whether a retry policy covers POST and PATCH as well.
        elsewhere: Whether a retry goes to another endpoint than the one that has failed, if there is one.
        attempt_header: The header by which an application learns the number of the attempt; empty: none.
        budget_percent: Retries in flight under a budget that names no share, as a percentage of the requests in flight.
        budget_least: Retries that may be in flight under any budget.
    """

    statuses: tuple[int, ...] = ()
    failures: frozenset[Failure] = frozenset()
    always_retried: frozenset[Failure] = frozenset()
    status_in_trailers: bool = True
    exhausted_statuses: frozenset[int] = frozenset()
    default_attempts: Sequence[Default] = ()
    body_limit: int | None = None
    http2_body_limit: int | None = None
    unfinished_retried: bool = False
    overdue_retried: bool = True
    unsafe_retried: bool = True
    elsewhere: bool = False
    attempt_header: str = ""
    budget_percent: float = 20.0
    budget_least: int = 3

    def attempts_by_default(self, method: str, failure: Failure, status: int = 0) -> int:
        """How many attempts of a request that keeps failing like this reach the application, under no policy."""
        for row in self.default_attempts:
            if (row.method, row.failure, row.status) == (method, failure, status):
                return row.attempts
        return 1


@dataclass(frozen=True, kw_only=True)
class RotationPromises(Promises):
    """How soon certificates follow.

    Attributes:
        leaf_lifetime: The shortest lifetime of workload certificates that the mesh can be set to.
        leaf_renewed_within: Latest renewal after issue, for certificates of that lifetime.
        issuer_acts_within: From the change of an issuer until every new leaf chains to it, at that lifetime.
        roots_act_within: From a change of the roots until it is in force in every data plane.
        roots_reach_running: Whether a data plane that runs learns of a change of the roots; where not, its workload is
            to be restarted, and the suite does that as soon as the change has begun.
    """

    leaf_lifetime: float = 3600.0
    leaf_renewed_within: float = 1800.0
    issuer_acts_within: float = 60.0
    roots_act_within: float = 60.0
    roots_reach_running: bool = True


@dataclass(frozen=True, kw_only=True)
class OutagePromises(Promises):
    """What data planes do while the authority or the control plane is away, and afterwards.

    Attributes:
        leaf_lifetime: Lifetime of certificates that outlast a short outage of the authority; 0: none on the stage do.
        renewal_due: From the issue of such a certificate until it is due for renewal.
        heals_within: From the return of the authority until every data plane has a valid certificate again.
        reconnects_within: From the return of the control plane until every data plane follows it again.
    """

    leaf_lifetime: float = 3600.0
    renewal_due: float = 1800.0
    heals_within: float = 60.0
    reconnects_within: float = 60.0


@dataclass(frozen=True, kw_only=True)
class LifecyclePromises(Promises):
    """How data planes start and end with the applications of their workloads.

    Attributes:
        application_waits: Whether an application starts only once its data plane works.
        job_ends_within: From the end of a job's application until its workload has ended; infinite: its data plane
            goes on, and so does the workload.
    """

    application_waits: bool = True
    job_ends_within: float = 30.0


@dataclass(frozen=True, kw_only=True)
class NetworkPromises(Promises):
    """What the network below the workloads does.

    Attributes:
        refused_as: The forms in which a network policy refuses a connection.
        inbound_port: The port on which data planes accept connections to any application port; 0: they have none.
        session_keys_last: Seconds until nodes that encrypt agree on new session keys; 0: they do not by themselves.
    """

    refused_as: frozenset[Form] = frozenset({Ending.UNREACHABLE, Ending.TIMED_OUT})
    inbound_port: int = 0
    session_keys_last: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Documented(Promises):
    """All that a mesh's documentation promises.

    Attributes:
        mtls: How peers are refused.
        identity: Who is calling.
        timeout: How a request is cut.
        retry: What is tried again.
        rotation: How soon certificates follow.
        outage: What outlasts an outage, and how soon its effects are over.
        lifecycle: How data planes start and end with their applications.
        network: How the network refuses connections.
        answers_before_endpoints: Whether a data plane that has just got a route answers requests by itself until it has
            the endpoints; only an answer of the application shows then that a policy acts.
        policies_act_within: From a policy until every data plane applies it; the suite polls that with requests. 0 if
            ``settled`` knows exactly.
    """

    mtls: MtlsPromises
    identity: IdentityPromises = IdentityPromises()
    timeout: TimeoutPromises = TimeoutPromises()
    retry: RetryPromises = RetryPromises()
    rotation: RotationPromises = RotationPromises()
    outage: OutagePromises = OutagePromises()
    lifecycle: LifecyclePromises = LifecyclePromises()
    network: NetworkPromises = NetworkPromises()
    answers_before_endpoints: bool = False
    policies_act_within: float = 0.0

    @property
    def needs_polling(self) -> bool:
        """Whether the suite has to poll with requests until a policy is in effect, because ``settled`` cannot know."""
        return self.policies_act_within > 0

    @property
    def follows_within(self) -> float:
        """Seconds until every data plane follows a change, also one that looks for the control plane meanwhile."""
        return max(self.policies_act_within, self.outage.reconnects_within)
