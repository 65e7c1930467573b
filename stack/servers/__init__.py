"""The servers that the stack starts, one file each.

A server knows how to prepare its private folder, which command starts it in the foreground, and when it is ready. It
does not know who starts it: the supervisor does for `make run`, the fixtures do for the tests.
"""
