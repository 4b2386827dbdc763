"""What SPIRE's server prints about an entry, and the arguments that create it again."""

import json

from pytest_meshcheck.meshes.cilium.spire import created

SHOWN = """{"entries": [{
  "id": "7c5a6a1f-5b5f-4f2e-8a6b-9c1f6f0f5d10",
  "spiffe_id": {"trust_domain": "spiffe.cilium", "path": "/identity/17947"},
  "parent_id": {"trust_domain": "spiffe.cilium", "path": "/cilium-agent"},
  "selectors": [{"type": "cilium", "value": "mutual-auth"}, {"type": "k8s", "value": "ns:blue"}],
  "x509_svid_ttl": 0, "federates_with": [], "admin": false, "downstream": false, "revision_number": "0"
}], "next_page_token": ""}"""


def test_a_deleted_entry_is_created_as_it_was() -> None:
    assert created(json.loads(SHOWN)["entries"][0]) == [
        "-spiffeID",
        "spiffe://spiffe.cilium/identity/17947",
        "-parentID",
        "spiffe://spiffe.cilium/cilium-agent",
        "-selector",
        "cilium:mutual-auth",
        "-selector",
        "k8s:ns:blue",
    ]
