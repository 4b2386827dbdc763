"""Who a workload is, and who it is told to be called by."""
