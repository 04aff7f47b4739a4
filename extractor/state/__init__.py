"""Updates in, everything that was counted out: a value that is fed, merged, read and dumped."""
