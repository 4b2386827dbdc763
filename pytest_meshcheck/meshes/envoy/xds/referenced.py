"""Filters of listeners as resources of their own, which filter chains refer to by name.

Envoy compares all messages of each kept filter chain, and builds the filters of each new one, whenever a listener
changes. A reference is small, and chains that share one share the filter, so that a change of the mode of mutual TLS
costs neither.
"""

from collections import deque

from pytest_meshcheck.meshes.envoy.xds.resources import Resource, Resources, by_name

REMEMBERED = 4
"""The number of versions kept per listener: policies alternate."""


class ReferencedFilters:
    """Takes filters out of listeners; an unchanged listener stays the same object."""

    def __init__(self) -> None:
        self._remembered: dict[str, deque[tuple[Resource, Resource, Resource]]] = {}

    def taken_out(self, resources: Resources) -> Resources:
        """The resources, with the last filter of each listener that has several kinds of chains as one of them."""
        listeners, filters = [], list(resources["filters"])
        for listener in resources["listeners"]:
            last = _last_filter(listener)
            if last is None:
                listeners.append(listener)
                continue
            referring, network_filter = self._split(listener, last)
            listeners.append(referring)
            filters.append(network_filter)
        return {**resources, "listeners": listeners, "filters": filters}

    def _split(self, listener: Resource, last: Resource) -> tuple[Resource, Resource]:
        remembered = self._remembered.setdefault(listener["name"], deque(maxlen=REMEMBERED))
        for source, referring, network_filter in remembered:
            if source is listener or source == listener:
                return referring, network_filter
        network_filter = {**last, "name": listener["name"]}
        network_filter = next((known for _, _, known in remembered if known == network_filter), network_filter)
        referring = {
            **listener,
            "filter_chains": [_referring(chain, last, network_filter) for chain in listener["filter_chains"]],
        }
        remembered.append((listener, referring, network_filter))
        return referring, network_filter


def _last_filter(listener: Resource) -> Resource | None:
    """The last filter of the first chain, if the listener has a choice of chains; None also if it is malformed."""
    try:
        first = listener["filter_chains"][0]
        last: Resource = first["filters"][-1]
        return last if first["filter_chain_match"] and last["typed_config"]["@type"] else None
    except (KeyError, IndexError, TypeError):
        return None


def _referring(chain: Resource, last: Resource, network_filter: Resource) -> Resource:
    """A chain that ends with this filter, by reference; any other one as it is."""
    filters = chain.get("filters")
    if not filters or filters[-1] != last:
        return chain
    return {**chain, "filters": [*filters[:-1], by_name(network_filter)]}
