"""A `State` in, Prometheus and OpenMetrics text out."""
