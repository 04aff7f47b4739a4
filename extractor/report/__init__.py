"""Compute signals, verdicts and tables from states and objectives."""
