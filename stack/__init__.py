"""The embedded single-node stack: real servers and the four services as child processes of one supervisor."""
