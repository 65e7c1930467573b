"""What the stack says when it cannot go on."""


class StackError(Exception):
    """The message is the whole story for the user: one line, what is wrong and what to do about it."""
