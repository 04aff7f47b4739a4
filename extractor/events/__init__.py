"""Decide whether a line is an `Event` or a `Reject`: JSON, type, schema, time."""
