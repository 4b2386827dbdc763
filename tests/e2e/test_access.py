"""A user who may do what ``meshcheck rbac`` grants, and one who may do a little less."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pytest_meshcheck.commands.rbac import manifest

from .conftest import Given
from .test_suite import PATIENCE, start

NAME = "meshcheck-e2e"
CHECKS = "mtls/plaintext-is-refused[workload or mtls/request-is-unreadable-on-the-wire[http-service]"

Granting = Callable[[str], Given]
REFUSALS = (b"Forbidden", b"forbidden: User")
"""Words of the API server; requirements have the word, too."""


@pytest.fixture
def granting(given: Given, tmp_path: Path) -> Iterator[Granting]:
    """The cluster as a service account sees it that may do this; nothing of it is left."""
    made: list[str] = []

    def grant(text: str) -> Given:
        made.append(text.replace("name: meshcheck\n", f"name: {NAME}\n"))
        kubectl(given, "apply", "--filename=-", given_to=made[-1])
        token = kubectl(given, "create", "token", NAME, "--namespace=default")
        config = json.loads(kubectl(given, "config", "view", "--raw", "--minify", "--output=json"))
        config["users"] = [{"name": NAME, "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = NAME
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        return Given(given.context, tmp_path / "kubeconfig", given.base)

    yield grant
    for text in made:
        kubectl(given, "delete", "--ignore-not-found", "--filename=-", given_to=text)


def kubectl(given: Given, *arguments: str, given_to: str = "") -> str:
    """What kubectl says."""
    config = [f"--kubeconfig={given.kubeconfig}"] if given.kubeconfig else []
    command = ["kubectl", *config, f"--context={given.context}", *arguments]
    return subprocess.run(command, input=given_to, check=True, capture_output=True, text=True).stdout


def test_the_role_is_enough(given: Given, granting: Granting, tmp_path: Path) -> None:
    before = given.namespaces()
    run = start(granting(manifest()), tmp_path, "--mesh-artifacts=always", "-k", CHECKS)
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert " error" not in output.splitlines()[-1], output
    kept = {path: path.read_bytes() for path in (tmp_path / "none-1").rglob("*") if path.is_file()}
    assert not [path for path, content in kept.items() if any(words in content for words in REFUSALS)]
    assert given.namespaces() <= before


def test_less_is_refused_at_once(given: Given, granting: Granting, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(manifest()))
    role = documents[0]
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] not in (["daemonsets"], ["pods/exec"])]
    less = granting(yaml.safe_dump_all(documents))
    begun = time.monotonic()
    run = start(less, tmp_path)
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR, output
    said = f"ERROR: context {given.context} may not create daemonsets.apps, patch daemonsets.apps, create pods/exec, "
    assert f"{said}get pods/exec: apply the output of `meshcheck rbac` and bind the role, or ask" in output
    assert time.monotonic() - begun < 30
