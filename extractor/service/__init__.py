"""Options in, a process out that follows logs and serves their metrics until it is stopped."""
