"""What a check is, what it may claim, and the verdict that it ends in."""
