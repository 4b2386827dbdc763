"""``meshcheck rbac``: the RBAC manifest of a run."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pytest_meshcheck.commands.errors import BAD_INPUT, failed
from pytest_meshcheck.meshes.registry import MeshRequest, NoHooks, Registry, RegistryError
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.access import permissions
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission

MANIFEST = Path(permissions.__file__).with_name("rbac.yaml")
SUMMARY = "Print the RBAC manifest that a run on a cluster needs, for kubectl apply."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck rbac``."""
    parser.add_argument(
        "--mesh",
        action="append",
        default=[],
        metavar="NAME",
        help="include the permissions needed to test this mesh when it is already installed; repeatable",
    )


def run(options: argparse.Namespace) -> int:
    """Print the manifest; returns the exit code."""
    meshes, request = Registry.installed(), MeshRequest(None, 1.0, NoHooks(), installed=True)
    try:
        extra = [one for name in options.mesh for one in meshes.create(name, request).permissions]
    except (RegistryError, MeshUnavailable) as error:
        return failed(str(error), BAD_INPUT)
    sys.stdout.write(manifest(extra))
    return 0


def manifest(extra: Iterable[Permission] = ()) -> str:
    """``rbac.yaml``, with additional rules for meshes."""
    text = MANIFEST.read_text("utf-8")
    if not (added := _rules(extra)):
        return text
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    for document in documents:
        if document["kind"] == "ClusterRole":
            document["rules"] += added
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def _rules(permissions: Iterable[Permission]) -> list[dict[str, list[str]]]:
    """Permissions as rules of a ClusterRole."""
    return [
        {"apiGroups": [one.group], "resources": [one.resource], "verbs": list(one.verbs)}
        for one in dict.fromkeys(permissions)
    ]
