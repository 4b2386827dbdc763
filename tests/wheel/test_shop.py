"""The example of a project that uses the fixtures runs on the installed wheel, as far as that needs no cluster."""

import shutil
from pathlib import Path

import pytest

from .installation import ROOT, Environment, Finished

SHOP = ROOT / "examples" / "shop"
NO_CLUSTER = "mesh_cluster: --mesh=envoy runs as local processes, without a cluster"
ON_CLUSTER = ("tests/test_shop.py", "tests/test_coroutines.py")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, in a folder of its own."""
    return shutil.copytree(SHOP, tmp_path_factory.mktemp("shop") / "shop", ignore=shutil.ignore_patterns(".*", "__*"))


@pytest.fixture(scope="module")
def ran(without_acme: Environment, shop: Path) -> Finished:
    """All of its tests, with a mesh that has no cluster."""
    return without_acme.pytest("--mesh=envoy", cwd=shop)


def test_what_needs_no_cluster_passes(ran: Finished) -> None:
    assert "9 passed, 6 errors" in ran.output, ran.output


def test_what_needs_one_says_why_there_is_none(ran: Finished) -> None:
    assert ran.output.count(f"\n{NO_CLUSTER}") == 6, ran.output


def test_no_report_is_written_of_tests_that_are_no_checks(ran: Finished, shop: Path) -> None:
    assert "report:" not in ran.output
    assert not (shop / "meshcheck-report").exists()


def test_the_rest_is_collected_for_a_cluster(without_acme: Environment, shop: Path) -> None:
    run = without_acme.pytest("--mesh=none", "--collect-only", "-q", *ON_CLUSTER, cwd=shop)
    assert run.code == 0, run.output
    assert "6 tests collected" in run.output
