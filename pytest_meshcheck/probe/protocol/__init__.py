"""What a probe and its controller say to each other."""
