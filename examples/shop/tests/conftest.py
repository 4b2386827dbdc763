"""The shop's manifests, and the shop ready in the mesh."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from pytest_meshcheck.suite import MeshCluster

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def manifests() -> list[Mapping[str, Any]]:
    """The shop, its service, a customer, and the program as a ConfigMap."""
    text = Template((PROJECT / "manifests" / "shop.yaml").read_text("utf-8"))
    program = (PROJECT / "shop" / "server.py").read_text("utf-8")
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"server.py": program}}
    image = os.environ.get("SHOP_IMAGE", "python:3.11-slim")
    return [data, *yaml.safe_load_all(text.substitute(image=image))]


@pytest.fixture(scope="session")
def shop(mesh_cluster: MeshCluster, manifests: list[Mapping[str, Any]]) -> Iterator[str]:
    """The namespace of a shop that is ready, with every pod in the mesh."""
    with mesh_cluster.namespace(prefix="shop") as namespace:
        mesh_cluster.apply(manifests, namespace=namespace)
        mesh_cluster.wait("deployment/shop", namespace=namespace)
        mesh_cluster.wait("deployment/customer", namespace=namespace)
        yield namespace
