"""The same batch as most people would write it first: Celery and SQLAlchemy."""
