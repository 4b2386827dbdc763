"""The file of known violations."""

from pathlib import Path

import pytest

from pytest_meshcheck.checks.aliases import Alias
from pytest_meshcheck.checks.expectations import ExpectationsError, KnownViolation, read_expectations

ENTRY = """
[[known]]
check = "{check}"
reason = "It was never built."
link = "https://example.org/issues/7"
"""

IDS = frozenset({"mtls/a", "mtls/b", "retry/c"})
ALIASES = {"mtls/old": Alias("mtls/old", ("mtls/a", "mtls/b"), "2.0")}


def written(tmp_path: Path, content: str) -> Path:
    """The content as a file."""
    path = tmp_path / "known.toml"
    path.write_text(content)
    return path


def test_entries_are_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, ENTRY.format(check="mtls/a") + "# and\n" + ENTRY.format(check="retry/c[1]"))
    first, second = read_expectations(path, IDS)
    assert first == KnownViolation("mtls/a", "It was never built.", "https://example.org/issues/7", f"{path}:2")
    assert (second.check, second.where) == ("retry/c[1]", f"{path}:8")


def test_an_entry_lists_several_checks(tmp_path: Path) -> None:
    entry = ENTRY.format(check="mtls/a").replace('"mtls/a"', '["mtls/a", "retry/c[1]"]')
    known = read_expectations(path := written(tmp_path, entry), IDS)
    assert [one.check for one in known] == ["mtls/a", "retry/c[1]"]
    assert {(one.reason, one.where) for one in known} == {("It was never built.", f"{path}:2")}


def test_an_empty_file_knows_nothing(tmp_path: Path) -> None:
    assert read_expectations(written(tmp_path, "# nothing yet\n"), IDS) == ()


def test_those_of_another_mesh_come_after_its_own(tmp_path: Path) -> None:
    (tmp_path / "sidecar.toml").write_text(ENTRY.format(check="mtls/b"))
    known = read_expectations(written(tmp_path, 'also = ["sidecar"]\n' + ENTRY.format(check="mtls/a")), IDS)
    assert [(one.check, Path(one.where).name) for one in known] == [
        ("mtls/a", "known.toml:3"),
        ("mtls/b", "sidecar.toml:2"),
    ]


def test_another_mesh_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ExpectationsError, match=r"sidecar\.toml: cannot be read: No such file"):
        read_expectations(written(tmp_path, 'also = ["sidecar"]'), IDS)


# content, what is said
REFUSED = {
    "known = [": "not TOML: ",
    "[known]\ncheck = 'mtls/a'": ":1: write each entry as a table of its own, [[known]]",
    "known = [{ check = 'mtls/a' }]": ":1: write each entry as a table of its own, [[known]]",
    "\n[[know]]\n": ":2: unknown key 'know'; the only ones are [[known]] and also",
    "[[known]]\ncheck = 'mtls/a'\nreason = 'r'": ":1: an entry has exactly check, reason, link, each a text; it has {",
    "[[known]]\ncheck = 'mtls/a'\nreason = ''\nlink = 'l'": ":1: an entry has exactly check, reason, link",
    "[[known]]\ncheck = 'mtls/a'\nreason = 3\nlink = 'l'": ":1: an entry has exactly check, reason, link",
    "[[known]]\ncheck = 'mtls/a'\nreason = 'r'\nlink = 'l'\nwhere = 'w'": ":1: an entry has exactly check, reason",
    "[[known]]\ncheck = []\nreason = 'r'\nlink = 'l'": ":1: an entry has exactly check, reason, link",
    "[[known]]\ncheck = ['mtls/a', 3]\nreason = 'r'\nlink = 'l'": "; check may also be a list",
    "[[known]]\ncheck = ['mtls/a', 'mtls/z']\nreason = 'r'\nlink = 'l'": ":1: no check 'mtls/z'; available: mtls/a",
    "also = 'istio'": ":1: also is a list of the names of meshes; it is 'istio'",
    "also = [1]": ":1: also is a list of the names of meshes; it is [1]",
    "also = ['known']": ":1: known.toml has the key 'also' itself; list its meshes here",
    ENTRY.format(check="mtls/z"): ":2: no check 'mtls/z'; available: mtls/a, mtls/b",
    ENTRY.format(check="nothing/z"): ":2: no check 'nothing/z'; available: mtls/a, mtls/b, retry/c",
}


@pytest.mark.parametrize("content", REFUSED)
def test_refused(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ExpectationsError) as refusal:
        read_expectations(path, IDS)
    assert str(refusal.value).startswith(str(path))
    assert REFUSED[content] in str(refusal.value)


def test_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ExpectationsError, match=r"known.toml: not TOML: "):
        read_expectations(path, IDS)


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ExpectationsError, match="cannot be read: Is a directory"):
        read_expectations(tmp_path, IDS)


def test_ids_that_are_not_known_yet_are_let_be(tmp_path: Path) -> None:
    assert len(read_expectations(written(tmp_path, ENTRY.format(check="any/check")))) == 1


@pytest.mark.parametrize(
    ("entry", "check", "covers"),
    [
        ("mtls/a", "mtls/a", True),
        ("mtls/a", "mtls/a[1]", True),
        ("mtls/a[1]", "mtls/a[1]", True),
        ("mtls/a[1]", "mtls/a[2]", False),
        ("mtls/a[1]", "mtls/a", False),
        ("mtls/a", "mtls/a-b", False),
        ("mtls/a", "mtls/a-b[1]", False),
    ],
)
def test_covers(entry: str, check: str, covers: bool) -> None:
    assert KnownViolation(entry, "r", "l").covers(check) is covers


def test_an_id_of_an_earlier_version_covers_what_replaces_it(tmp_path: Path) -> None:
    (known,) = read_expectations(written(tmp_path, ENTRY.format(check="mtls/old")), IDS, ALIASES)
    assert known.alias == ALIASES["mtls/old"]
    assert [one for one in ("mtls/a[1]", "mtls/b", "retry/c", "mtls/old") if known.covers(one)] == [
        "mtls/a[1]",
        "mtls/b",
    ]
