"""The proxy to an API server, chosen exactly as ``kubectl`` does.

The client by itself differs from ``kubectl``: it uses a proxy for loopback addresses, ignores networks in ``NO_PROXY``,
and opens ``exec`` streams without a proxy.
"""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.sockets import Sockets

Client = TypeVar("Client", bound=ApiClient)
SCHEMES = ("http", "https")
READ_BUFFER = 1 << 21
"""Bytes. A line of a watch is one object, which may be larger than aiohttp expects of a line."""


class ProxyRefused(aiohttp.ClientError):
    """A proxy does not lead to the API server; the text names it without its credentials."""


def proxy_to(server: str) -> str | None:
    """The proxy that the environment names for a URL; None if there is none, or an exception applies.

    As in Go's net/http: loopback addresses are never reached through a proxy.
    """
    url = urlsplit(server)
    host, proxies = url.hostname or "", getproxies()
    proxy = proxies.get(url.scheme)
    if not proxy or _is_near(host) or _is_excepted(host, url.port, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def client_of(kind: Callable[..., Client], configuration: Configuration, sockets: Sockets, **how: Any) -> Client:
    """A client whose requests and streams use that proxy, through connections over these sockets.

    Raises:
        MeshUnavailable: The proxy has no valid URL, or an unsupported scheme.
    """
    proxy = proxy_of(configuration)
    if proxy is not None:
        _refuse_unusable(proxy, str(configuration.host))
    client = kind(configuration, **how)
    rest = client.rest_client
    given: Any = rest.pool_manager.connector
    rest.pool_manager.detach()
    connector = aiohttp.TCPConnector(limit=given.limit, ssl=given._ssl, socket_factory=sockets)
    rest.pool_manager = aiohttp.ClientSession(connector=connector, proxy=proxy, read_bufsize=READ_BUFFER)
    rest.proxy = ""  # else each request names it once more
    return client


def proxy_of(configuration: Configuration) -> str | None:
    """The proxy of the kubeconfig, which applies to any address, or else that of the environment."""
    return configuration.proxy or proxy_to(str(configuration.host))


def described(proxy: str) -> str:
    """The URL of a proxy without credentials."""
    url = urlsplit(proxy)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


@contextmanager
def without_credentials() -> Iterator[None]:
    """Replace errors that quote the password of a proxy by ``ProxyRefused``, which has no cause."""
    try:
        yield
    except aiohttp.ClientHttpProxyError as error:
        proxy = described(str(error.request_info.real_url))
        raise ProxyRefused(f"the proxy {proxy} answers {error.status} {error.message}") from None


def _refuse_unusable(proxy: str, server: str) -> None:
    if not _is_url(proxy):  # where its credentials end is unknown
        raise MeshUnavailable(
            f"the proxy to the API server {server} has no valid URL, which is http://USER:PASSWORD@HOST:PORT with "
            "special characters percent-encoded: correct HTTPS_PROXY, or proxy-url in the kubeconfig"
        )
    if urlsplit(proxy).scheme not in SCHEMES:
        raise MeshUnavailable(
            f"the proxy {described(proxy)} to the API server {server} has an unsupported scheme; "
            f"valid are {', '.join(f'{scheme}://' for scheme in SCHEMES)}: use another proxy, or exclude the "
            "server with NO_PROXY"
        )


def _is_url(proxy: str) -> bool:
    try:
        url = urlsplit(proxy)
        return url.hostname is not None and url.port != 0
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_excepted(host: str, port: int | None, proxies: dict[str, str]) -> bool:
    address = _address(host)
    named = f"{host}:{port}" if port else host
    if proxy_bypass(named, proxies):
        return True
    return address is not None and any(address in network for network in _networks(proxies.get("no", "")))


def _networks(excepted: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for entry in map(str.strip, excepted.split(",")):
        try:
            found.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            continue  # a name
    return found


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
