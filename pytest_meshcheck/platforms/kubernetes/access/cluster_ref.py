"""A reference to the cluster, by which each process of a run connects."""

from pathlib import Path

import msgspec


class KindRecipe(msgspec.Struct, frozen=True):
    """The inputs of a kind cluster."""

    node_image: str | None = None
    """None for kind's own default."""
    config: str = ""
    """Path of the configuration; empty for one node."""
    loaded: tuple[str, ...] = ()
    """Local images that are loaded onto its nodes."""


class NamedCluster(msgspec.Struct, frozen=True, tag="named-cluster"):
    """A cluster that the user named, in which the run has namespaces and meshes."""

    context: str
    kubeconfig: str = ""
    """Absolute path of the kubeconfig; several paths are joined as in ``KUBECONFIG``; empty for the default one."""

    @property
    def path(self) -> Path | None:
        """The kubeconfig; None for the default one."""
        return Path(self.kubeconfig) if self.kubeconfig else None


class ClusterRef(msgspec.Struct, frozen=True):
    """An existing cluster, and the probe image that its nodes have or can pull."""

    run: str
    """Id of the run, in the names of namespaces and in labels."""
    image: str
    """Empty if no test needs one, or none is available."""
    description: str
    """For headers and reports."""
    kubeconfig_file: str
    """Absolute path of the kubeconfig; several paths are joined as in ``KUBECONFIG``."""
    context: str
    """The name of the context, even if it is the current one: the user may switch to another one at any time."""
    lock: str = ""
    """File of the lock that the processes of the run share; empty: there is one process."""
    kept: bool = False
    """Whether it is a kept kind cluster, with what earlier runs installed in it."""
    transient: bool = False
    """Whether the cluster itself is deleted at the end."""
    recipe: KindRecipe | None = None
    """None for a cluster that the suite did not create."""

    @property
    def is_own(self) -> bool:
        """Whether the suite created the cluster."""
        return self.kept or self.transient

    @property
    def lock_file(self) -> Path | None:
        """The file of the lock; None if there is one process."""
        return Path(self.lock) if self.lock else None

    @property
    def probe_wanted(self) -> Path:
        """A file that an xdist worker creates once it has collected a test that needs the probe image."""
        return Path(self.lock).with_name("probe-wanted")

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig."""
        return Path(self.kubeconfig_file)
