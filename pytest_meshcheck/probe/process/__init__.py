"""The state of a process: its pulse, its limits, its event loop."""
