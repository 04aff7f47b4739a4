"""Compute the cost of calls, in dollars, from models and numbers of tokens."""
