"""Which kubeconfigs are read, and which context is the current one."""

from pathlib import Path

import pytest
import yaml

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import contexts, located

NAMED = {
    # KUBECONFIG: what is read, where * is the working directory
    "": "/home/me/.kube/config",
    "/etc/kube": "/etc/kube",
    "kube/near": "*/kube/near",
    "near:/etc/far:~/mine": "*/near:/etc/far:/home/me/mine",
    ":near::": "*/near",
}


@pytest.mark.parametrize("variable", NAMED)
def test_kubeconfigs_are_found_from_any_folder(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("KUBECONFIG", variable)
    found = located(None)
    assert str(found) == NAMED[variable].replace("*", str(tmp_path))
    monkeypatch.chdir("/")
    assert located(found) == found


CURRENT = {
    # the current context of each file: the one that kubectl takes
    ("near", "far"): "near",
    ("", "far"): "far",
    (None, "far", "near"): "far",
    (None, ""): "",
}


@pytest.mark.parametrize("files", CURRENT)
def test_the_first_file_that_names_a_current_context_decides(files: tuple[str | None, ...], tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, current in zip(paths, files, strict=True):
        path.write_text(yaml.safe_dump({} if current is None else {"current-context": current}))
    assert contexts(Path(":".join(map(str, paths)))).current == CURRENT[files]


@pytest.mark.parametrize("content", ["", "text", "[]"])
def test_a_second_file_that_is_no_kubeconfig(content: str, tmp_path: Path) -> None:
    (tmp_path / "near").write_text("current-context: near")
    (tmp_path / "other").write_text(content)
    with pytest.raises(MeshUnavailable, match=r"/near:/.*/other cannot be used: "):
        contexts(Path(f"{tmp_path}/near:{tmp_path}/other"))
