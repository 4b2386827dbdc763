"""Sound meshes whose behaviour differs from that of the embedded one, within their documentation."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from tests.falsify.defects.retry import INTACT
from tests.falsify.meshes.promising import PromisesKept
from tests.falsify.meshes.sparing import Http2BodiesNotRetried, RetryAfterNotRetried
from tests.falsify.table import OF_OTHER_PROMISES


@dataclass(frozen=True)
class Variant:
    """A sound mesh.

    Attributes:
        mesh: The mesh.
        checks: Ids, with parameters where only some are concerned, of checks that have to conform on it.
    """

    mesh: type[EnvoyMesh]
    checks: tuple[str, ...]


VARIANTS: Mapping[str, Variant] = {
    "other-promises": Variant(PromisesKept, OF_OTHER_PROMISES),
    "http2-bodies-not-retried": Variant(Http2BodiesNotRetried, (f"{INTACT}[1]", f"{INTACT}[1048576]")),
    "retry-after-not-retried": Variant(RetryAfterNotRetried, ("retry/backoff",)),
}
