"""Directories in, whole lines out, each exactly once, whatever happens to the files."""
