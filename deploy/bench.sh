#!/usr/bin/env bash
# Runs the benchmark in bench/ with fresh servers in containers, and removes them. Arguments go to the benchmark.
#
# OUTBOX_BENCH_POSTGRES_URL and OUTBOX_BENCH_NATS_URL name servers to use instead; both or none.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
postgres_port=25432 nats_port=24222
containers=()

main() {
	if [ -z "${OUTBOX_BENCH_POSTGRES_URL:-}" ] || [ -z "${OUTBOX_BENCH_NATS_URL:-}" ]; then
		trap remove EXIT
		start_servers
		export OUTBOX_BENCH_POSTGRES_URL="postgres://postgres:outbox@127.0.0.1:$postgres_port/postgres?sslmode=disable"
		export OUTBOX_BENCH_NATS_URL="nats://127.0.0.1:$nats_port"
	fi
	go -C "$root/bench" run . "$@"
}

start_servers() {
	local postgres nats
	postgres=$("$root/deploy/images/image.sh" postgres)
	nats=$("$root/deploy/images/image.sh" nats)
	if [ "$(uname)" = Linux ]; then
		# The host's network, for publishing a port puts a proxy process into the path that is measured.
		start --network host --env POSTGRES_PASSWORD=outbox "$postgres" -c listen_addresses=127.0.0.1 -c "port=$postgres_port"
		start --network host --volume /data "$nats" --jetstream --store_dir /data --addr 127.0.0.1 --port "$nats_port"
	else
		start --publish "127.0.0.1:$postgres_port:5432" --env POSTGRES_PASSWORD=outbox "$postgres"
		start --publish "127.0.0.1:$nats_port:4222" --volume /data "$nats" --jetstream --store_dir /data
	fi
	await "$postgres_port"
	await "$nats_port"
}

start() { containers+=("$(docker run --detach "$@")"); }

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
