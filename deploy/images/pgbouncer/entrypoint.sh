#!/bin/sh
# Starts PgBouncer for PGBOUNCER_USER with PGBOUNCER_PASSWORD (both required) in front of the databases that /run/pgbouncer/databases.ini
# lists. At the first start that is made of PGBOUNCER_DATABASE, such as "game = host=db port=5432"; change it and send SIGHUP, and
# clients that stay connected are served by another server. PGBOUNCER_MODE is the pool mode, transaction by default,
# PGBOUNCER_POOL_SIZE the most connections to a database, 20 by default.
set -eu
: "${PGBOUNCER_USER:?set PGBOUNCER_USER}" "${PGBOUNCER_PASSWORD:?set PGBOUNCER_PASSWORD}"
folder=/run/pgbouncer
mkdir -p "$folder"
if [ ! -e "$folder/databases.ini" ]; then
	printf '[databases]\n%s\n' "${PGBOUNCER_DATABASE:?set PGBOUNCER_DATABASE}" >"$folder/databases.ini"
fi
printf '"%s" "%s"\n' "$PGBOUNCER_USER" "$PGBOUNCER_PASSWORD" >"$folder/users.txt"
cat >"$folder/pgbouncer.ini" <<END
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = scram-sha-256
auth_file = $folder/users.txt
admin_users = $PGBOUNCER_USER
pool_mode = ${PGBOUNCER_MODE:-transaction}
default_pool_size = ${PGBOUNCER_POOL_SIZE:-20}
max_client_conn = 1000
server_login_retry = 1
%include $folder/databases.ini
END
chown -R postgres "$folder"
exec setpriv --reuid=postgres --regid=postgres --init-groups pgbouncer "$folder/pgbouncer.ini" "$@"
