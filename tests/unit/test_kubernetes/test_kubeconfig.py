"""Which kubeconfigs are read, and which context is the current one."""

from pathlib import Path

import pytest

from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import located

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
