"""Who reaches a port of a service, as a check saw it; small enough for report.json."""

import enum

import msgspec


class Outcome(enum.StrEnum):
    """What a caller's requests came to."""

    SERVED = "served"
    REFUSED = "refused"
    """None was answered as a served one is; ``form`` says how they ended."""
    VARIES = "varies"
    """Some were served and some were not, until the time was over."""


class Access(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One caller, and one way to a port."""

    destination: str
    """The port of the service, e.g. ``shop/orders:8080``."""
    caller: str
    """The stand-in that calls, or ``outsider`` (not part of the mesh), or ``stranger`` (part of it, and named
    nowhere)."""
    enrolled: bool
    """Whether the caller is part of the mesh; what the others send is plaintext."""
    address_of: str = ""
    """The stand-in whose pod is called by its address; empty for the name of the service."""
    outcome: Outcome
    form: str = ""
    """How refused requests ended, e.g. ``status 403`` or ``reset``."""
    arrived: bool = False
    """Whether a request reached the application, whatever its caller saw."""

    @property
    def plaintext(self) -> bool:
        """Whether plaintext got in."""
        return self.arrived and not self.enrolled
