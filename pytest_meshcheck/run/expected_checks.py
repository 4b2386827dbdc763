"""The checks of what a user expects of manifests: one for each expectation, and none without."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_meshcheck.options import Settings

if TYPE_CHECKING:
    from pytest_meshcheck.manifests.expectations.expected import Expected
    from pytest_meshcheck.manifests.plan import Plan

OPTION = "--mesh-manifests-expect"
WITHOUT_MANIFESTS = "{option} is about manifests: name them with --mesh-manifests=PATH"

PARAMETERS: "Mapping[str, Callable[[Expected], Iterable[Any]]]" = {
    # parameter of a check: its values
    "expected_access": lambda expected: expected.access.values(),
    "expected_once": lambda expected: [one for one in expected.once if not one.of_every_port],
    "expected_limit": lambda expected: expected.limits,
    "expected_identity": lambda expected: expected.identities,
}
"""What such a check is called with; the text of each value is the parameter in the check's id."""

NOTHING = None
"""The only value of a parameter where nothing is expected; such a check is not part of the run."""


def expected_of(settings: Settings, plans: "Iterable[Plan]") -> "Expected":
    """The expectations of a run: from the file that the user names, or from one in a directory of manifests.

    Raises:
        ManifestError: The file cannot be read or used.
    """
    from pytest_meshcheck.manifests.expectations.expected import Expected  # noqa: PLC0415 - only runs with manifests
    from pytest_meshcheck.manifests.expectations.reading import beside, expected_in  # noqa: PLC0415 - as above
    from pytest_meshcheck.manifests.reading import text_of  # noqa: PLC0415 - as above

    path = settings.mesh_manifests_expect or beside(settings.mesh_manifests)
    found = Expected()
    if path is not None:
        text = text_of(path)
        for made in plans:  # the workloads and ports of each are the same
            found = expected_in(text, made)
    return found


def parametrize(metafunc: pytest.Metafunc, expected: "Expected | None") -> None:
    """Run a check about expectations once for each."""
    for name, values in PARAMETERS.items():
        if name in metafunc.fixturenames:
            found = list(values(expected)) if expected else []
            metafunc.parametrize(name, found or [NOTHING], ids=str, scope="session")


def is_void(item: pytest.Item) -> bool:
    """Whether a check is about an expectation or a part of a resource, and there is none."""
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return any(value is NOTHING for value in params.values())
