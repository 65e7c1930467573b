#!/bin/sh
# wsrep_notify_cmd: leaves the node's latest state where galera_node reads it: `<status> <primary> <cluster uuid>`, one line.
# It must be quick and ask the server nothing: the server waits for it.
status=undefined primary=no uuid=-
while [ $# -gt 1 ]; do
  case $1 in
    --status) status=$2 ;;
    --primary) primary=$2 ;;
    --uuid) uuid=$2 ;;
  esac
  shift 2
done
printf '%s %s %s\n' "$status" "$primary" "$uuid" >"/run/galera/view.$$"
mv "/run/galera/view.$$" /run/galera/view
