"""What is wrong with a user's manifests."""


class ManifestError(Exception):
    """A manifest cannot be read or used; the message begins with the file and the line, and says what to do."""
