"""Durations as Istio and the Gateway API write them."""

import re

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|h|m|s)")


def seconds(written: object) -> float:
    """A duration such as ``1.5s`` or ``1m30s``; 0 for anything else."""
    return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(str(written)))
