"""Pack folders in, a validated `Catalog` out: every check that can be made when they are loaded."""
