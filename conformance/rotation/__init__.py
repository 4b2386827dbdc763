"""Renewal and replacement of certificates, without losing a request."""
