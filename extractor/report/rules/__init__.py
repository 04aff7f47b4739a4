"""Write Prometheus rules from objectives."""
