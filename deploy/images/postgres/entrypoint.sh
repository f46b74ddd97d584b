#!/bin/sh
# Starts Postgres as the official image does, as far as this project needs it: POSTGRES_USER (default postgres),
# POSTGRES_PASSWORD (required), POSTGRES_DB (default the user) and POSTGRES_INITDB_ARGS count on the first start, when
# the data folder is empty; the arguments go to the server at every start.
set -eu
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

case ${1:-postgres} in
-*) set -- postgres "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /run/postgresql
	chown -R postgres:postgres "$PGDATA" /run/postgresql
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

initialise() {
	passwords=$(mktemp)
	printf '%s\n' "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD to the password of $user}" >"$passwords"
	# shellcheck disable=SC2086 # several arguments in one variable, as in the official image
	initdb --username="$user" --pwfile="$passwords" --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
	rm "$passwords"
	printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
	printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	# Nobody outside sees this first server: it listens on the socket alone.
	pg_ctl --wait --options="-c listen_addresses=''" start
	if [ "$database" != postgres ]; then
		createdb --username="$user" --maintenance-db=postgres "$database"
	fi
	pg_ctl --wait --mode=fast stop
}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	initialise
fi
exec "$@"
