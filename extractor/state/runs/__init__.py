"""Sightings of runs in; out, what is known of each run, what it added up, and its loops."""
