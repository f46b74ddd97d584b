#!/bin/sh
# Starts redis-server as the official image does: data in /data, no protected mode, for the container's port is only
# reachable where it is published; arguments that begin with a dash are redis-server's.
set -eu
case ${1:-redis-server} in
-*) set -- redis-server "$@" ;;
esac
if [ "$(id -u)" = 0 ]; then
	chown -R redis:redis /data
	exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
if [ "$1" = redis-server ]; then
	set -- "$@" --protected-mode no --dir /data
fi
exec "$@"
