"""Where workloads run: local processes today, clusters next."""
