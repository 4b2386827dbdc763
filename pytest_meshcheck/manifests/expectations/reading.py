"""``meshcheck.toml``: what the owner of manifests expects of the mesh, read and compared with the plan; pure."""

import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pytest_meshcheck.checks.access import OUTSIDER, STRANGER
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess
from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.expectations.expected import Expected, Identity, Limit, Once
from pytest_meshcheck.manifests.expectations.toml_places import Block, blocks
from pytest_meshcheck.manifests.objects import Place
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.reading import Text

FILE = "meshcheck.toml"
OPTION = "--mesh-manifests-expect"

ACCESS, ONCE, LIMIT, IDENTITY, CALLS, PLAINTEXT = "access", "once", "limit", "identity", "calls", "plaintext"
TO, FROM, OF, PORTS = "to", "from", "of", "ports"
REFUSED = "refused"
PLAINTEXT_VALUES = (REFUSED, "allowed")
SECONDS = 60

KEYS: Mapping[str, Collection[str]] = {
    # table: its keys
    "": (PLAINTEXT, ACCESS, ONCE, LIMIT, IDENTITY, CALLS),
    ACCESS: (TO, FROM, PLAINTEXT),
    ONCE: (TO, "method", "path"),
    LIMIT: (TO, "seconds", "path"),
    IDENTITY: (OF, "is"),
    CALLS: (OF, PORTS),
}
NEEDED: Mapping[str, Sequence[str]] = {
    # table: the keys without which it says nothing, first that of what it is about
    ACCESS: (TO,),
    ONCE: (TO,),
    LIMIT: (TO, "seconds"),
    IDENTITY: (OF, "is"),
    CALLS: (OF, PORTS),
}


def _is_texts(it: object) -> bool:
    return isinstance(it, list) and all(isinstance(one, str) for one in it)


IS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    # key: whether a value will do, and what would
    TO: (lambda it: isinstance(it, str), 'a port of a service, such as "shop/orders:8080"'),
    OF: (lambda it: isinstance(it, str), 'a workload, such as "shop/web"'),
    "is": (
        lambda it: isinstance(it, str) and bool(it),
        'an identity as the mesh writes it, such as "spiffe://cluster.local/ns/shop/sa/web"',
    ),
    FROM: (_is_texts, 'a list of callers, such as ["shop/web"], or [] for nobody'),
    PORTS: (_is_texts, 'a list of ports of services, such as ["shop/orders:8080"]'),
    PLAINTEXT: (lambda it: it in PLAINTEXT_VALUES, " or ".join(f'"{one}"' for one in PLAINTEXT_VALUES)),
    "method": (lambda it: isinstance(it, str) and it.isalpha() and it.isupper(), 'a method, such as "POST"'),
    "path": (lambda it: isinstance(it, str) and it.startswith("/"), 'a path, such as "/pay"'),
    "seconds": (
        lambda it: isinstance(it, int | float) and not isinstance(it, bool) and 0 < it <= SECONDS,
        f"a number of seconds up to {SECONDS}",
    ),
}
USUAL = {"method": Once.method, "path": Once.path}
"""Keys that tell entries about one port apart, and what they are where an entry has none."""

DECODED_AT = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True)
class Entry:
    """One table of the file.

    Attributes:
        values: Its keys and values, of which all are valid by themselves.
        block: Its lines.
    """

    values: Mapping[str, Any]
    block: Block

    @property
    def about(self) -> str:
        """The port or the workload that it is about."""
        return str(self.values[NEEDED[self.block.table][0]])

    @property
    def place(self) -> Place:
        """Where that is named."""
        return self.block.key(NEEDED[self.block.table][0])

    @property
    def rest(self) -> dict[str, Any]:
        """Its other values."""
        return {key: value for key, value in self.values.items() if key != NEEDED[self.block.table][0]}


def beside(manifests: Collection[Path]) -> Path | None:
    """The file in one of the directories of manifests; None without one.

    Raises:
        ManifestError: There are several.
    """
    found = sorted({path / FILE for path in manifests if (path / FILE).is_file()})
    if len(found) > 1:
        raise ManifestError(f"{found[0]}: there is {found[1]} too; write one file, and name it with {OPTION}=FILE")
    return found[0] if found else None


def expected_in(text: Text, made: Plan) -> Expected:
    """The expectations in a file, about the stand-ins and services of a plan.

    Raises:
        ManifestError: It is no TOML, names what there is not, or contradicts itself; with the line and what is near.
    """
    tables, parts = _decoded(text), blocks(text)
    _refuse_unknown(tables, parts[0], parts)
    if not tables:
        raise ManifestError(f"{text.file}: there is no expectation in it; begin with: meshcheck expect REPORT.json")
    found = {name: _entries(name, tables, parts, made) for name in NEEDED}
    everywhere = tables.get(PLAINTEXT) == REFUSED
    of_mesh = [str(one) for one in made.destinations if not one.external_host]
    access = {one: ExpectedAccess(one, None, refuses_plaintext=True) for one in of_mesh}
    said = {one.about: _access(one, _callers(made), everywhere) for one in found[ACCESS]}
    return Expected(
        {port: one for port, one in {**(access if everywhere else {}), **said}.items() if one.says_something},
        tuple(Once(_http(one, made), **one.rest) for one in found[ONCE]),
        tuple(Limit(_http(one, made), **one.rest) for one in found[LIMIT]),
        tuple(Identity(one.about, one.values["is"]) for one in found[IDENTITY]),
        {one.about: _called(one, made) for one in found[CALLS]},
        text.file,
    )


def _decoded(text: Text) -> dict[str, Any]:
    try:
        return tomllib.loads(text.content)
    except tomllib.TOMLDecodeError as error:
        at = DECODED_AT.search(str(error))
        line = int(at[1]) if at else len(text.content.splitlines()) or 1
        raise Place(text.file, line).error(f"not TOML: {str(error).partition(' (at ')[0]}") from error


def _refuse_unknown(values: Mapping[str, Any], block: Block, parts: Collection[Block] = ()) -> None:
    """Refuse keys that a table does not have, and values that they cannot have."""
    for key, value in values.items():
        place = next((one.place for one in parts if one.table == key), block.key(key))
        if key not in KEYS[block.table]:
            raise place.error(_no("key", key, KEYS[block.table], f" in [[{block.table}]]" if block.table else ""))
        if key in IS and not IS[key][0](value):
            raise place.error(f"{key} = {value!r}; write {IS[key][1]}")


def _entries(name: str, tables: Mapping[str, Any], parts: Collection[Block], made: Plan) -> list[Entry]:
    """The tables of one name, each about another port."""
    values, found = tables.get(name, []), [one for one in parts if one.table == name]
    if not isinstance(values, list) or len(values) != len(found):
        place = found[0].place if found else next(iter(parts)).key(name)
        raise place.error(f"write each entry as a table of its own, [[{name}]]")
    entries = [_entry(one, block, made) for one, block in zip(values, found, strict=True)]
    first: dict[object, Entry] = {}
    for one in entries:
        same = (one.about, *(one.values.get(key, usual) for key, usual in USUAL.items()))
        if earlier := first.get(same):
            raise one.place.error(
                f"a second [[{name}]] for {one.about}, first in line {earlier.place.line}; make them one"
            )
        first[same] = one
    return entries


def _entry(values: Mapping[str, Any], block: Block, made: Plan) -> Entry:
    _refuse_unknown(values, block)
    for key in NEEDED[block.table]:
        if key not in values:
            raise block.place.error(f"[[{block.table}]] without {key}; write {IS[key][1]}")
    one = Entry(values, block)
    what, valid = ("workload", _workloads(made)) if OF in values else ("port", list(map(str, made.destinations)))
    if one.about not in valid:
        raise one.place.error(_no(what, one.about, valid, " in these manifests"))
    return one


def _access(one: Entry, callers: Collection[str], everywhere: bool) -> ExpectedAccess:
    listed: list[str] | None = one.values.get(FROM)
    if listed is None and PLAINTEXT not in one.values:
        raise one.block.place.error(f"[[{ACCESS}]] says nothing about {one.about}; write {FROM}, {PLAINTEXT} or both")
    for name in listed or ():
        if name not in callers:
            raise one.block.text(FROM, name).error(_no("caller", name, callers, " in these manifests"))
        if (listed or []).count(name) > 1:
            raise one.block.text(FROM, name, 1).error(f"{name} is in this list twice; remove one of the two")
    refuses = one.values.get(PLAINTEXT, REFUSED if everywhere else "") == REFUSED
    if refuses and OUTSIDER in (listed or ()):
        raise one.block.text(FROM, OUTSIDER).error(
            f'{OUTSIDER} calls in plaintext, which {PLAINTEXT} = "{REFUSED}" forbids; take it out of the list, or '
            f'write {PLAINTEXT} = "allowed" in this [[{ACCESS}]]'
        )
    return ExpectedAccess(one.about, None if listed is None else frozenset(listed), refuses)


def _called(one: Entry, made: Plan) -> frozenset[str]:
    valid = list(map(str, made.destinations))
    for name in one.values[PORTS]:
        if name not in valid:
            raise one.block.text(PORTS, name).error(_no("port", name, valid, " in these manifests"))
    return frozenset(one.values[PORTS])


def _http(one: Entry, made: Plan) -> str:
    """The port of an entry about requests of HTTP."""
    spoken = next(each.declared.spoken for each in made.destinations if str(each) == one.about)
    if not spoken.facts.is_http or spoken.facts.grpc:
        raise one.place.error(f"{one.about} speaks {spoken}; [[{one.block.table}]] is for ports of HTTP")
    return one.about


def _workloads(made: Plan) -> list[str]:
    return sorted(map(str, made.stand_ins))


def _callers(made: Plan) -> list[str]:
    return [*_workloads(made), STRANGER, OUTSIDER]


def _no(what: str, name: str, valid: Collection[str], where: str) -> str:
    """That there is no such name, and the nearest one; all of them if none is near."""
    near = get_close_matches(name, valid, 1)
    return f"no {what} {name!r}{where}; " + (f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}")
