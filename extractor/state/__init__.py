"""Apply updates to series and runs; merge, read and dump the result."""
