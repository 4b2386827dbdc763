"""One stand-in of ``--mesh-manifests``, as tests of a user's own use it: the value of ``stand_in("shop/orders")``."""
