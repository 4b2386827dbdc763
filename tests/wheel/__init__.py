"""The project as it is installed from its wheel, by a third party."""
