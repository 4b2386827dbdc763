"""Every planted defect by its name, and which defects kill a check."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pytest_meshcheck.checks.check_ids import known_ids
from tests.falsify import clusters
from tests.falsify.clusters import OF_UPGRADES, WRONG_CLUSTERS
from tests.falsify.defect import Defects
from tests.falsify.defects import (
    authority_input,
    callers,
    connections,
    crashes,
    delivery,
    downgrade,
    headers,
    identity,
    idle,
    lifecycle,
    mirrored,
    mtls,
    outage,
    resumption,
    retry,
    retry_answers,
    retry_bodies,
    retry_counts,
    retry_policies,
    roots,
    rotation,
    scopes,
    starts,
    timeout,
    too_strict,
    upgrade,
)

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "conformance"
FAMILIES = (
    identity,
    headers,
    crashes,
    delivery,
    mtls,
    scopes,
    downgrade,
    starts,
    resumption,
    retry,
    retry_answers,
    retry_bodies,
    retry_counts,
    retry_policies,
    rotation,
    roots,
    connections,
    authority_input,
    outage,
    timeout,
    too_strict,
    idle,
    callers,
    lifecycle,
    mirrored,
    upgrade,
)

DEFECTS: Defects = {name: defect for family in FAMILIES for name, defect in family.DEFECTS.items()}


OF_OTHER_PROMISES = (
    "mtls/hostile-tunnel-is-refused",
    "retry/attempt-number-reaches-the-server",
    "retry/exhausted-returns-the-documented-error",
    "timeout/default-limit-is-the-documented-one",
    "timeout/each-api-spelling-acts",
)
"""Checks of what the embedded mesh does not document; one that does is made for them."""

RECORDS = (*clusters.RECORDS, "rotation/expired-open-connections", "rotation/key-is-renewed")
"""Checks that record a fact or a figure, and so find nothing wrong with any mesh."""


SLOW = frozenset(
    {
        "lifecycle/uninstall-leaves-nothing",
        "network/claimed-namespace-is-not-believed",
        "network/decision-follows-labels",
        "network/session-keys-change-under-load",
    }
)
"""Checks all of whose parameters belong to the slow lane."""


def checks() -> tuple[str, ...]:
    """The ids of all checks of the suite."""
    return tuple(sorted(known_ids(SUITE)))


def of_upgrade(check: str) -> bool:
    """Whether a check is about an upgrade, and run where one is made."""
    return check in (*upgrade.CHECKS, *OF_UPGRADES)


def killers() -> Mapping[str, tuple[str, ...]]:
    """By check, the names of the defects and of the wrong clusters that have to kill it."""
    everything = {name: defect.checks for name, defect in DEFECTS.items()}
    everything |= {name: cluster.kills for name, cluster in WRONG_CLUSTERS.items()}
    return {check: tuple(name for name, killed in everything.items() if check in killed) for check in checks()}


@cache
def cover() -> tuple[str, ...]:
    """Few defects of which every check that has one sees at least one: always the one that most of the rest see."""
    left, chosen = {check for defect in DEFECTS.values() for check in defect.checks}, list[str]()
    while left:
        chosen.append(max(DEFECTS, key=lambda name: len(left.intersection(DEFECTS[name].checks))))
        left.difference_update(DEFECTS[chosen[-1]].checks)
    return tuple(chosen)


@cache
def node(check: str) -> str:
    """The function of a check in its file, as pytest collects it."""
    family, _, name = check.partition("/")
    function = f"test_{name.replace('-', '_')}"
    (path,) = (path for path in (SUITE / family).glob("test_*.py") if f"async def {function}(" in path.read_text())
    return f"{path.relative_to(ROOT)}::{function}"
