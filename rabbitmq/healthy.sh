#!/bin/bash
# Whether this node takes clients: it answers AMQP's opening bytes with AMQP, on the plain port that only this container
# reaches. A node that paused itself because it sees no majority has closed that port with the other. Costs a fork and no
# Erlang; `rabbitmq-diagnostics check_running` costs a second of a core. serves.py asks another node, by TLS.
exec 3<>/dev/tcp/127.0.0.1/5672 || exit 1
printf 'AMQP\0\0\x09\x01' >&3
IFS= read -r -t 2 -n 1 first <&3 && [ "$first" = $'\x01' ]  # a method frame: connection.start
