"""What a setting is: its option, the ini file's twin, or the default."""

from collections.abc import Callable

import pytest

from pytest_meshcheck import options
from tests.plugin.conftest import INI, Quick, Suite


def test_every_option_is_in_the_help_with_its_ini_twin(quick: Quick) -> None:
    printed = " ".join(quick("--help").stdout.str().split())
    for option in options.OPTIONS:
        assert f"(ini: {option.ini})" in printed
        assert (f"{option.flag}={option.metavar}" if option.metavar else option.flag) in printed


# option: a valid value, another one
VALUES = {
    "mesh": ("envoy", "acme"),
    "mesh_level": ("must", "should"),
    "mesh_expectations": ("one.toml", "two.toml"),
    "mesh_baseline": ("one.toml", "two.toml"),
    "mesh_upgrade_to": ("1.36.2", "1.38.3"),
    "mesh_upgrade_by": ("canary", "in-place"),
    "mesh_report": ("one", "two"),
    "mesh_artifacts": ("always", "never"),
    "mesh_timeout_scale": ("2", "3"),
    "mesh_kubeconfig": ("one.toml", "two.toml"),
    "mesh_context": ("near", "far"),
    "mesh_kind_config": ("one.toml", "two.toml"),
    "mesh_kind_load": ("istiod:1", "istiod:2"),
    "mesh_kind_image": ("node:1", "node:2"),
    "mesh_keep": ("on-failure", "always"),
    "mesh_probe_image": ("probe:1", "probe:2"),
    "mesh_probe_base": ("python:1", "python:2"),
    "mesh_probe_wheels": ("one", "two"),
    "mesh_charts": ("one", "two"),
    "mesh_values": ("one.toml", "two.toml"),
    "mesh_stand_in": ("Envoy-1.37", "Envoy-1.36"),
    "mesh_manifests": ("one", "two"),
    "mesh_manifests_expect": ("one.toml", "two.toml"),
    "mesh_manifests_only": ("shop/orders", "shop/*"),
    "mesh_manifests_budget": ("60", "90"),
}

SettingOf = Callable[..., str]

TELL = """
from pytest_meshcheck import options

def pytest_collection_finish(session):
    print("settings:", getattr(options.settings(session.config), "{name}"))
"""


SWITCHES = ("mesh_slow", "mesh_installed", "mesh_allow_disruption")


def test_values_cover_every_option() -> None:
    assert {*VALUES, *SWITCHES} == {option.ini for option in options.OPTIONS}


@pytest.fixture
def setting_of(suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> SettingOf:
    """What a setting is, given an ini file and a command line."""
    # No mesh is begun: only the settings count.
    monkeypatch.setattr("pytest_meshcheck.run.start.start", lambda *_: None)

    def tell(name: str, ini: str | None, *args: str) -> str:
        line = f"{name} = {ini}\n" if ini is not None else ""
        line += "" if name == "mesh" else "mesh = envoy\n"  # without one, the rest of the ini file does not matter
        suite.write("def test_ordinary(): pass", conftest=TELL.format(name=name), pytest_ini=f"{INI}{line}")
        for file in ("one.toml", "two.toml"):
            (suite.path / file).touch()
            (suite.path / file).with_suffix("").mkdir(exist_ok=True)
        (line,) = [line for line in quick("-s", *args).outlines if "settings:" in line]
        return line.partition("settings: ")[2]

    return tell


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_in_the_ini_or_on_the_command_line(setting_of: SettingOf, name: str) -> None:
    assert setting_of(name, "true") == "True"
    assert setting_of(name, None, f"--{name.replace('_', '-')}") == "True"
    assert setting_of(name, "false") == "False"


@pytest.mark.parametrize("name", VALUES)
def test_ini_over_default(setting_of: SettingOf, name: str) -> None:
    assert VALUES[name][0] in setting_of(name, VALUES[name][0])


@pytest.mark.parametrize("name", VALUES)
def test_command_line_over_ini(setting_of: SettingOf, name: str) -> None:
    one, two = VALUES[name]
    flag = f"--{name.replace('_', '-')}={two}"
    setting = setting_of(name, one, flag)
    assert two in setting
    assert one not in setting


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.ini)
def test_default(setting_of: SettingOf, option: options.Option) -> None:
    assert setting_of(option.ini, None) == str(option.default)


def test_empty_ini_value_is_the_default(setting_of: SettingOf) -> None:
    assert setting_of("mesh_level", "") == "may"


def test_several_meshes_in_the_ini(setting_of: SettingOf) -> None:
    setting = setting_of("mesh", "envoy acme@1.2")
    assert "name='envoy', version=None" in setting
    assert "name='acme', version='1.2'" in setting


def test_a_path_in_the_ini_begins_where_the_ini_is(setting_of: SettingOf, pytester: pytest.Pytester) -> None:
    pytester.mkdir("below")
    assert setting_of("mesh_report", "reports") == str(pytester.path / "reports")
    assert setting_of("mesh_report", "reports", "--rootdir=below") == str(pytester.path / "reports")


def test_a_url_in_the_ini_begins_nowhere(setting_of: SettingOf) -> None:
    assert setting_of("mesh_charts", "oci://charts.invalid/mesh") == "oci://charts.invalid/mesh"


UMLAUT = '''
@check(MUST, "demo.rule")
async def test_quotes(mesh):
    """A source is quoted: > It does […] naïvely."""
    expect("é").equals("ü…")
'''


def test_texts_are_utf_8_whatever_the_locale(suite: Suite) -> None:
    suite.write(UMLAUT)
    ascii_alone = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}
    run = suite.run("--mesh-artifacts=always", **ascii_alone)
    assert run.has("VIOLATES  demo/quotes"), run.output
    result = suite.results()["demo/quotes"]
    assert result["description"] == "A source is quoted: > It does […] naïvely."
    assert "ü…" in (suite.directory / "report.html").read_text("utf-8")
