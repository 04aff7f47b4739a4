"""Read directories of log files; return whole lines, each exactly once, through rotation, truncation and copies."""
