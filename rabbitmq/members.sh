#!/bin/sh
# Makes this node a member of every quorum queue that lacks it, for as long as the node runs.
#
# RabbitMQ 3.10 chooses a queue's members when it is declared, among the nodes that belong to the cluster at that moment,
# and never again. A queue that a client declares while the cluster forms would keep one or two members for ever. So every
# node looks for such queues again and again; when there are none, that is a look into a local table. An attempt may
# fail, because a queue takes one new member at a time or has no leader just now: the next one is 5 s later.
while sleep 5; do
    ask.sh 'rabbit_quorum_queue:grow(node(), <<".*">>, <<".*">>, all)' >/dev/null 2>&1 || true
done
