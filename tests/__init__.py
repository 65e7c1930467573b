"""Tests. Fixtures start real servers, and only those that a test asks for."""
