"""Run records, and removal of what runs leave behind."""
