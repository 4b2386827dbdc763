"""Hazards in who reaches a port: by address and not by name, and in plaintext where a neighbour refuses it."""

from collections.abc import Collection, Iterator, Sequence

from pytest_meshcheck.checks.access import OUTSIDER, Access, Outcome
from pytest_meshcheck.checks.claims import GAVE_UP
from pytest_meshcheck.checks.own.access_claims import STALLED
from pytest_meshcheck.checks.own.hazard import Hazard
from pytest_meshcheck.checks.port_effects import of_callers
from pytest_meshcheck.model.observation import Form


def one_way_access(access: Sequence[Access], settings: Sequence[str]) -> Hazard:
    """Callers whose access by the name of a service and by the addresses of its pods differs.

    By name, a caller that is part of the mesh may be let in alone: most meshes know services by their names, and send
    plaintext to the addresses of pods. A caller without a data plane sends the same bytes on both ways, but for the
    host that it names.
    """
    callers: dict[str, list[str]] = {}
    for caller, words in _one_way(access):
        callers.setdefault(words, []).append(caller)
    found = tuple(f"{of_callers(names)}: {words}" for words, names in callers.items())
    gave_up = any(one.form and str(form) in one.form for one in access for form in GAVE_UP)
    return Hazard(found, tuple(settings), STALLED if gave_up else None) if found else Hazard()


def plaintext_beside(
    here: Sequence[Access], elsewhere: Collection[Access], forms: Collection[Form], settings: Sequence[str]
) -> Hazard:
    """A port that takes plaintext, where other ports of its namespace refuse it and serve the mesh.

    Args:
        here: The access to the port.
        elsewhere: The access to the ports of other workloads in its namespace.
        forms: The forms in which the mesh refuses plaintext; a policy about callers may deny them in others.
        settings: The places that configure who is let in with which certificate.
    """
    refusing = [port for port in sorted({one.destination for one in elsewhere}) if _refuses(port, elsewhere, forms)]
    got_in = [one for one in here if one.plaintext and one.caller == OUTSIDER and not one.address_of]
    if not (got_in and refusing):
        return Hazard()
    return Hazard((f"it serves {OUTSIDER} in plaintext, unlike {', '.join(refusing)}",), tuple(settings))


def _one_way(access: Sequence[Access]) -> Iterator[tuple[str, str]]:
    """Callers with such access, each with a description."""
    for caller in dict.fromkeys(one.caller for one in access):
        ways = [one for one in access if one.caller == caller and not one.within_pod]
        by_name, by_address = ([one for one in ways if bool(one.address_of) is of_pods] for of_pods in (False, True))
        if not (by_name and by_address):
            continue
        if _are_refused(by_name) and _are_served(by_address):
            yield caller, f"refused by name ({by_name[0].form}), and served by the addresses of the pods"
        if not ways[0].enrolled and _are_served(by_name) and _are_refused(by_address):
            yield caller, f"served by name, and refused by the addresses of the pods ({by_address[0].form})"


def _refuses(port: str, elsewhere: Collection[Access], forms: Collection[Form]) -> bool:
    """Whether a port refuses the outsider's plaintext on each way, while callers of the mesh are served by name."""
    there = [one for one in elsewhere if one.destination == port]
    plain = [one for one in there if one.caller == OUTSIDER]
    serves = any(one.enrolled and not one.address_of and one.outcome is Outcome.SERVED for one in there)
    known = set(map(str, forms))
    return bool(plain) and serves and _are_refused(plain) and all(known >= set(one.form.split(" or ")) for one in plain)


def _are_served(ways: Sequence[Access]) -> bool:
    return all(one.outcome is Outcome.SERVED and one.arrived for one in ways)


def _are_refused(ways: Sequence[Access]) -> bool:
    return all(not one.reached for one in ways)
