"""The contexts of a kubeconfig; as with ``kubectl``, a named context needs no current one."""

import os
from dataclasses import dataclass
from pathlib import Path

from kubernetes_asyncio.config import kube_config
from kubernetes_asyncio.config.config_exception import ConfigException
from yaml import YAMLError

from pytest_meshcheck.model.errors import MeshUnavailable

DEFAULT = "~/.kube/config"
BROKEN = (AttributeError, ConfigException, OSError, TypeError, ValueError, YAMLError)
"""Errors of the client for files that are not a kubeconfig."""


@dataclass(frozen=True)
class Contexts:
    """The contexts of a kubeconfig.

    Attributes:
        kubeconfig: None for the default one; several are joined as in ``KUBECONFIG``.
        names: Their names.
        current: The name of the current one, in the first file that names one; empty if there is none.
    """

    kubeconfig: Path | None
    names: tuple[str, ...]
    current: str

    def named(self, context: str | None) -> str:
        """The context of that name, or the current one.

        Raises:
            MeshUnavailable: There is none; the message lists the contexts.
        """
        wanted = context or self.current
        if wanted in self.names:
            return wanted
        missing = f"context {wanted!r}" if wanted else "current context"
        advice = "" if wanted else ": name one with --mesh-context"
        raise MeshUnavailable(
            f"{called(self.kubeconfig)} has no {missing}; it has {', '.join(self.names) or 'none'}{advice}"
        )


def contexts(kubeconfig: Path | None) -> Contexts:
    """The contexts of a kubeconfig.

    Raises:
        MeshUnavailable: The kubeconfig cannot be used.
    """
    try:
        read = kube_config.KubeConfigMerger(str(located(kubeconfig)))
        merged = read.config
        if merged is None:
            raise ConfigException("no such file, or it is empty")
        names = tuple(str(context["name"]) for context in merged.safe_get("contexts") or ())
        named = [str(one["current-context"]) for one in read.config_files.values() if one.get("current-context")]
    except BROKEN as error:
        raise MeshUnavailable(f"{called(kubeconfig)} cannot be used: {error}") from error
    return Contexts(kubeconfig, names, named[0] if named else "")


def located(kubeconfig: Path | None) -> Path:
    """The absolute path of a kubeconfig, by default that of ``kubectl``; several are joined as in ``KUBECONFIG``."""
    given = str(kubeconfig or os.environ.get("KUBECONFIG", ""))
    files = [file for file in given.split(os.pathsep) if file] or [DEFAULT]
    return Path(os.pathsep.join(str(Path(file).expanduser().absolute()) for file in files))


def called(kubeconfig: Path | None) -> str:
    """The name of a kubeconfig, for messages."""
    return str(kubeconfig or "the default kubeconfig")
