"""TLS contexts from PEM in memory. Old versions and weak keys are allowed: checks judge how peers respond to them."""

import os
import ssl
import tempfile
import warnings

from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import ClientTls, Credentials, ServerTls

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """A context that accepts any server; ProbeFault where credentials or versions make no sense."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version(tls.minimum)
        context.maximum_version = version(tls.maximum)
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    if tls.credentials is not None:
        load(context, tls.credentials)
    return context


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """A context for a port that speaks TLS by itself; ProbeFault where the credentials make no sense."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    load(context, tls.credentials)
    return context


def version(name: str) -> ssl.TLSVersion:
    """A TLS version by its name; ProbeFault names the known ones."""
    try:
        return VERSIONS[name]
    except KeyError:
        raise ProbeFault(f"no TLS version {name!r}; known are {', '.join(VERSIONS)}") from None


def load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Load a chain and its key, which OpenSSL reads from files only: from one that never reaches a disk on Linux."""
    pem = credentials.key.rstrip() + b"\n" + credentials.chain
    try:
        if hasattr(os, "memfd_create"):
            with os.fdopen(os.memfd_create("credentials"), "wb") as file:
                file.write(pem)
                file.flush()
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        else:
            with tempfile.NamedTemporaryFile() as named:
                named.write(pem)
                named.flush()
                context.load_cert_chain(named.name)
    except ssl.SSLError as error:
        raise ProbeFault(f"credentials that OpenSSL does not take: {error}") from error
