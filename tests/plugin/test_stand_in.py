"""The fixture ``stand_in`` in a user's own tests: functions and coroutines, and what it says where it has nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_stand_in.shop import MANIFESTS

from .conftest import Quick, Suite
from .recorded import api_server
from .test_cluster import KUBECONFIG

HERE = Path(__file__).parents[2]

STAND_INS = f"""
import pathlib, sys
sys.path.insert(0, {str(HERE)!r})
import pytest_asyncio
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.local.platform import Processes
from tests.unit.test_stand_in.shop import shop_in

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_platform(tmp_path_factory):
    return Processes(Journal(), tmp_path_factory.mktemp("mesh"))

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_trial(mesh_session, tmp_path_factory):
    texts = [path.read_text() for path in sorted(pathlib.Path("k8s").glob("*.yaml"))]
    async with shop_in(tmp_path_factory.mktemp("shop"), *texts, journal=mesh_session.journal) as shop:
        yield shop
"""
TESTS = """
import httpx, pytest

def url(path="/"):
    return f"http://payments:8080{path}"

def test_a_function(stand_in):
    orders, payments = stand_in("shop/orders").blocking, stand_in("shop/payments").blocking
    failing = payments.answers(503, repeat=True)
    answer = orders.http.post(url("/pay"), json={"amount": 1}, headers={"x-meshcheck-id": failing})
    assert answer.status_code == 503
    assert [attempt.path for attempt in payments.attempts(answer)] == ["/pay"]
    assert orders.get(url()).served
    assert orders.post(url(), "one").served
    with orders.load(url(), 50) as load:
        assert orders.get(url()).served
    assert load.result.served_once
    with pytest.raises(httpx.ConnectError):
        stand_in("outsider").blocking.http.get("http://payments/")

@pytest.mark.asyncio
async def test_a_coroutine(stand_in):
    orders, payments = stand_in("shop/orders"), stand_in("shop/payments")
    answer = await orders.http.get(url())
    assert len(await payments.attempts(answer)) == 1

@pytest.mark.asyncio
async def test_a_block_that_fails_ends_the_load(stand_in):
    orders = stand_in("shop/orders")
    with pytest.raises(ZeroDivisionError):
        async with orders.load(url(), 50) as load:
            1 / 0
    assert load.result.served_once

def test_a_block_of_a_function_that_fails_ends_the_load(stand_in):
    with pytest.raises(ZeroDivisionError):
        with stand_in("shop/orders").blocking.load(url(), 50) as load:
            1 / 0
    assert load.result.served_once

class TestOfAClass:
    def test_a_method(self, stand_in):
        assert stand_in("shop/orders").blocking.get(url()).served
"""
UNKNOWN = "def test_unknown(stand_in): stand_in('shop/order')"
LISTED = "--mesh-manifests=shop.yaml"


@pytest.fixture
def near(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The options for a cluster whose stand-ins are processes of this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with api_server(()) as (server, changed):
        manifests = MANIFESTS.replace(", namespace: shop", "")
        config = KUBECONFIG.format(port=server.rpartition(":")[2])
        suite.write(conftest=STAND_INS, config_yaml=config, shop_yaml=manifests)
        yield "--mesh=none", "--mesh-kubeconfig=config.yaml", "--mesh-context=near", "--mesh-probe-image=probe:1"
    assert changed == []


def test_functions_and_coroutines_use_it_without_a_requirement_or_a_check(
    suite: Suite, quick: Quick, near: tuple[str, ...]
) -> None:
    (suite.path / "requirements.toml").unlink()
    (suite.path / "test_own.py").write_text(TESTS)
    quick(*near, LISTED, "test_own.py").assert_outcomes(passed=5)
    assert not (suite.path / "meshcheck-report").exists()


NEEDS_ITS_MESH = {"test_nobody_else_pays", "test_orders_does_not_wait_for_ever"}


def test_the_example_passes_without_a_mesh_but_for_what_its_mesh_has_to_do(
    suite: Suite, quick: Quick, near: tuple[str, ...]
) -> None:
    example = HERE / "examples" / "payments"
    shutil.copytree(example / "k8s", suite.path / "k8s")
    tests = shutil.copy(example / "tests" / "test_payments.py", suite.path)
    result = quick(*near, LISTED, tests)
    result.assert_outcomes(passed=3, failed=len(NEEDS_ITS_MESH))
    failed = [line for line in result.outlines if line.startswith("FAILED ")]
    assert {line.partition("::")[2].partition("[")[0] for line in failed} == NEEDS_ITS_MESH


FAILS = """
def test_passes(stand_in):
    assert stand_in("shop/orders").blocking.get("payments:8080/before").served

def test_fails(stand_in):
    orders, payments = stand_in("shop/orders").blocking, stand_in("shop/payments").blocking
    answer = orders.http.post("http://payments:8080/pay")
    with orders.load("payments:8080", 50):
        assert len(payments.attempts(answer)) == 2
"""


def test_a_test_that_fails_shows_what_its_stand_ins_saw(suite: Suite, quick: Quick, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(FAILS)
    result = quick(*near, LISTED, "test_own.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "shop/orders -> shop/payments:8080: request *, it was answered 200 after *",
            "shop/payments: attempt 1 of request *, POST /pay, answered",
            "shop/orders -> shop/payments:8080: of * requests none failed",
        ]
    )
    result.stdout.no_fnmatch_line("*GET /before*")


def test_an_unknown_name_is_one_line_with_the_nearest(suite: Suite, quick: Quick, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(UNKNOWN)
    result = quick(*near, LISTED, "test_own.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["stand_in: no workload 'shop/order' in these manifests; did you mean 'shop/orders'[?]"]
    )
    result.stdout.no_fnmatch_line("*test_own.py:1:*")
    result.stdout.no_fnmatch_line("During handling of the above exception*")


def test_another_event_loop_is_refused_before_anything_starts(
    suite: Suite, quick: Quick, near: tuple[str, ...]
) -> None:
    (suite.path / "test_own.py").write_text(
        "import pytest\n@pytest.mark.asyncio(loop_scope='function')\nasync def test_own(stand_in): pass"
    )
    result = quick(*near, LISTED, "test_own.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*this runs in the loop of its function: write @pytest.mark.asyncio(loop_scope=*"])


def test_without_manifests_it_says_what_to_write(suite: Suite, quick: Quick, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(UNKNOWN)
    result = quick(*near, "test_own.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: stand_in is a workload of your own manifests: name them with --mesh-manifests=PATH"]
    )


def test_where_others_are_selected_it_refuses_nothing(suite: Suite, quick: Quick, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(f"{UNKNOWN}\ndef test_else(): pass")
    quick(*near, "test_own.py", "-k", "else").assert_outcomes(passed=1, deselected=1)
    assert quick(*near, "test_own.py", "--collect-only").ret == pytest.ExitCode.OK


def test_beside_tests_that_use_the_mesh_it_fails_alone(suite: Suite, quick: Quick, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(f"{UNKNOWN}\ndef test_else(mesh_session): pass")
    result = quick(*near, "test_own.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["stand_in is a workload of your own manifests: name them with --mesh-manifests=PATH"])


def test_a_worker_of_xdist_fails_the_test_alone(suite: Suite, near: tuple[str, ...]) -> None:
    (suite.path / "test_own.py").write_text(f"{UNKNOWN}\ndef test_else(): pass")
    run = suite.run(*near[1:], "test_own.py", "-n1", mesh="none")
    assert run.has("1 passed, 1 error", "\nstand_in is a workload of your own manifests: name them with")


def test_without_a_mesh_it_says_what_to_add(suite: Suite, quick: Quick) -> None:
    suite.write(test_own_py="def test_own(stand_in): pass\ndef test_else(): pass")
    result = quick()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["stand_in: no mesh is selected: add --mesh=NAME, or `mesh = NAME` to the ini file; *"])
