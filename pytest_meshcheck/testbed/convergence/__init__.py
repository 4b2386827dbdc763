"""Policies, and when they are in effect; ``lifecycle`` states the rule."""
