"""Two releases side by side: this one, and one made of it that has gone further (see ``releases``).

``programs`` is what runs in their processes; it imports the release's own ticketflow, and nothing of the tests.
"""
