"""Cilium, with encryption by WireGuard, IPsec or ztunnel, or with mutual authentication by SPIRE."""
