"""Failures of the probe itself."""


class ProbeFault(Exception):
    """The probe could not carry out a command. It is reported as ``Failed``, never as an observation."""
