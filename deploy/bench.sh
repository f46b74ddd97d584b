#!/usr/bin/env bash
# Builds the relay and runs the benchmark in bench/ beside it, with fresh servers in containers, and removes them. Arguments go to the
# benchmark.
#
# OUTBOX_BENCH_POSTGRES_URL (with wal_level=logical) and OUTBOX_BENCH_NATS_URL name servers to use instead; both or none. With them,
# OUTBOX_BENCH_REDIS_URL and OUTBOX_BENCH_REDIS_IDMP_URL (Redis 8.6) may name more; without, the path to Redis is not measured.
# OUTBOX_BENCH_POSTGRES_PID, _NATS_PID, _REDIS_PID and _REDIS_IDMP_PID are their main processes, where their CPU time is to be measured.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
postgres_port=25432 nats_port=24222 redis_port=26379 redis_idmp_port=26386
containers=()

# What is written to disk belongs to the measurement, but a checkpoint in the midst of it is left to chance.
postgres_settings=(-c wal_level=logical -c max_wal_size=16GB -c checkpoint_timeout=1h)
redis_settings=(--appendonly yes --appendfsync everysec --save '' --auto-aof-rewrite-percentage 0)

main() {
	if [ -z "${OUTBOX_BENCH_POSTGRES_URL:-}" ] || [ -z "${OUTBOX_BENCH_NATS_URL:-}" ]; then
		trap remove EXIT
		start_servers
	fi
	mkdir -p "$root/bin"
	(cd "$root" && CGO_ENABLED=0 go build -trimpath -o bin/outbox-relay ./cmd/outbox-relay)
	go -C "$root/bench" build -trimpath -o "$root/bin/bench" .
	export OUTBOX_BENCH_RELAY=${OUTBOX_BENCH_RELAY:-$root/bin/outbox-relay}
	cd "$root/bench"
	measure "$@"
}

# measure runs the benchmark, and hands on the signal that ends it, so that the servers do not go before it has gone.
measure() {
	local bench status=0
	"$root/bin/bench" "$@" &
	bench=$!
	trap 'kill "$bench" 2>/dev/null || true' INT TERM
	wait "$bench" || status=$?
	trap - INT TERM
	wait "$bench" || status=$? # a signal ended the first wait early
	return "$status"
}

start_servers() {
	local postgres nats redis redis_idmp
	postgres=$("$root/deploy/images/image.sh" postgres)
	nats=$("$root/deploy/images/image.sh" nats)
	redis=$("$root/deploy/images/image.sh" redis)
	redis_idmp=$("$root/deploy/images/image.sh" redis 8.6)
	if [ "$(uname)" = Linux ]; then
		# The host's network, for publishing a port puts a proxy process into the path that is measured.
		start POSTGRES "$postgres_port" --network host --env POSTGRES_PASSWORD=outbox "$postgres" "${postgres_settings[@]}" \
			-c listen_addresses=127.0.0.1 -c "port=$postgres_port"
		start NATS "$nats_port" --network host --volume /data "$nats" --jetstream --store_dir /data --addr 127.0.0.1 --port "$nats_port"
		start REDIS "$redis_port" --network host "$redis" "${redis_settings[@]}" --bind 127.0.0.1 --port "$redis_port"
		start REDIS_IDMP "$redis_idmp_port" --network host "$redis_idmp" "${redis_settings[@]}" --bind 127.0.0.1 --port "$redis_idmp_port"
	else
		start POSTGRES "$postgres_port" --publish "127.0.0.1:$postgres_port:5432" --env POSTGRES_PASSWORD=outbox "$postgres" "${postgres_settings[@]}"
		start NATS "$nats_port" --publish "127.0.0.1:$nats_port:4222" --volume /data "$nats" --jetstream --store_dir /data
		start REDIS "$redis_port" --publish "127.0.0.1:$redis_port:6379" "$redis" "${redis_settings[@]}"
		start REDIS_IDMP "$redis_idmp_port" --publish "127.0.0.1:$redis_idmp_port:6379" "$redis_idmp" "${redis_settings[@]}"
	fi
	export OUTBOX_BENCH_POSTGRES_URL="postgres://postgres:outbox@127.0.0.1:$postgres_port/postgres?sslmode=disable"
	export OUTBOX_BENCH_NATS_URL="nats://127.0.0.1:$nats_port"
	export OUTBOX_BENCH_REDIS_URL="redis://127.0.0.1:$redis_port"
	export OUTBOX_BENCH_REDIS_IDMP_URL="redis://127.0.0.1:$redis_idmp_port"
}

# start NAME PORT ARGUMENT... runs a container, waits until it listens, and exports its main process as OUTBOX_BENCH_NAME_PID.
start() {
	local name=$1 port=$2
	shift 2
	containers+=("$(docker run --detach "$@")")
	await "$port"
	export "OUTBOX_BENCH_${name}_PID=$(docker inspect --format '{{.State.Pid}}' "${containers[-1]}")"
}

remove() {
	if [ "${#containers[@]}" -gt 0 ]; then docker rm --force --volumes "${containers[@]}" >/dev/null; fi
}

# await PORT waits until somebody listens there, for a minute at most.
await() {
	for _ in $(seq 600); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
		sleep 0.1
	done
	printf 'bench: nobody listens on 127.0.0.1:%s; the log of the container:\n' "$1" >&2
	docker logs --tail 20 "${containers[-1]}" >&2
	return 1
}

main "$@"
