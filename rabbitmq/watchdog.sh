#!/bin/bash
# Ends a node that is stuck, so that its container starts it anew.
#
# After a partition a node that had paused itself starts again within its Erlang node. With Erlang 25 that start can wait
# for ever, for a lock that its peers believe it has ("global hang workaround" in the log; seen in one of three drills).
# A fresh Erlang node has no such past. So: whoever has served, does not serve now, and sees a peer that does, for
# STUCK_S without a break, is killed. A start takes 5 s, 15 s on a machine that is full; a peer that serves is asked for
# because a node that is alone has nothing to gain from a restart.
STUCK_S=24
EVERY_S=3

a_peer_serves() {
    local node
    for node in rabbitmq1 rabbitmq2 rabbitmq3; do
        [ "$node" = "$(hostname)" ] || ! timeout 4 python3 /usr/local/lib/ticketflow/serves.py "$node" || return 0
    done
    return 1
}

served='' stuck_s=0
while sleep "$EVERY_S"; do
    if healthy.sh 2>/dev/null; then
        served=yes stuck_s=0
    elif [ -n "$served" ] && a_peer_serves; then
        stuck_s=$((stuck_s + EVERY_S))
    else
        stuck_s=0
    fi
    if [ "$stuck_s" -ge "$STUCK_S" ]; then
        echo "watchdog: no client was served for $STUCK_S s while a peer serves; this node is killed, to start anew"
        kill -KILL "$PPID"
        exit 1
    fi
done
