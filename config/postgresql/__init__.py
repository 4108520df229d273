"""Django's PostgreSQL backend, which keeps no session that can't write."""
