"""A state, its trends and objectives in, the status page at `/` out."""
