"""Requests in, answers out: HTTP, TLS, authentication, scrapes."""
