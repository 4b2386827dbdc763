"""Who reaches a port of a service, as a check saw it; small enough for report.json."""

import enum

import msgspec

OUTSIDER = "outsider"
"""The caller that is not part of the mesh."""

STRANGER = "stranger"
"""The caller that is part of the mesh, and that no manifest names."""


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
    def within_pod(self) -> bool:
        """Whether the caller calls the address of its own pod, which no data plane is on the way to."""
        return self.address_of == self.caller

    @property
    def plaintext(self) -> bool:
        """Whether plaintext got in."""
        return self.arrived and not self.enrolled

    @property
    def reached(self) -> bool:
        """Whether a request arrived, or was answered like one that does."""
        return self.arrived or self.outcome is not Outcome.REFUSED

    @property
    def words(self) -> str:
        """The outcome in words; what arrived without its caller's knowledge is said."""
        form = f" ({self.form})" if self.form else ""
        arrived = ", but arrived" if self.outcome is Outcome.REFUSED and self.arrived else ""
        lost = ", but did not arrive" if self.outcome is Outcome.SERVED and not self.arrived else ""
        return f"{self.outcome}{form}{arrived}{lost}"

    @property
    def way(self) -> str:
        """The caller, and its way to the port, in words."""
        plaintext = "" if self.enrolled else ", in plaintext"
        return f"{self.caller} by {f'the address of {self.address_of}' if self.address_of else 'name'}{plaintext}"
