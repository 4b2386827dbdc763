"""Conversion of resources from protobuf-JSON to xDS messages, by the classes of the package xds-protos."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from pytest_meshcheck.meshes.envoy.xds.resources import Resource
from pytest_meshcheck.model.redaction import redacted

MESSAGES: dict[str, type[Message]] = {
    "listeners": Listener,
    "clusters": Cluster,
    "routes": RouteConfiguration,
    "endpoints": ClusterLoadAssignment,
    "secrets": Secret,
    "filters": TypedExtensionConfig,
}


class NotEnvoy(ValueError):
    """A resource is not valid in Envoy's API; names the wrong field, and never contains a key."""


def message(kind: str, resource: Resource) -> AnyMessage:
    """A resource as an ``Any``.

    Raises:
        NotEnvoy: A field or a type is unknown, or a value has the wrong type.
    """
    for type_name in set(_types_in(resource)):
        _know(type_name)
    packed = AnyMessage()
    try:
        packed.Pack(ParseDict(resource, MESSAGES[kind]()))
    except (ParseError, TypeError) as error:  # TypeError: for example a list in place of a message
        raise NotEnvoy(redacted(str(error))) from error
    return packed


def _types_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(named := node.get("@type"), str):
            yield named
        for value in node.values():
            yield from _types_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from _types_in(value)


@cache
def _know(type_url: str) -> None:
    """Import the module that defines a type, so that protobuf can resolve it; unknown types are ignored here."""
    name = type_url.rpartition("/")[2]
    package = ".".join(part for part in name.split(".") if part.islower())
    try:
        folder = importlib.import_module(package)
    except ImportError:
        return
    for module in pkgutil.iter_modules(folder.__path__, f"{package}."):
        if module.name.endswith("_pb2"):
            importlib.import_module(module.name)
