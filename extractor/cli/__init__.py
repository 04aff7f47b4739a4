"""A command line in, an exit code out: one file for each command."""
