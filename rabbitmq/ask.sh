#!/bin/sh
# Evaluates Erlang in the local node: `ask.sh 'rabbit:is_running()'` prints {ok, true}.
# Costs milliseconds; rabbitmqctl starts an Erlang node of its own for each question, one or two seconds of a core.
printf '%s.\n' "$1" | exec erl_call -sname "${RABBITMQ_NODENAME:-rabbit@$(hostname)}" -fetch_stdout -e
