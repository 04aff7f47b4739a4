"""Log files in, their final state out, or their samples at every step of the past."""
