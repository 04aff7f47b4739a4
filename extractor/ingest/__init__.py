"""Pieces of log files in, one state further on: events as columns, and what they add. It is read fast."""
