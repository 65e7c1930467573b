#!/bin/sh
# Writes the definitions, sends for the missing queue members, and becomes the node.
set -eu

# Some engines allow a billion open files, and Erlang makes room for all of them at once. Ours are some hundred.
files_max=16384
if [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt "$files_max" ]; then
    ulimit -S -n "$files_max"
fi

umask 077
python3 /usr/local/lib/ticketflow/definitions.py >/run/rabbitmq/definitions.json

members.sh &
exec /usr/lib/rabbitmq/bin/rabbitmq-server -noinput "$@"
