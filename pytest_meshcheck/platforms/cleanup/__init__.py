"""What runs leave behind, and its removal."""
