"""Vhosts for tests, several at a time: each call of rabbitmqctl starts an Erlang of its own, which takes a second."""

import secrets
from collections import deque

from stack.servers.rabbitmq import RabbitMQServer

AT_A_TIME = 8

# Those that were left go, and new ones come, which are the user's.
_TURN_OVER = """
[rabbit_vhost:delete(V, <<"test">>) || V <- [{old}]],
[begin
    ok = rabbit_vhost:add(V, <<"test">>),
    ok = rabbit_auth_backend_internal:set_permissions(<<"{user}">>, V, <<".*">>, <<".*">>, <<".*">>, <<"test">>)
 end || V <- [{new}]], made.
"""


class Vhosts:
    """Of one server, for ``user``."""

    def __init__(self, server: RabbitMQServer, user: str) -> None:
        self._server = server
        self._user = user
        self._fresh: deque[str] = deque()
        self._left: list[str] = []

    def take(self) -> str:
        """The name of a fresh, empty vhost."""
        if not self._fresh:
            names = [f"test-{secrets.token_hex(6)}" for _ in range(AT_A_TIME)]
            said = self._server.control(
                "eval", _TURN_OVER.format(old=_binaries(self._left), new=_binaries(names), user=self._user)
            )
            assert said.strip() == "made", said
            self._left.clear()
            self._fresh.extend(names)
        return self._fresh.popleft()

    def leave(self, vhost: str) -> None:
        """It is deleted some time, with all that is in it."""
        self._left.append(vhost)


def _binaries(names: list[str]) -> str:
    return ", ".join(f'<<"{name}">>' for name in names)
