#!/bin/sh
# Writes the definitions, sets somebody to look after the queues' members and one to end a stuck node, and becomes the node.
set -eu

# Some engines allow a billion open files, and Erlang makes room for all of them at once. Ours are some hundred.
files_max=16384
if [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt "$files_max" ]; then
    ulimit -S -n "$files_max"
fi

umask 077
python3 /usr/local/lib/ticketflow/definitions.py >/run/rabbitmq/definitions.json

# The start script becomes the node, so that SIGTERM reaches it, rather than waiting beside it and asking rabbitmqctl.
export RABBITMQ_ALLOW_INPUT=1
export RABBITMQ_LOGS=-
# RabbitMQ's own flags are for a machine of its own. Here: two schedulers (thirty containers share two cores), not bound
# to cores; room for 65,536 processes, not a million; no spinning while idle (its default too, lost when flags are set).
export RABBITMQ_SERVER_ERL_ARGS="+S 2:2 +SDcpu 2:2 +SDio 4 +stbt u +P 65536 +t 1048576 +zdbbl 32000 \
    +sbwt none +sbwtdcpu none +sbwtdio none"
# Erlang keeps the text of certificate files, and looks only every two minutes whether they have changed. On the command
# line: what stands in advanced.config comes too late for it.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-ssl ssl_pem_cache_clean 1000"

members.sh &
watchdog.sh &
exec /usr/lib/rabbitmq/bin/rabbitmq-server -noinput "$@"
