"""Values of charts that the user gives."""

from pathlib import Path

import pytest

from pytest_meshcheck.platforms.helm.values import SHAPE, ValuesUnreadable, overrides, read_values

# content: what is wrong with it
WRONG = {
    b"": " holds nothing",
    b"- istiod\n": " holds a list",
    b"istiod\n": " holds text",
    b"istiod: 3\n": ": istiod is int",
    b"istiod:\n": ": istiod is nothing",
    b"3: {}\n": ": 3 is not a chart name, but int",
    b"istiod:\n  key: [MIIsecret\n": ": line 3: expected ',' or ']', but got '<stream end>'",
    b"\xff": ": 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
}


@pytest.mark.parametrize("content", WRONG)
def test_what_is_valid_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "values.yaml"
    path.write_bytes(content)
    with pytest.raises(ValuesUnreadable) as raised:
        read_values(path)
    assert str(raised.value) == f"{path}{WRONG[content]}; {SHAPE}."


def test_a_chart_gets_what_is_for_every_chart_and_then_its_own(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("istiod: {global: {tag: a}}\n'*': {global: {hub: b}}\n")
    values = read_values(path)
    assert overrides(values, "istiod") == ({"global": {"hub": "b"}}, {"global": {"tag": "a"}})
    assert overrides(values, "base") == ({"global": {"hub": "b"}},)
