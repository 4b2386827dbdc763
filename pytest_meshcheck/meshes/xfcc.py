"""The header by which Envoy passes the identity of the caller to an application.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
"""

import re

HEADER = "x-forwarded-client-cert"

_QUOTED = r'"(?:\\.|[^"\\])*"'
_ELEMENT = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PAIR = re.compile(rf'(?P<key>\w+)=(?P<value>(?:[^;"]|{_QUOTED})*)')


def caller(header: str) -> str | None:
    """The URI SAN of the nearest caller's certificate; None if the header has none.

    Each proxy appends an element; the last one names the peer that the application's own sidecar verified.
    """
    elements = _ELEMENT.findall(header)
    pairs = _PAIR.finditer(elements[-1]) if elements else iter(())
    uris = [pair["value"].strip('"') for pair in pairs if pair["key"].lower() == "uri"]
    return uris[0] if uris else None
