"""Replay log files into their final state, or into samples at every step of the past."""
