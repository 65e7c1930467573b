"""Keeps one Galera node: knows how far its data goes, agrees with the other nodes who begins, and runs the server.

Standard library only: it lives in the image of the database.
"""
