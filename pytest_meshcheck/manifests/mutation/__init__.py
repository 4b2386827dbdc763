"""What can be taken out of a configuration, the requests that show it act, and why it does nothing; pure."""
