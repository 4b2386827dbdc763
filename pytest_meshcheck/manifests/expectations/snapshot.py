"""What was seen of the access to services, written as what is expected from now on; pure."""

import json
from collections.abc import Iterable, Iterator, Sequence

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess

HEAD = """# Who reached what on {seen}.
# It is what the mesh did, and not what it should do: review it.
"""


def snapshot(entries: Iterable[Access], seen: str) -> str:
    """A ``meshcheck.toml`` by which these entries are as expected.

    A port where a caller is served on some ways and refused on others has a comment instead, as neither would hold.

    Args:
        entries: The access matrix of a run.
        seen: The mesh and the time of that run.
    """
    by_port: dict[str, list[Access]] = {}
    for one in (each for each in entries if not each.within_pod):
        by_port.setdefault(one.destination, []).append(one)
    refused = not any(one.reached and not one.enrolled for found in by_port.values() for one in found)
    head = HEAD.format(seen=seen) + ('plaintext = "refused"\n' if refused else "")
    return "\n".join([head, *("\n".join(_table(port, found)) + "\n" for port, found in by_port.items())])


def _table(port: str, found: Sequence[Access]) -> Iterator[str]:
    """The lines about one port."""
    served = frozenset(one.caller for one in found if not one.address_of and one.reached)
    compared = ExpectedAccess(port, served).compared(found)
    if uneven := (*compared.missing, *compared.leaks):
        yield f"# {port} has no entry, as some of its callers are served on some ways only:"
        yield from (f"#   {one.way}: {one.words}" for one in uneven)
        return
    yield "[[access]]"
    if plaintext := dict.fromkeys(one.caller for one in found if one.plaintext):
        yield f"# in plaintext: {', '.join(plaintext)}"
    yield f"to = {json.dumps(port)}"
    callers = [json.dumps(one) for one in dict.fromkeys(one.caller for one in found) if one in served]
    yield f"from = [{', '.join(callers)}]"
