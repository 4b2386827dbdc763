"""What the tests of all renderers share: policies by name, and golden files by the same names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_meshcheck.model.policy import Failure, Mode, MutualTls, Namespace, Policy, Retry, Timeout
from pytest_meshcheck.model.workload_spec import WorkloadSpec

SERVER = WorkloadSpec("blue", "server")
OTHER = WorkloadSpec("blue", "other")

ACCESS: Mapping[str, tuple[Policy, ...]] = {
    "workload": (MutualTls(SERVER, Mode.STRICT),),
    "ports": (MutualTls(SERVER, Mode.PERMISSIVE, {"http": Mode.STRICT, "tcp": Mode.STRICT}),),
    "inherits": (MutualTls(SERVER, None, {"grpc": Mode.STRICT}), MutualTls(Namespace("blue"), None)),
    "namespace": (MutualTls(Namespace("blue"), Mode.STRICT),),
}
CALLS: Mapping[str, tuple[Policy, ...]] = {
    "retry-grpc": (Retry(SERVER, 1, on=frozenset({Failure.GRPC_UNAVAILABLE, Failure.GRPC_CANCELLED})),),
    "no-retries": (Retry(SERVER, 0, frozenset({503})),),
    "timeout": (Timeout(SERVER, 0.05),),
    "no-limit": (Timeout(SERVER, 0),),
}

TELL = "if that is as it should be, write it into {}.json"


def golden(directory: Path, name: str) -> Any:
    """What has to be rendered for the policies of this name."""
    return json.loads((directory / f"{name}.json").read_text())


def golden_names(directory: Path) -> set[str]:
    return {path.stem for path in directory.iterdir()}
