"""A reference to the cluster, by which each process of a run connects."""

from pathlib import Path

import msgspec


class Attachment(msgspec.Struct, frozen=True):
    """A cluster that is there, and the probe image that its nodes have or can pull."""

    run: str
    """Id of the run, in the names of namespaces and in labels."""
    image: str
    """Empty where no test needs one, or none can be had."""
    description: str
    """For headers and reports."""
    kubeconfig_file: str = ""
    """Empty for the default one."""
    context: str | None = None
    """None for the current one."""
    lock: str = ""
    """File of the lock that the processes of the run share; empty: there is one process."""
    kept: bool = False
    """The cluster is one of kind's that runs find again, with what earlier ones installed there."""
    transient: bool = False
    """The cluster itself goes away at the end."""

    @property
    def lock_file(self) -> Path | None:
        """The lock's file; None where there is one process."""
        return Path(self.lock) if self.lock else None

    @property
    def probe_wanted(self) -> Path:
        """A file that a worker of xdist makes where it has collected a test that needs the probe image."""
        return Path(self.lock).with_name("probe-wanted")

    @property
    def kubeconfig(self) -> Path | None:
        """The kubeconfig; None for the default one."""
        return Path(self.kubeconfig_file) if self.kubeconfig_file else None
