"""Tests that are no checks use the mesh as well: in the right event loop, or they say what to write."""

import pytest

from tests.plugin.conftest import INI, Quick, Suite

CALLS = """
import asyncio
import pytest
import pytest_asyncio

{decorator}
async def test_calls(mesh, mesh_client, mesh_server):
    assert (await mesh_client.get(mesh_server)).status == 200
"""

AUTO = f"{INI}asyncio_mode = auto\n"
INSTEAD = 'write @pytest.mark.asyncio(loop_scope="session")'


def of_function(ini: str) -> str:
    """The same with the loop that pytest-asyncio recommends for fixtures."""
    return ini.replace("scope = session", "scope = function")


# what it is: the decorator of the test, the ini file
WORKS = {
    "auto": ("", AUTO),
    "auto, fixtures of functions": ("", of_function(AUTO)),
    "bare mark": ("@pytest.mark.asyncio", INI),
    "bare mark, fixtures of functions": ("@pytest.mark.asyncio", of_function(INI)),
    "bare mark, tests of modules": ("@pytest.mark.asyncio", f"{INI}asyncio_default_test_loop_scope = module\n"),
    "session": ('@pytest.mark.asyncio(loop_scope="session")', INI),
}


@pytest.mark.parametrize("case", WORKS)
def test_a_test_of_one_s_own_runs_in_the_loop_of_the_mesh(suite: Suite, case: str) -> None:
    decorator, ini = WORKS[case]
    suite.write(test_calls_py=CALLS.format(decorator=decorator), pytest_ini=ini)
    assert suite.run().has("1 passed")


# what it is: the decorator of the test, what is said
REFUSED = {
    "another loop": (
        '@pytest.mark.asyncio(loop_scope="function")',
        f"event loop of the session; this runs in the loop of its function: {INSTEAD}",
    ),
    "strict": ("", f"event loop of the session; nothing runs it as a coroutine: {INSTEAD}"),
    "anyio": (
        "@pytest.mark.anyio",
        f"event loop of the session; anyio runs it in one of its own: {INSTEAD} instead of @pytest.mark.anyio",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_test_in_another_loop_fails_before_the_mesh_is_started(suite: Suite, case: str) -> None:
    decorator, said = REFUSED[case]
    conftest = """
        def pytest_configure(config):
            config.addinivalue_line("markers", "anyio: of that plugin")

        def pytest_meshcheck_envoy_resources():
            raise RuntimeError("a sidecar was started")
    """
    suite.write(test_calls_py=CALLS.format(decorator=decorator), conftest=conftest)
    run = suite.run()
    assert run.code == 1
    assert run.has(f" uses the mesh, which lives in the {said}", "1 error")
    assert "a sidecar was started" not in run.output


LATE = {
    # what is used from another loop
    "fixture": """
        import pytest_asyncio

        @pytest_asyncio.fixture(loop_scope="function")
        async def answer(mesh_client, mesh_server):
            return await mesh_client.get(mesh_server)

        def test_late(answer):
            pass
    """,
    "asyncio.run": """
        import asyncio

        def test_late(mesh_client, mesh_server):
            asyncio.run(mesh_client.get(mesh_server))
    """,
    "policy": """
        import asyncio
        from pytest_meshcheck.suite import MutualTls, Mode

        async def strict(mesh, server):
            async with mesh.policy(MutualTls(server, Mode.STRICT)):
                pass

        def test_late(mesh, mesh_server):
            asyncio.run(strict(mesh, mesh_server))
    """,
    "workload": """
        import asyncio

        def test_late(mesh):
            asyncio.run(mesh.workload("client"))
    """,
}


@pytest.mark.parametrize("what", LATE)
def test_what_is_used_from_another_loop_says_so(suite: Suite, what: str) -> None:
    suite.write(test_late_py=LATE[what])
    run = suite.run()
    assert run.code == 1
    assert run.has("WrongLoop: the mesh lives in the event loop of the session, and this runs in another one")


def test_a_test_that_is_no_coroutine_sees_the_mesh(suite: Suite, quick: Quick) -> None:
    suite.write(test_sees_py="def test_sees(mesh, mesh_client): assert mesh.claims and mesh_client.name == 'client'")
    quick("--mesh=envoy").assert_outcomes(passed=1)


NO_AUTOLOAD = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

WITHOUT: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    # why it is not loaded: arguments, environment
    "left out": (("-p", "no:asyncio"), {}),
    "nothing is loaded": (("-p", "pytest_meshcheck.plugin"), NO_AUTOLOAD),
}


@pytest.mark.parametrize("without", WITHOUT)
def test_pytest_asyncio_has_to_be_loaded(suite: Suite, without: str) -> None:
    suite.write("conforms", pytest_ini="[pytest]\n")
    args, env = WITHOUT[without]
    run = suite.run(*args, **env)
    assert run.code == 4
    assert [line for line in run.output.splitlines() if line] == [
        "ERROR: --mesh needs pytest-asyncio, which is not loaded: omit -p no:asyncio, or add "
        "-p pytest_asyncio.plugin where plugins are not loaded automatically (PYTEST_DISABLE_PLUGIN_AUTOLOAD)"
    ]


def test_pytest_asyncio_may_be_named(suite: Suite) -> None:
    suite.write("conforms")
    args = ("-p", "pytest_meshcheck.plugin", "-p", "pytest_asyncio.plugin")
    assert suite.run(*args, **NO_AUTOLOAD).has("1 passed")


TAKES_ALL = """
import inspect
import pytest

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    if inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("anyio_backend")(obj)

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    assert "anyio_backend" not in pyfuncitem.funcargs
"""
"""As anyio does in its automatic mode."""


def test_checks_are_left_to_pytest_asyncio(suite: Suite, quick: Quick, pytester: pytest.Pytester) -> None:
    calls = CALLS.format(decorator="@pytest.mark.asyncio")
    suite.write("served", test_calls_py=calls, takes_all_py=TAKES_ALL)
    pytester.syspathinsert()
    quick("-p", "takes_all", "--mesh=envoy").assert_outcomes(passed=2)
