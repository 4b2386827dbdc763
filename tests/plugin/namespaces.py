"""Runs in user namespaces, where an ordinary user may do to a machine what takes root's rights elsewhere."""

import subprocess
from pathlib import Path

import pytest

RESTRICTED = Path(__file__).parents[1] / "restricted"
_ALLOWED = subprocess.run([RESTRICTED, "true"], capture_output=True, text=True, check=False)
needs_namespaces = pytest.mark.skipif(
    _ALLOWED.returncode != 0, reason=f"user namespaces are not allowed here: {_ALLOWED.stderr.strip()}"
)

LOOPBACK_UP = "ip link set lo up"


def in_shell(*commands: str) -> tuple[str, ...]:
    """The way to start a run after some commands of a shell, in namespaces of its own."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", "--user", "--map-root-user", "--net", "--mount", "--", "sh", "-c", script, "sh")
