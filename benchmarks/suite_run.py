"""Runs of the suite on the embedded mesh, each in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")


def timed(
    *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] = MappingProxyType({})
) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run pytest and take its time."""
    begun = time.monotonic()
    done = subprocess.run(
        [*PYTEST, *arguments], cwd=cwd, env={**os.environ, **env}, capture_output=True, encoding="utf-8", check=False
    )
    return time.monotonic() - begun, done
