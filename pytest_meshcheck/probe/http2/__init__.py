"""HTTP/2 connections, at either end."""
