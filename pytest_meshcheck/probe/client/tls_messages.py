"""The few bytes of TLS that OpenSSL does not interpret for us. Numbers are from the IANA registry "TLS Parameters"."""

import enum
import struct
from collections.abc import Iterator

ALERT = 21
HANDSHAKE = 22


class Handshake(enum.IntEnum):
    """Types of handshake messages."""

    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13


ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}

GROUPS = {
    23: "P-256",
    24: "P-384",
    25: "P-521",
    29: "X25519",
    30: "X448",
    256: "ffdhe2048",
    257: "ffdhe3072",
    4587: "SecP256r1MLKEM768",
    4588: "X25519MLKEM768",
    4589: "SecP384r1MLKEM1024",
}

KEY_SHARE = 51
NAMED_CURVE = 3


def agreed_group(kind: int, message: bytes) -> str:
    """The key exchange group that a server's handshake message names; empty if it names none."""
    if kind == Handshake.SERVER_HELLO:
        share = dict(extensions(message)).get(KEY_SHARE, b"")
        return group_name(share[:2])
    if kind == Handshake.SERVER_KEY_EXCHANGE and message[4:5] == bytes([NAMED_CURVE]):
        return group_name(message[5:7])
    return ""


def group_name(number: bytes) -> str:
    """The name of a group, or its number if it is unknown."""
    if len(number) < 2:
        return ""
    value = int.from_bytes(number)
    return GROUPS.get(value, f"group {value}")


def extensions(server_hello: bytes) -> Iterator[tuple[int, bytes]]:
    """The extensions of a ServerHello (RFC 8446, 4.1.3): 4 bytes of header, version, random, session id, ..."""
    at = 4 + 2 + 32
    at += 1 + server_hello[at] + 2 + 1
    at += 2
    while at + 4 <= len(server_hello):
        kind, length = struct.unpack_from(">HH", server_hello, at)
        yield kind, server_hello[at + 4 : at + 4 + length]
        at += 4 + length
