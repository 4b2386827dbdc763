import base64
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_meshcheck.model.journal import Entry, Journal
from pytest_meshcheck.model.secrets import redact, redact_bytes, redact_text
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.report.evidence import LONGEST, folder, hexdump, write_evidence

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
DER = KEY.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
TRADITIONAL = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()
OPENSSH = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
).decode()
ENCRYPTED = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
).decode()
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJtZXNoY2hlY2sifQ.c2lnbmF0dXJlLW9mLWl0"
TOKEN = "c2VjcmV0dG9rZW5vZm1pbmU"
KUBECONFIG = f"""apiVersion: v1
kind: Config
clusters:
- cluster: {{server: 'https://10.1.2.3:6443'}}
  name: staging
users:
- name: admin
  user:
    client-key-data: {base64.b64encode(PEM.encode()).decode()}
    token: {TOKEN}
"""

SECRETS: dict[str, str] = {
    "pkcs8": PEM,
    "traditional": TRADITIONAL,
    "openssh": OPENSSH,
    "encrypted": ENCRYPTED,
    "one line": PEM.replace("\n", "\\n"),
    "cut off at the end": PEM[:150],
    "cut off at the beginning": PEM[40:],
    "base64 of pem": base64.b64encode(PEM.encode()).decode(),
    "base64 of text with pem": base64.b64encode(b"k: " + PEM.encode()).decode(),
    "base64 of der": base64.b64encode(DER).decode(),
    "bearer": f"GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nhost: a\r\n",
    "bearer in prose": f"answered 200 to bearer {TOKEN}, not 403",
    "on an escaped line": f"a: b\\ntoken: {TOKEN}",
    "bearer on an escaped line": f"a: b\\nbearer {TOKEN}",
    "jwt": f"the server was told {JWT} by the client",
    "kubeconfig": KUBECONFIG,
    "kubeconfig as json": json.dumps({"kind": "Config", "users": [{"user": {"token": TOKEN}}]}),
    "password in an address": f"https://admin:{TOKEN}@10.1.2.3/",
}
TRACES = (
    TOKEN,
    JWT[-20:],
    *(PEM.splitlines()[1:-1]),
    *(TRADITIONAL.splitlines()[1:-1]),
    *(OPENSSH.splitlines()[1:-1]),
    *(ENCRYPTED.splitlines()[1:-1]),
    base64.b64encode(DER).decode()[40:80],
    base64.b64encode(PEM.encode()).decode()[80:120],
    base64.b64encode(b"k: " + PEM.encode()).decode()[80:120],
    "10.1.2.3:6443",
)


@dataclass
class Note:
    text: str
    several: tuple[str, ...] = ()
    by_name: dict[str, str] = field(default_factory=dict)


def exchange(**fields: object) -> m.Exchange:
    required = {"request_id": "r", "protocol": m.Protocol.HTTP1, "ending": m.Ending.ANSWERED}
    return m.Exchange(**{**required, "started": 1.0, "ended": 1.25, "wall": 0.0, **fields})  # type: ignore[arg-type]


PLACES: dict[str, Callable[[str], Entry]] = {
    "subject": lambda secret: Entry("exchange", f"blue/client {secret}", exchange()),
    "kind": lambda secret: Entry(secret, "blue/client", exchange()),
    "observation": lambda secret: Entry("measured", "x", secret),
    "bytes": lambda secret: Entry("measured", "x", secret.encode()),
    "detail": lambda secret: Entry("exchange", "x", exchange(detail=secret)),
    "body": lambda secret: Entry("exchange", "x", exchange(body_start=secret)),
    "header": lambda secret: Entry("exchange", "x", exchange(headers=(("x-told", secret), (secret, "y")))),
    "list": lambda secret: Entry("attempts", "x", (exchange(detail=secret), exchange(detail=secret))),
    "field of a dataclass": lambda secret: Entry("load", "x", Note(secret, (secret, secret), {"a": secret})),
    "name in a mapping": lambda secret: Entry("measured", "x", {secret: 1}),
    "set": lambda secret: Entry("measured", "x", frozenset({secret})),
    "policy": lambda secret: Entry("policy", "x", [{"kind": "Secret", "data": {"a": secret}, "items": [[secret]]}]),
    "wire": lambda secret: Entry(
        "wire",
        "x",
        m.CaptureResult(connections=1, bytes_to_server=1, bytes_to_client=1, found=(secret,), excerpt=secret.encode()),
    ),
    "something else": lambda secret: Entry("measured", "x", ValueError(secret)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_written(secret: str, place: str, tmp_path: Path) -> None:
    write_evidence(tmp_path, [PLACES[place](SECRETS[secret])])
    for path in tmp_path.iterdir():
        assert_clean(path.read_text())


def assert_clean(text: str) -> None:
    """Look for traces as they are, in bytes that JSON shows as base64, and in the text column of a dump."""
    column = "".join(line[-16:] for line in text.splitlines())
    decoded = "".join(
        base64.b64decode(value + "=" * (-len(value) % 4)).decode("latin-1")
        for value in text.replace('"', " ").replace(",", " ").split()
        if len(value) > 20 and value.rstrip("=").replace("+", "a").replace("/", "a").isalnum() and value.isascii()
        if len(value.rstrip("=")) % 4 != 1
    )
    for trace in TRACES:
        assert trace not in text
        assert trace not in column
        assert trace not in decoded


def test_credentials_are_never_written(tmp_path: Path) -> None:
    credentials = m.Credentials(chain=b"chain", key=PEM.encode())
    request = m.Request(request_id="r", address=("127.0.0.1", 1), tls=m.ClientTls(credentials=credentials))
    write_evidence(tmp_path, [Entry("exchange", "x", request), Entry("measured", "y", {"deep": [credentials]})])
    text = (tmp_path / "observations.jsonl").read_text()
    assert text.count("[redacted: credentials]") == 2


@pytest.mark.parametrize("name", ["Authorization", "client_key_data", "token", "Set-Cookie", "private_key"])
def test_a_field_or_header_with_a_secret_name_is_not_written(name: str) -> None:
    assert redact({name: "short"}) == {name: "[redacted]"}
    assert redact([(name, "short")]) == [[name, "[redacted]"]]
    assert redact({name: {"inline_bytes": b"short"}}) == {name: "[redacted]"}


@pytest.mark.parametrize(
    "harmless",
    [
        "refused with alert certificate_required over TLSv1.3",
        "A basic requirement: a bearer token, or a bearer certificate, is refused.",
        "spiffe://cluster.local/ns/blue/sa/server",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pytest --mesh=envoy -k 'mtls/plaintext-is-refused[http-service]'",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ==\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert redact_text(harmless) == harmless
    assert redact_bytes(harmless.encode()) == harmless.encode()


def test_a_figure_is_no_secret() -> None:
    assert redact({"token": 3, "password": None}) == {"token": 3, "password": None}


def test_times_of_a_probes_own_clock_are_times_of_day(tmp_path: Path) -> None:
    seen = exchange(status=200, started=987654.25, ended=987654.5, wall=1795766400.125)
    write_evidence(tmp_path, [Entry("exchange", "x", seen, wall=1795766401.0)])
    text = (tmp_path / "exchanges.md").read_text()
    assert "`2026-11-27T08:00:01.000Z` **exchange** x" in text
    assert "started 2026-11-27T08:00:00.125Z, ended 2026-11-27T08:00:00.375Z" in text
    assert "e+" not in text


def test_a_time_without_a_date_keeps_its_milliseconds(tmp_path: Path) -> None:
    write_evidence(tmp_path, [Entry("load", "x", {"begun": 987654.321, "slowest": 0.0123456})])
    assert "begun 987654.321, slowest 0.0123456" in (tmp_path / "exchanges.md").read_text()


def test_every_entry_is_a_line_in_its_order(tmp_path: Path) -> None:
    journal = Journal()
    journal.add("exchange", "blue/client -> blue/server", exchange(status=200))
    journal.add("measured", "policy acts after (s)", 0.0042)
    write_evidence(tmp_path, journal.entries)
    lines = [json.loads(line) for line in (tmp_path / "observations.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["exchange", "measured"]
    assert lines[0]["observation"]["status"] == 200
    assert lines[1]["observation"] == 0.0042


def test_the_summary_is_for_reading(tmp_path: Path) -> None:
    write_evidence(tmp_path, [Entry("exchange", "blue/client -> blue/server", exchange(status=403), 0.5)])
    text = (tmp_path / "exchanges.md").read_text()
    assert "`1970-01-01T00:00:00.500Z` **exchange** blue/client -> blue/server" in text
    assert "status 403" in text


def test_the_summary_escapes_control_characters(tmp_path: Path) -> None:
    journal = Journal()
    journal.add("exchange", "a -> b", {"body_start": "a\0b\nc"})
    write_evidence(tmp_path, journal.entries)
    assert "    - body_start a\\x00b\\nc\n" in (tmp_path / "exchanges.md").read_text()


def test_policies_and_wire_have_files_of_their_own(tmp_path: Path) -> None:
    captured = m.CaptureResult(
        connections=1, bytes_to_server=3, bytes_to_client=0, found=(), excerpt=b"GET / HTTP/1.1\r\n\x00"
    )
    entries = [Entry("policy", "MutualTls", [{"kind": "Listener"}]), Entry("wire", "a -> b", captured)]
    write_evidence(tmp_path, entries)
    (policy,) = json.loads((tmp_path / "manifests.json").read_text())
    assert policy["manifests"] == [{"kind": "Listener"}]
    assert "47 45 54 20" in (tmp_path / "wire.txt").read_text()
    assert "GET / HTTP/1.1.." in (tmp_path / "wire.txt").read_text()


def test_evidence_of_an_earlier_run_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_text("from elsewhere")
    write_evidence(tmp_path, [Entry("policy", "MutualTls", [])])
    write_evidence(tmp_path, [Entry("measured", "x", 1)])
    assert {path.name for path in tmp_path.iterdir()} == {"proxy.log", "observations.jsonl", "exchanges.md"}


def test_a_dump_has_sixteen_bytes_a_line() -> None:
    assert hexdump(bytes(range(17))).splitlines()[1] == f"00000010  {'10':<47}  ."


@pytest.mark.parametrize("check_id", ["mtls/plaintext-is-refused[http-service]", "retry/a[b=1,c=2]"])
def test_an_ordinary_id_is_its_folder(check_id: str) -> None:
    assert str(folder(check_id)) == check_id


@pytest.mark.parametrize(
    "check_id",
    [
        "a/" + "b" * 300,
        "f" * 200 + "/b",
        "../../etc/passwd",
        "a/..",
        "a/b c",
        "a/b\x00c",
        "a/ä",
        "/root",
        "",
        "a/b/../c",
    ],
)
def test_any_other_id_has_a_folder_that_is_safe(check_id: str) -> None:
    path = folder(check_id)
    assert len(str(path)) <= LONGEST
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert str(path).isascii()


def test_ids_that_look_alike_have_folders_of_their_own() -> None:
    ids = ["a/" + "b" * 300, "a/" + "b" * 301, "a/b c", "a/b-c", "a/b  c", "a/b/c"]
    assert len({folder(check_id) for check_id in ids}) == len(ids)


class Verbose:
    """As a certificate of x509 with a name of more than 64 characters."""

    def __repr__(self) -> str:
        warnings.warn("Attribute's length must be >= 1 and <= 64", stacklevel=2)
        return "Verbose()"


@pytest.mark.filterwarnings("error")
def test_what_warns_when_it_is_shown_is_shown_all_the_same() -> None:
    assert redact({"seen": Verbose()}) == {"seen": "Verbose()"}
