"""From an empty directory, against the built wheel, a third party's mesh is judged."""

import shlex
import shutil
import zipfile
from pathlib import Path

import pytest

from .installation import EXAMPLE, ROOT, Environment, Finished, results

SUITE = ("--pyargs", "pytest_meshcheck.conformance", "--mesh=acme")
TWO_CHECKS = "mtls/permissive-accepts-both or mtls/plaintext-is-refused-on-every-strict-port"

DATA = (
    "py.typed",
    "report/schema.json",
    "report/formats/templates/report.html.jinja",
    "conformance/suite.toml",
    *(f"conformance/{path.parent.name}/{path.name}" for path in (ROOT / "conformance").glob("*/requirements.toml")),
    "conformance/kill_table.json",
)
"""Files of the package that are no Python."""


@pytest.fixture(scope="module")
def shipped(wheel: Path) -> frozenset[str]:
    """The names of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


def in_repository(name: str) -> Path:
    """Where a file of the installed package comes from."""
    return ROOT / name if name.startswith("conformance/") else ROOT / "pytest_meshcheck" / name


@pytest.mark.parametrize("name", DATA)
def test_data_is_in_the_wheel(shipped: frozenset[str], name: str) -> None:
    assert (f"pytest_meshcheck/{name}" in shipped) == in_repository(name).exists()


def test_every_check_is_in_the_wheel(shipped: frozenset[str]) -> None:
    conformance = ROOT / "conformance"
    checks = {f"pytest_meshcheck/conformance/{path.relative_to(conformance)}" for path in conformance.rglob("*.py")}
    assert checks <= shipped


def test_nothing_else_is_installed_at_the_top(shipped: frozenset[str]) -> None:
    top = {name.partition("/")[0] for name in shipped}
    assert {name for name in top if not name.endswith(".dist-info")} == {"pytest_meshcheck"}


@pytest.fixture(scope="module")
def judged(with_acme: Environment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """A run of the two checks over acme, and the directory, empty before, that it was started in."""
    empty = tmp_path_factory.mktemp("empty")
    return with_acme.pytest(*SUITE, "-k", TWO_CHECKS, cwd=empty), empty


def test_what_acme_claims_is_judged(judged: tuple[Finished, Path]) -> None:
    run, directory = judged
    assert run.code == 0, run.output
    verdicts = {name: result["verdict"] for name, result in results(directory).items()}
    permissive = [verdicts[f"mtls/permissive-accepts-both[{port}]"] for port in ("http", "grpc", "tcp")]
    assert permissive == ["conforms"] * 3


def test_a_result_says_how_it_is_had_again(
    judged: tuple[Finished, Path], with_acme: Environment, tmp_path: Path
) -> None:
    _, directory = judged
    program, *command = shlex.split(results(directory)["mtls/permissive-accepts-both[tcp]"]["reproduce"])
    assert program == "pytest"
    run = with_acme.pytest(*command, cwd=tmp_path)
    assert run.code == 0, run.output
    assert {name: result["verdict"] for name, result in results(tmp_path).items()} == {
        "mtls/permissive-accepts-both[tcp]": "conforms"
    }


def test_what_acme_does_not_claim_is_unsupported_with_its_reason(judged: tuple[Finished, Path]) -> None:
    _, directory = judged
    ports = [
        r for name, r in results(directory).items() if name.startswith("mtls/plaintext-is-refused-on-every-strict")
    ]
    assert ports
    assert {result["verdict"] for result in ports} == {"unsupported"}
    assert {result["reason"] for result in ports} == {
        "needs port-level-mtls: an AcmePeering is about whole workloads (https://docs.acme.example/1.0/peering#limits)"
    }


def test_the_installed_package_is_what_ran(judged: tuple[Finished, Path], with_acme: Environment) -> None:
    run, directory = judged
    assert {path.name for path in directory.iterdir()} <= {"meshcheck-report", ".pytest_cache"}, run.output
    assert (with_acme.site_packages / "pytest_meshcheck" / "plugin.py").is_file()
    assert str(ROOT) not in run.output


def test_a_mesh_is_registered_by_a_hook(without_acme: Environment, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "hook" / "conftest.py", tmp_path)
    run = without_acme.pytest(*SUITE, "-k", "mtls/permissive-accepts-both", cwd=tmp_path, PYTHONPATH=str(EXAMPLE))
    assert run.code == 0, run.output
    verdicts = [result["verdict"] for result in results(tmp_path).values() if result["verdict"] != "not-run"]
    assert verdicts == ["conforms"] * 3


def test_an_unregistered_mesh_is_unknown(without_acme: Environment, tmp_path: Path) -> None:
    run = without_acme.pytest(*SUITE, cwd=tmp_path)
    assert run.code == pytest.ExitCode.USAGE_ERROR, run.output
    assert "no mesh 'acme'; available: " in run.output


def test_two_packages_with_one_name_are_both_named(with_acme: Environment, tmp_path: Path) -> None:
    clone = tmp_path / "clone" / "acme_clone-2.0.dist-info"
    clone.mkdir(parents=True)
    (clone / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-clone\nVersion: 2.0\n")
    (clone / "entry_points.txt").write_text("[pytest_meshcheck.meshes]\nacme = acme_clone:acme\n")
    run = with_acme.pytest(*SUITE, cwd=tmp_path, PYTHONPATH=str(clone.parent))
    assert run.code == pytest.ExitCode.USAGE_ERROR, run.output
    assert "two meshes are named 'acme'" in run.output
    assert "package acme-mesh (acme_mesh.adapter:acme)" in run.output
    assert "package acme-clone (acme_clone:acme)" in run.output
    assert not (tmp_path / "meshcheck-report").exists()
