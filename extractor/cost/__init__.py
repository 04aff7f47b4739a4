"""Models and tokens in, dollars out."""
