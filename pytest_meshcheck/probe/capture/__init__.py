"""Capturing traffic."""
