#!/bin/sh
# For people: `galera status`, `galera force`. See README.md.
exec python3 -m mariadb.galera_node "$@"
