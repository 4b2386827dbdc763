"""The checks of mesh resources that are taken out: one for each resource and rule, the cheapest first."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.run.expected_checks import NOTHING

if TYPE_CHECKING:
    from pytest_meshcheck.manifests.mutation.parts import Part
    from pytest_meshcheck.manifests.plan import Plan
    from pytest_meshcheck.manifests.reading import Text
    from pytest_meshcheck.testbed.trial.mutation import Mutation
    from pytest_meshcheck.testbed.trial.trial import Trial

PARAMETER = "resource_part"


def budgeted(plans: "Collection[Plan]", budget: float) -> Iterator[str]:
    """The line of the header about the budget; none where nothing is taken out."""
    if any(made.resources for made in plans):
        yield f"taken out in turn: mesh resources and their rules, for at most {budget:g} s (--mesh-manifests-budget)"


def parametrize_parts(
    metafunc: pytest.Metafunc, plans: "Mapping[MeshName, Plan]", texts: "Sequence[Text]", homes: Mapping[MeshName, str]
) -> None:
    """Run a check about mesh resources once for each part of one, on whatever mesh."""
    if PARAMETER not in metafunc.fixturenames:
        return
    found: dict[str, Part] = {}
    if plans:
        from pytest_meshcheck.manifests.mutation.parts import parts  # noqa: PLC0415 - other runs need no YAML
        from pytest_meshcheck.manifests.mutation.targets import Configuration  # noqa: PLC0415 - as above
        from pytest_meshcheck.testbed.trial.part_stimuli import cheapest_first  # noqa: PLC0415 - no client either

        for name, made in plans.items():
            taken_out = [one for one in made.resources if one not in made.fixed]
            ordered = cheapest_first(parts(taken_out, texts), Configuration(made, homes.get(name) or None))
            found |= {str(one): one for one in ordered if str(one) not in found}
    metafunc.parametrize(PARAMETER, list(found.values()) or [NOTHING], ids=str, scope="session")


def mutation_of(trial: "Trial", settings: Settings) -> "Mutation":
    """The removals of a run's resources."""
    from pytest_meshcheck.manifests.mutation.targets import Configuration  # noqa: PLC0415 - only runs with manifests
    from pytest_meshcheck.testbed.trial.mutation import Mutation  # noqa: PLC0415 - as above

    return Mutation(trial, Configuration(trial.plan, trial.home or None), settings.mesh_manifests_budget)
