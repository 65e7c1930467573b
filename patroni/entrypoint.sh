#!/bin/bash
# Starts Patroni: puts the passwords, which it takes from no file, beside the configuration, where only we can read them.
set -euo pipefail
umask 077

: "${TICKETFLOW_NODE:?the name of this node, by which the others reach it}"
CREDENTIALS=/run/credentials
CONFIG=/run/patroni/config

# A crashed container leaves its postmaster.pid behind. The number in it may by now be one of our own threads, and
# Postgres would refuse to start for ever. It is stale for certain when nobody else has the volume: hence the lock,
# which lives as long as Patroni and keeps a second container off the data.
exec 9>>/data/lock
flock --nonblock 9 || { echo "another container uses this volume" >&2; exit 1; }
rm -f /data/pgdata/postmaster.pid

secret() { # as YAML: single quotes are doubled
    local text
    text=$(<"$CREDENTIALS/$1")
    printf "'%s'" "${text//\'/\'\'}"
}

mkdir -p "$CONFIG"
cp /etc/patroni/*.yml "$CONFIG/"
cat > "$CONFIG/secrets.yml" <<END
name: $TICKETFLOW_NODE
restapi:
  connect_address: $TICKETFLOW_NODE:8008
  authentication:
    username: patroni
    password: $(secret patroni-password)
postgresql:
  connect_address: $TICKETFLOW_NODE:5432
  authentication:
    superuser: {username: postgres, password: $(secret superuser-password)}
    replication:
      {username: replicator, password: $(secret replication-password), sslmode: verify-full, sslrootcert: $CREDENTIALS/ca.crt}
    rewind:
      {username: rewind, password: $(secret rewind-password), sslmode: verify-full, sslrootcert: $CREDENTIALS/ca.crt}
END

exec patroni "$CONFIG"
