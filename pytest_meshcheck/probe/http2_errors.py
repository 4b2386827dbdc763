"""Names of HTTP/2 error codes (RFC 9113, 7)."""

from h2.errors import ErrorCodes


def error_name(code: int | None) -> str:
    """The name of an error code, or its number where it has none."""
    return ErrorCodes(code).name if code in set(ErrorCodes) else str(code)
