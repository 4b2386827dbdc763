"""The API server: requests, resources, watches, and streams into pods."""
