"""The table of defects is whole, and what is published of it is up to date."""

from pathlib import Path

import pytest

from tests.falsify.clusters import WRONG_CLUSTERS
from tests.falsify.publish import published
from tests.falsify.table import DEFECTS, FAMILIES, RECORDS, checks, killers


@pytest.mark.parametrize("check", sorted({*checks()} - {*RECORDS}))
def test_every_check_has_a_defect_that_kills_it(check: str) -> None:
    assert killers()[check]


@pytest.mark.parametrize("check", RECORDS)
def test_what_records_can_fail_no_mesh(check: str) -> None:
    assert check in checks()
    assert not killers()[check]


@pytest.mark.parametrize("name", WRONG_CLUSTERS)
def test_wrong_cluster_names_only_checks_that_exist(name: str) -> None:
    assert name not in DEFECTS
    assert set(WRONG_CLUSTERS[name].kills) <= set(checks())


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_names_only_checks_that_exist(name: str) -> None:
    assert DEFECTS[name].kills
    assert set(DEFECTS[name].checks) <= set(checks())


def test_no_defect_hides_another_of_its_name() -> None:
    assert sum(len(family.DEFECTS) for family in FAMILIES) == len(DEFECTS)


def test_defects_are_told_apart_by_their_descriptions() -> None:
    assert len({defect.description for defect in DEFECTS.values()}) == len(DEFECTS)


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_is_in_one_place(name: str) -> None:
    assert (DEFECTS[name].plant is None) != (DEFECTS[name].mesh is None)


@pytest.mark.parametrize("path", published(), ids=lambda path: path.name)
def test_published_table_is_up_to_date(path: Path) -> None:
    assert published()[path] == path.read_text(), "run: python -m tests.falsify.publish"
