"""Prometheus metrics from the event logs of AI agents."""

__version__ = "0.1.0"
