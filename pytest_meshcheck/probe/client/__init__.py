"""The client end of an exchange."""
