"""``python -m pytest_meshcheck.probe``."""

from pytest_meshcheck.probe.agent.program import main

main()
