"""A line in, an `Event` or a `Reject` out: JSON, type, schema, time."""
