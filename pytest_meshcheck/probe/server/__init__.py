"""The server end of an exchange."""
