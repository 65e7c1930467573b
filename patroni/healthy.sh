#!/bin/bash
# healthy.sh PORT PATH: exit 0 when http://127.0.0.1:PORT/PATH answers 200. Bash alone, since it runs every few seconds.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
