"""Checks: declaration, assertions, verdicts, and expectations."""
