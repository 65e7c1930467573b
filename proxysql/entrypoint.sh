#!/bin/sh
# Fills in the passwords and becomes ProxySQL. For the official image, as a user that is not root.
set -eu
umask 077

home=/var/lib/proxysql
net=${TICKETFLOW_NET:-172.30}

secret() {
  value=$(cat "/run/credentials/$1")
  # Our own are hexadecimal. Anything else might end a string of the configuration, or a command of sed.
  case $value in
    '' | *[!A-Za-z0-9_-]*) echo "entrypoint: the credential $1 is empty or has characters besides A-Z a-z 0-9 _ -" >&2; exit 1 ;;
  esac
  printf '%s' "$value"
}

# By a file, so that no password is seen in the list of processes.
admin=$(secret admin-password) monitor=$(secret monitor-password) billing=$(secret billing-password)
cat >"$home/fill.sed" <<EOF
s/@ADMIN_PASSWORD@/$admin/
s/@MONITOR_PASSWORD@/$monitor/
s/@BILLING_PASSWORD@/$billing/
s/@NET@/$net/
EOF
sed -f "$home/fill.sed" /etc/ticketflow/proxysql.cnf >"$home/proxysql.cnf"
rm "$home/fill.sed"

# --initial: an old proxysql.db would go before the file. --no-version-check: it would ask the internet.
exec proxysql --initial --no-version-check -f -c "$home/proxysql.cnf" -D "$home"
