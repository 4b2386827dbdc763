"""Removal of secrets from output: private keys, bearer tokens, passwords, kubeconfigs.

If in doubt it removes: a marker replaces every line that looks like a secret.
"""

import base64
import binascii
import dataclasses
import functools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from pytest_meshcheck.model.redaction import KEY_BLOCK
from pytest_meshcheck.probe.protocol.messages import Credentials

REDACTED = "[redacted]"
CREDENTIALS = "[redacted: credentials]"
PRIVATE_KEY = "[redacted: private key]"
KUBECONFIG = "[redacted: kubeconfig]"

SECRET_NAMES = frozenset(
    {
        "authorization",
        "client-certificate-data",
        "client-key-data",
        "client-secret",
        "cookie",
        "id-token",
        "password",
        "private-key",
        "proxy-authorization",
        "refresh-token",
        "set-cookie",
        "tls.key",
        "token",
        "x-api-key",
    }
)
"""The fields and headers whose values are removed, in lower case with ``-`` for ``_``."""

_NAMES = "|".join(re.escape(name).replace(r"\-", "[-_]") for name in sorted(SECRET_NAMES))

_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
"""The start of a word, also after a line break escaped by ``repr``."""

_KEY_TAIL = re.compile(r"\A.*END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-*", re.DOTALL)
"""The rest of a PEM block without its beginning."""

_BEARER = re.compile(
    rf"{_START}([Bb]earer|BEARER)\s+(?!\[)"
    r"(?:(?=[^\s]*[0-9A-Z_~+/=])[A-Za-z0-9._~+/=-]{6,}|[A-Za-z0-9._~+/=-]{20,})"
)
"""The credentials after the scheme, but not a word of prose."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")

_SUBSTITUTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (KEY_BLOCK, PRIVATE_KEY),
    (_KEY_TAIL, PRIVATE_KEY),
    (re.compile(rf"(?i){_START}({_NAMES})([\"']?\s*[:=]\s*)(?!\[redacted)[^\r\n]+"), rf"\1\2{REDACTED}"),
    (_BEARER, rf"\1 {REDACTED}"),
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (re.compile(r"(://[^/\s:@]+:)[^/\s@]+@"), rf"\1{REDACTED}@"),
)

_CONFIG_KIND = re.compile(rf"[\"']?{_START}kind[\"']?\s*:\s*[\"']?Config\b")
_CONFIG_PART = re.compile(rf"[\"']?{_START}(?:clusters|users|contexts|current-context)[\"']?\s*:")


REPEATED = 200
"""The number of characters up to which a text is likely to come again: ids, names, sentences of the suite."""


def redact_text(text: str) -> str:
    """The text without its secrets, including base64 of a secret."""
    return _redact_again(text) if len(text) <= REPEATED else _redact_text(text)


def _redact_text(text: str) -> str:
    if _CONFIG_KIND.search(text) and _CONFIG_PART.search(text):
        return KUBECONFIG
    for pattern, substitute in _SUBSTITUTIONS:
        text = pattern.sub(substitute, text)
    return _BASE64.sub(_redact_base64, text)


_redact_again = functools.lru_cache(maxsize=8192)(_redact_text)


def redact_bytes(data: bytes) -> bytes:
    """The bytes without their secrets; a DER private key is removed as a whole."""
    if _is_der_key(data):
        return PRIVATE_KEY.encode()
    return redact_text(data.decode("latin-1")).encode("latin-1")


def redact(value: object) -> object:
    """The value without its secrets, as plain data for JSON; structs become mappings, bytes stay bytes."""
    for kind, redactor in _REDACTORS:
        if isinstance(value, kind):
            return redactor(value)
    return value if value is None or isinstance(value, bool | int | float) else _redact_struct(value)


def _redact_mapping(value: Mapping[Any, object]) -> object:
    names = {_name(key) for key in value}
    if {"clusters", "users"} <= names or ("kind" in names and value.get("kind") == "Config" and "contexts" in names):
        return KUBECONFIG
    return {redact_text(str(key)): REDACTED if _is_secret(key, item) else redact(item) for key, item in value.items()}


def _redact_sequence(value: Sequence[object]) -> object:
    if len(value) == 2 and _is_secret(value[0], value[1]):
        return [redact(value[0]), REDACTED]
    return [redact(item) for item in value]


def _redact_struct(value: object) -> object:
    try:
        return _redact_mapping(_fields(value))
    except TypeError:
        return redact_text(_shown(value))


def _shown(value: object) -> str:
    """Its representation, whatever that warns of: a certificate has its say about the length of its names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return repr(value)


def _fields(value: object) -> Mapping[Any, object]:
    """The fields of a struct or dataclass; TypeError for anything else."""
    if isinstance(value, msgspec.Struct):
        return {name: of for name, of in msgspec.structs.asdict(value).items() if of is not msgspec.UNSET}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(cast("Any", value))}


_REDACTORS: tuple[tuple[type, Callable[..., object]], ...] = (
    (Credentials, lambda _: CREDENTIALS),
    (str, lambda value: redact_text(str(value))),
    (bytes, redact_bytes),
    (bytearray, lambda value: redact_bytes(bytes(value))),
    (Mapping, _redact_mapping),
    (Sequence, _redact_sequence),
    (AbstractSet, lambda value: sorted((redact(item) for item in value), key=str)),
)
"""The first matching kind decides; text comes before sequences, as it is one."""


def _name(key: object) -> str:
    return str(key).lower().replace("_", "-")


def _is_secret(key: object, value: object) -> bool:
    """Whether a field is secret by its name; a number is not a secret."""
    return isinstance(key, str) and _name(key) in SECRET_NAMES and not isinstance(value, bool | int | float | None)


def _redact_base64(match: re.Match[str]) -> str:
    run = match[0].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(run[: len(run) // 4 * 4])
    except binascii.Error:
        return match[0]
    return match[0] if redact_bytes(data) == data else REDACTED


def _is_der_key(data: bytes) -> bool:
    if not data.startswith(b"\x30"):
        return False
    try:
        load_der_private_key(data, password=None)
    except TypeError:
        return True
    except ValueError:
        return False
    return True
