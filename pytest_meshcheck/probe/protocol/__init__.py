"""The messages between a probe and its controller, and formats that client and server share."""
