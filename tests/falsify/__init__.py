"""Every check is seen to fail: planted defects, meshes that do nothing or too much, and the table of both."""
