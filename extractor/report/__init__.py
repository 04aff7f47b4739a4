"""States and objectives in, signals, verdicts and tables out."""
