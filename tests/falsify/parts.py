"""The parts of a sidecar's Envoy resources that defects change.

Both filter chains of an inbound listener share their filters, so each connection manager is found once.
"""

from typing import Any

from tests.falsify.defect import Resources

Part = dict[str, Any]

MANAGER = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
RBAC = "envoy.filters.network.rbac"

OFF = "0s"
"""The time limit of a route without one."""


def inbound(resources: Resources) -> list[Part]:
    """The listeners where others reach the workload."""
    return [listener for listener in resources["listeners"] if listener["name"].startswith("inbound.")]


def outbound(resources: Resources) -> list[Part]:
    """The listeners where the workload dials services."""
    return [listener for listener in resources["listeners"] if listener["name"].startswith("outbound.")]


def port_of(listener: Part) -> str:
    """The name of the port that a listener is for."""
    return str(listener["name"].rpartition(".")[2])


def secure_chain(listener: Part) -> Part:
    """The filter chain for TLS of an inbound listener."""
    return next(chain for chain in listener["filter_chains"] if "transport_socket" in chain)


def filters(listener: Part) -> list[Part]:
    """The filters of an inbound listener that lead to the application, without the one that looks at certificates."""
    return [one for one in secure_chain(listener)["filters"] if one["name"] != RBAC]


def plaintext_chains(listener: Part) -> list[Part]:
    """The filter chains of an inbound listener that take plaintext; a strict port has none."""
    return [chain for chain in listener["filter_chains"] if "transport_socket" not in chain]


def add_plaintext_chain(listener: Part, network_filters: list[Part]) -> None:
    """Have a strict inbound listener take plaintext, which goes through these network filters."""
    match = {"transport_protocol": "raw_buffer"}
    listener["filter_chains"].append({"name": "plaintext", "filter_chain_match": match, "filters": network_filters})


def server_contexts(resources: Resources) -> list[Part]:
    """The TLS contexts by which the workload is reached."""
    return [secure_chain(listener)["transport_socket"]["typed_config"] for listener in inbound(resources)]


def client_contexts(resources: Resources, *ports: str) -> list[Part]:
    """The TLS contexts by which the workload reaches others on these ports, by default on all."""
    chosen = (one for one in resources["clusters"] if not ports or one["name"].rpartition(".")[2] in ports)
    sockets = (cluster.get("transport_socket") for cluster in chosen)
    return [socket["typed_config"] for socket in sockets if socket]


def validation(context: Part) -> Part:
    """What a TLS context asks of a peer's certificate, beyond the roots."""
    common = context["common_tls_context"]
    default: Part = common["combined_validation_context"]["default_validation_context"]
    return default


def ask_for_no_certificate(context: Part) -> None:
    """Have a TLS context take clients without looking at their certificates."""
    context["require_client_certificate"] = False
    del context["common_tls_context"]["combined_validation_context"]


def accept_expired_servers(resources: Resources) -> None:
    """Have the workload accept servers whose certificates have expired."""
    for context in client_contexts(resources):
        validation(context)["allow_expired_certificate"] = True


def managers(*listeners: Part) -> list[Part]:
    """The HTTP connection managers in listeners."""
    return _filters(MANAGER, listeners)


def proxies(*listeners: Part) -> list[Part]:
    """The TCP proxies in listeners."""
    return _filters(TCP_PROXY, listeners)


def take_plaintext(resources: Resources, *ports: str) -> None:
    """Accept plaintext on these strict ports, by default on all."""
    for listener in inbound(resources):
        if (not ports or port_of(listener) in ports) and not plaintext_chains(listener):
            add_plaintext_chain(listener, filters(listener))


def tcp_proxy(cluster: str) -> Part:
    """A network filter that passes bytes on to a cluster."""
    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    return {"name": TCP_PROXY, "typed_config": {"@type": kind, "stat_prefix": cluster, "cluster": cluster}}


def _filters(name: str, listeners: tuple[Part, ...]) -> list[Part]:
    chains = (chain for listener in listeners for chain in listener["filter_chains"])
    found = (one["typed_config"] for chain in chains for one in chain["filters"] if one["name"] == name)
    return list({id(config): config for config in found}.values())


def actions(resources: Resources) -> list[Part]:
    """The route actions towards services."""
    return [route["route"] for _, route in outbound_routes(resources)]


def outbound_routes(resources: Resources) -> list[tuple[str, Part]]:
    """The routes towards services, each with the name of its route configuration."""
    return [
        (configuration["name"], route)
        for configuration in resources["routes"]
        if configuration["name"].startswith("outbound.")
        for host in configuration["virtual_hosts"]
        for route in host["routes"]
    ]


def inbound_hosts(resources: Resources) -> list[Part]:
    """The virtual hosts of the workload's own HTTP ports."""
    return [
        host
        for configuration in resources["routes"]
        if configuration["name"].startswith("inbound.")
        for host in configuration["virtual_hosts"]
    ]


def answer_itself(*routes: Part) -> None:
    """Have a data plane answer every request on these routes with 503."""
    for route in routes:
        del route["route"]
        route["direct_response"] = {"status": 503}


def retry_policies(resources: Resources) -> list[Part]:
    """The retry policies that are in force."""
    return [action["retry_policy"] for action in actions(resources) if "retry_policy" in action]


def listeners_that_retry(resources: Resources) -> list[Part]:
    """The outbound listeners whose route has a retry policy."""
    names = {name for name, route in outbound_routes(resources) if "retry_policy" in route["route"]}
    return [listener for listener in outbound(resources) if listener["name"] in names]


def secret(resources: Resources, name: str) -> Part:
    """The secret of that name: ``identity`` or ``roots``."""
    return next(one for one in resources["secrets"] if one["name"] == name)


def refer(secret_config: Part, name: str) -> None:
    """Have a TLS context take the secret of this name."""
    secret_config["name"] = name
    secret_config["sds_config"] = {"resource_api_version": "V3", "ads": {}}


def trusted_ca(resources: Resources) -> Part:
    """Where the PEM of the announced roots is: ``inline_string``."""
    trusted: Part = secret(resources, "roots")["validation_context"]["trusted_ca"]
    return trusted


def chain_of(resources: Resources) -> Part:
    """Where the PEM of the workload's certificate chain is: ``inline_string``."""
    chain: Part = secret(resources, "identity")["tls_certificate"]["certificate_chain"]
    return chain


def lua(source: str) -> Part:
    """An HTTP filter that runs a script."""
    name = "envoy.filters.http.lua"
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    return {"name": name, "typed_config": {"@type": kind, "default_source_code": {"inline_string": source}}}


def number_attempts(resources: Resources) -> None:
    """State the number of each attempt in the header x-envoy-attempt-count."""
    for configuration in resources["routes"]:
        for host in configuration["virtual_hosts"]:
            host["include_request_attempt_count"] = True


def script(source: str, *listeners: Part) -> None:
    """Run a Lua script on every request of these listeners, before all other filters."""
    for manager in managers(*listeners):
        manager["http_filters"] = [lua(source), *manager["http_filters"]]
