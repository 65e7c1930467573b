#!/bin/bash
# Run once by Patroni, on the node that made the cluster, before it takes writes. $1: how to connect as the superuser.
set -euo pipefail
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file /usr/local/share/patroni/roles.sql "$1"
