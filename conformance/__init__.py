"""The conformance suite: requirements on a service mesh, and checks of them."""
