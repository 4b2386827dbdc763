"""``python -m pytest_meshcheck.probe``."""

from pytest_meshcheck.probe.program import main

main()
