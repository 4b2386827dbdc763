"""``python -m pytest_meshcheck.probe``."""

from pytest_meshcheck.probe.agent.main import main

main()
