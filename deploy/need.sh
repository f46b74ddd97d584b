#!/usr/bin/env bash
# Makes sure that this machine has what a target of the Makefile needs:
#
#   need.sh go|docker|compose|cc|debootstrap|certificates...
#
# Where something is missing and this is Debian or Ubuntu, and we are root or sudo asks for no password, apt-get installs
# it; a line on standard error says so. Otherwise there is a line for each thing that is missing, with what to install,
# and the exit code is 1.
set -euo pipefail

say() { printf 'need: %s\n' "$*" >&2; }

# as_root COMMAND... runs it as root, or fails at once.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

can_install() { command -v apt-get >/dev/null && as_root true; }

# install WHY PACKAGE... installs packages, and tells of apt-get's output only when it fails.
install() {
	local why=$1 log
	shift
	say "installing $* (apt-get), for $why"
	log=$(as_root apt-get update --quiet=2 2>&1) || { printf '%s\n' "$log" >&2; return 1; }
	log=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@" 2>&1) ||
		{ printf '%s\n' "$log" >&2; return 1; }
}

# require CHECK WHY HINT PACKAGE... installs packages unless the check succeeds, or says what to do.
require() {
	local check=$1 why=$2 hint=$3
	shift 3
	if "$check"; then return 0; fi
	if can_install && install "$why" "$@" && "$check"; then return 0; fi
	say "$hint"
	return 1
}

has_go() { command -v go >/dev/null; }
has_cc() { command -v cc >/dev/null; }
has_debootstrap() { command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ]; }
has_certificates() { [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ]; }
has_compose() { docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1; }
has_docker() { command -v docker >/dev/null; }

# docker_answers starts the daemon where it does not run, unless DOCKER_HOST says that it is elsewhere.
docker_answers() {
	if docker version >/dev/null 2>&1; then return 0; fi
	if [ -n "${DOCKER_HOST:-}" ] || ! command -v dockerd >/dev/null; then return 1; fi
	as_root systemctl start docker >/dev/null 2>&1 || as_root service docker start >/dev/null 2>&1 || return 1
	for _ in {1..50}; do
		if docker version >/dev/null 2>&1; then return 0; fi
		sleep 0.2
	done
	return 1
}

need() {
	case $1 in
	go)
		has_go && return 0
		say 'no go program; install Go 1.26 or newer: https://go.dev/doc/install'
		return 1
		;;
	docker)
		local hint='install Docker Engine (Debian: apt-get install docker.io) and start it'
		require has_docker 'the servers of the tests' "no docker program; $hint" docker.io || return 1
		docker_answers && return 0
		say "no Docker daemon answers this user ('docker version' says why); $hint, or let the user be in the group docker"
		return 1
		;;
	compose) require has_compose 'make up' 'no Compose; install it (Debian: apt-get install docker-compose)' docker-compose ;;
	cc) require has_cc 'the race detector' \
		'no C compiler for the race detector; install one (Debian: apt-get install gcc libc6-dev)' gcc libc6-dev ;;
	debootstrap) require has_debootstrap 'images that cannot be pulled' \
		'no image can be pulled, and no debootstrap program is there to build one; install it (Debian: apt-get install debootstrap)' debootstrap ;;
	certificates) require has_certificates "the relay's image" \
		'no CA certificates; install them (Debian: apt-get install ca-certificates)' ca-certificates ;;
	*)
		say "nothing is known of $1"
		return 2
		;;
	esac
}

missing=0
for thing in "$@"; do need "$thing" || missing=1; done
exit "$missing"
