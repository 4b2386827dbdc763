"""The planted defects by family; each module has a table ``DEFECTS``."""
