"""Objectives in, a file of rules for Prometheus out."""
