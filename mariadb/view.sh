#!/bin/sh
# wsrep_notify_cmd: leaves the node's latest state where galera_node reads it: `<status> <primary> <cluster uuid>`, one line.
# The members of the latest primary component stay on the disk, by name: they say whom a recovery must not do without.
# It must be quick and ask the server nothing: the server waits for it.
status=undefined primary=no uuid=- members=
while [ $# -gt 1 ]; do
  case $1 in
    --status) status=$2 ;;
    --primary) primary=$2 ;;
    --uuid) uuid=$2 ;;
    --members) members=$2 ;;
  esac
  shift 2
done

# <uuid>/<name>/<address>,...
component=$(printf '%s' "$members" | tr ',' '\n' | cut -d/ -f2 | sort | paste -sd,)
home=/var/lib/mysql
if [ "$primary" = yes ] && [ -n "$component" ] && [ "$component" != "$(cat "$home/component" 2>/dev/null)" ]; then
  printf '%s\n' "$component" >"$home/component.new"
  sync "$home/component.new"
  mv "$home/component.new" "$home/component"
  sync "$home"
fi

printf '%s %s %s\n' "$status" "$primary" "$uuid" >"/run/galera/view.$$"
mv "/run/galera/view.$$" /run/galera/view
