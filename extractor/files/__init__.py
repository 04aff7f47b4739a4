"""Paths in, contents out, and files that are written whole or not at all."""
