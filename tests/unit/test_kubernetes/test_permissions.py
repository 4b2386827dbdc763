"""The manifest grants what the table says: nothing less, nothing more."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.commands.rbac import manifest
from pytest_meshcheck.platforms.kubernetes.access.permissions import IMAGE_LOAD, PLATFORM, Permission

Granted = set[tuple[str, str, str]]
ROUTES = Permission("networking.istio.io", "virtualservices", ("create", "patch"))


def granted(text: str) -> Granted:
    """Group, resource and verb of everything that the manifest allows."""
    (role,) = (document for document in yaml.safe_load_all(text) if document["kind"] == "ClusterRole")
    return {single for rule in role["rules"] for single in _of(rule)}


def _of(rule: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            yield from ((group, resource, verb) for verb in rule["verbs"])


def wanted(permissions: Iterable[Permission]) -> Granted:
    return {(one.group, one.resource, verb) for one in permissions for verb in one.verbs}


def test_the_manifest_grants_the_table() -> None:
    assert granted(manifest()) == wanted(PLATFORM + IMAGE_LOAD)


def test_what_a_mesh_needs_is_added() -> None:
    assert granted(manifest([ROUTES])) == wanted((*PLATFORM, *IMAGE_LOAD, ROUTES))


def test_the_role_is_bound_to_the_account_in_it() -> None:
    role, account, binding = yaml.safe_load_all(manifest())
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbac", "--mesh", "none"]) == 0
    assert capsys.readouterr().out == manifest()


def test_a_mesh_that_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbac", "--mesh", "nosuchmesh"]) == 4
    assert capsys.readouterr().err.startswith("error: no mesh 'nosuchmesh'; available: ")
