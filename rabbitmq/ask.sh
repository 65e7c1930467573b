#!/bin/sh
# Evaluates Erlang in the local node: `ask.sh 'rabbit:is_running()'` prints {ok, true}.
# Costs milliseconds; rabbitmqctl starts an Erlang node of its own for each question, one or two seconds of a core.
#
# Only a node that takes clients is asked. One that still boots may be unable to answer ever again: the first two to
# look at its feature flags at one moment wait for each other without end (RabbitMQ 3.10, rabbit_feature_flags:
# do_purge_old_registry), and the boot itself is one of the two.
healthy.sh 2>/dev/null || { echo "ask.sh: the node takes no clients; it is not asked" >&2; exit 1; }
printf '%s.\n' "$1" | exec erl_call -sname "${RABBITMQ_NODENAME:-rabbit@$(hostname)}" -fetch_stdout -e
