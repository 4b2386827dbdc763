"""What a check acts on, and how it is kept in shape."""
