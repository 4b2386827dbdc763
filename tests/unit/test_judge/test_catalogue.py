"""How a test function becomes a check, and what is refused."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.check_ids import check_id, covers, known_ids
from pytest_meshcheck.checks.requirements import CatalogueError, requirements, suite_root
from pytest_meshcheck.checks.verdict import Level
from pytest_meshcheck.model.capability import Capability

REQUIREMENTS = """
[demo.rule]
text = "A mesh MUST do what it says."
sources = [{ title = "The rule", url = "https://example.org/rule" }]
"""

HEAD = "from pytest_meshcheck.suite import *\n"

CHECK = '''
@check(MUST, "demo.rule", proves={Capability.RETRY}, disruptive=True)
async def test_does_what_it_says(mesh):
    """It does.

    > Quoted.
    """
'''

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Imports a module of a suite."""

    def imported(text: str, name: str = "test_demo", requirements: str | None = REQUIREMENTS) -> ModuleType:
        path = tmp_path / "demo" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + text)
        if requirements is not None:
            (tmp_path / "requirements.toml").write_text(requirements)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported


def described(module: ModuleType, name: str = "test_does_what_it_says") -> Check:
    """The check in a module."""
    marks = {mark.name: mark for mark in getattr(module, name).pytestmark}
    check: Check = marks["mesh_check"].args[0]
    return check


def test_a_check_is_described(load: Load, tmp_path: Path) -> None:
    check = described(load(CHECK))
    assert check.id == "demo/does-what-it-says"
    assert check.family == "demo"
    assert check.level is Level.MUST
    assert check.needs == {Capability.RETRY}
    assert check.description == "It does.\n\n> Quoted."
    assert check.root == tmp_path
    assert check.disruptive


def test_a_check_names_its_requirement(load: Load) -> None:
    check = described(load(CHECK))
    requirement = requirements(check.root)[check.requirement]
    assert (check.requirement, requirement.text) == ("demo.rule", "A mesh MUST do what it says.")
    assert requirement.sources[0].url == "https://example.org/rule"


def test_a_check_shares_the_event_loop_of_the_session(load: Load) -> None:
    marks = {mark.name: mark for mark in load(CHECK).test_does_what_it_says.pytestmark}
    assert marks["asyncio"].kwargs == {"loop_scope": "session"}


# text, what is said
REFUSED = {
    "unknown requirement": (
        CHECK.replace("demo.rule", "demo.rules"),
        "no requirement 'demo.rules'; available: demo.rule",
    ),
    "unknown family": (
        CHECK.replace("demo.rule", "dome.rule"),
        "no requirements of a family 'dome'; available: demo",
    ),
    "no docstring": ('@check(MUST, "demo.rule")\nasync def test_mute(mesh): pass\n', "needs a docstring"),
    "not a coroutine": ('@check(MUST, "demo.rule")\ndef test_sync(mesh):\n    """It."""\n', "write 'async def'"),
    "twice in one file": (CHECK + CHECK, r"demo/does-what-it-says' is taken by .*test_demo.py:4; rename"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(load: Load, name: str) -> None:
    text, said = REFUSED[name]
    with pytest.raises(CatalogueError, match=said) as refusal:
        load(text)
    assert "test_demo.py:" in str(refusal.value)


def test_two_files_of_one_folder_with_one_id_are_refused(load: Load) -> None:
    (path := Path(load("", "test_other").__file__ or "")).write_text(HEAD + CHECK)
    with pytest.raises(CatalogueError, match="is taken by"):
        load(CHECK, "test_zebra")
    assert path.exists()


def test_two_folders_may_have_a_check_of_one_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "test_demo.py").write_text(HEAD + CHECK)
    load(CHECK)
    assert known_ids(tmp_path) == {"demo/does-what-it-says", "other/does-what-it-says"}


def test_no_requirements_in_any_folder_above(load: Load) -> None:
    with pytest.raises(CatalogueError, match=r"no suite.toml and no requirements.toml in any folder above"):
        load(CHECK, requirements=None)


# content of requirements.toml, what is said
MALFORMED = {
    "[demo": "requirements.toml: Expected",
    "[demo.rule]\ntext = 'A mesh MUST.'": "and perhaps 'quote': Object missing required field `sources`",
    "[demo.rule]\ntext = 5\nsources = []": "Expected `str`, got `int` - at `$.text`",
    "[demo.rule]\ntext = 'A mesh MUST.'\nsources = [{ title = 't' }]": "'url'",
    "[demo.rule]\ntext = 'A mesh MUST.'\nsources = ['https://example.org']": "needs 'text'",
    "[demo]\nrule = 'A mesh MUST.'": "[demo.rule] needs 'text'",
    "[demo.rule]\ntext = 'A mesh MUST.'\nsources = [{ title = 't', url = 'u', qoute = 'q' }]": "unknown key 'qoute'",
}


@pytest.mark.parametrize("content", MALFORMED)
def test_malformed_requirements(load: Load, content: str) -> None:
    with pytest.raises(CatalogueError) as refusal:
        load(CHECK, requirements=content)
    assert MALFORMED[content] in str(refusal.value)


def test_requirements_by_id(tmp_path: Path) -> None:
    (tmp_path / "requirements.toml").write_text(REQUIREMENTS + REQUIREMENTS.replace("rule", "other-rule"))
    assert list(requirements(tmp_path)) == ["demo.rule", "demo.other-rule"]


def test_the_root_is_the_nearest_folder_with_requirements(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a"):
        (folder / "requirements.toml").write_text(REQUIREMENTS)
    assert suite_root(tmp_path / "a" / "b" / "test_x.py") == tmp_path / "a"


def in_families(root: Path, **families: str) -> Path:
    """A suite whose families state their requirements, one file each."""
    (root / "suite.toml").write_text("")
    for family, text in families.items():
        (root / family).mkdir()
        (root / family / "requirements.toml").write_text(text)
    return root


def test_families_state_their_requirements(tmp_path: Path) -> None:
    root = in_families(tmp_path, demo=REQUIREMENTS, other=REQUIREMENTS.replace("demo.rule", "other.rule"))
    assert set(requirements(root)) == {"demo.rule", "other.rule"}
    assert suite_root(root / "demo" / "test_x.py") == root


def test_a_source_is_quoted(tmp_path: Path) -> None:
    quoted = REQUIREMENTS.replace('rule" }', 'rule", quote = "It MUST." }')
    (source,) = requirements(in_families(tmp_path, demo=quoted))["demo.rule"].sources
    assert (source.quote, source.url) == ("It MUST.", "https://example.org/rule")


def test_a_suite_below_another_is_one_of_its_own(tmp_path: Path) -> None:
    nested = in_families(tmp_path, demo=REQUIREMENTS) / "demo" / "nested"
    nested.mkdir()
    (nested / "requirements.toml").write_text(REQUIREMENTS)
    assert suite_root(nested / "checks" / "test_x.py") == nested


def test_a_requirement_of_another_family_is_refused(tmp_path: Path) -> None:
    root = in_families(tmp_path, demo=REQUIREMENTS.replace("demo.rule", "other.rule"))
    with pytest.raises(CatalogueError) as refusal:
        requirements(root)
    assert str(refusal.value) == (
        f"{root / 'demo' / 'requirements.toml'}: [other.rule] belongs to the family 'other'; "
        "state it in other/requirements.toml, or call it [demo.…]"
    )


def test_a_requirement_that_is_stated_twice_is_refused(tmp_path: Path) -> None:
    root = in_families(tmp_path, demo=REQUIREMENTS)
    (root / "requirements.toml").write_text(REQUIREMENTS)
    with pytest.raises(CatalogueError, match=r"\[demo\.rule\] is taken by .*/requirements\.toml; rename one"):
        requirements(root)


def test_families_without_requirements_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"suite\.toml: no family beside it has a requirements\.toml"):
        requirements(in_families(tmp_path))


def test_an_id_without_parameters_covers_all_of_them() -> None:
    assert covers("demo/x", "demo/x[1]")
    assert covers("demo/x[1]", "demo/x[1]")
    assert not covers("demo/x[1]", "demo/x[2]")
    assert not covers("demo/x[1]", "demo/x")


def test_an_id_is_folder_and_name() -> None:
    assert check_id(Path("conformance/mtls/test_x.py"), "test_plaintext_is_refused") == "mtls/plaintext-is-refused"


def test_ids_are_read_without_importing(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "test_demo.py").write_text(
        "raise SystemExit\n"
        + CHECK
        + "import suite\n@suite.check(1)\nasync def test_other(): ...\nasync def test_no(): ..."
    )
    assert known_ids(tmp_path) == {"demo/does-what-it-says", "demo/other"}


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_demo.py").write_text("async def test_x(:")
    with pytest.raises(CatalogueError, match=r"test_demo.py: cannot be read: "):
        known_ids(tmp_path)
