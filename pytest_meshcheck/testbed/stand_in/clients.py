"""Clients of httpx that send from inside of a stand-in, where httpx is installed."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.testbed.stand_in.calls import Sender

if TYPE_CHECKING:
    import httpx

TRANSPORTS = "pytest_meshcheck.testbed.stand_in.httpx_transport"
"""Imported when first asked for, as an extra brings httpx."""

NO_HTTPX = "stand_in(...).http needs httpx, which is not installed: pip install 'pytest-meshcheck[cluster]'"


def async_client(sender: Sender) -> "httpx.AsyncClient":
    """A client for coroutines; ClusterError without httpx."""
    made: httpx.AsyncClient = _transports().async_client(sender)
    return made


def client(sender: Sender, run: Callable[[Any], Any]) -> "httpx.Client":
    """A client for functions, where ``run`` runs a coroutine to its end; ClusterError without httpx."""
    made: httpx.Client = _transports().client(sender, run)
    return made


def _transports() -> ModuleType:
    try:
        return import_module(TRANSPORTS)
    except ModuleNotFoundError as missing:
        raise ClusterError(NO_HTTPX) from missing
