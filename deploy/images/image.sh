#!/usr/bin/env bash
# Makes sure that an image for tests and for compose.yaml is there, and prints its name on standard output.
#
#   image.sh postgres [VERSION]    14 to 18; by default $OUTBOX_TEST_POSTGRES_VERSION, else 17
#   image.sh nats [VERSION]        2.15 (the default; the version of go.mod) or 2.10
#   image.sh redis [VERSION]       8.0 (the default) or 8.6, which has XADD IDMP
#   image.sh pgbouncer             Debian's; there is no official image, so it is always our own build
#   image.sh all                   every image that the tests use by default, one name a line
#
# An image is looked for in this order:
#   1. the one that a variable names: OUTBOX_TEST_POSTGRES_IMAGE, OUTBOX_TEST_NATS_IMAGE, OUTBOX_TEST_REDIS_IMAGE,
#      OUTBOX_TEST_PGBOUNCER_IMAGE, or, for a version given as an argument, OUTBOX_TEST_POSTGRES_15_IMAGE, OUTBOX_TEST_NATS_2_10_IMAGE and so on
#   2. the official image or our own build of it, if it is present locally
#   3. the official image, pulled
#   4. our own build, for machines that reach no image registry: NATS from its Go module, Postgres and Redis from Debian
#
# Progress goes to standard error. Several runs at once are safe: the second waits and finds the first one's images.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=outbox-relay
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/outbox-relay
pull_timeout=300       # seconds for one pull; an unreachable registry fails much sooner, by Docker's own limits
registry_memory=10     # minutes for which an unreachable registry is not asked again
# shellcheck source=deploy/images/debian.sh
. "$here/debian.sh"
# shellcheck source=deploy/images/experimental.sh
. "$here/experimental.sh"

say() { printf 'images: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

main() {
	"$here/../need.sh" docker || exit 1
	lock
	case ${1:-} in
	all) ensure postgres && ensure nats && ensure nats 2.10 && ensure redis && ensure redis 8.6 && ensure pgbouncer ;;
	postgres | nats | redis | pgbouncer) ensure "$@" ;;
	*) fail "usage: image.sh postgres|nats|redis|pgbouncer [VERSION], or image.sh all" ;;
	esac
}

# lock waits until no other run is at work. Without flock (not Linux) runs at once may do the same work twice.
lock() {
	mkdir -p "$cache"
	exec 9>"$cache/images.lock"
	if command -v flock >/dev/null; then flock 9; fi
}

# ensure NAME [VERSION] prints the name of an image that is present.
ensure() {
	local name=$1 version=${2:-} override official own
	override=$(override_variable "$name" "$version")
	if [ -n "${!override:-}" ]; then
		present "${!override}" || docker pull "${!override}" >&2 || fail "$override is ${!override}: neither present nor to be pulled"
		printf '%s\n' "${!override}"
		return
	fi
	version=$(full_version "$name" "${version:-$(default_version "$name")}")
	official=$(official_image "$name" "$version")
	own=$repository/$name:$version
	if [ -n "$official" ] && present "$official"; then
		printf '%s\n' "$official"
	elif up_to_date "$own" "$(fingerprint "$here/$name")"; then
		printf '%s\n' "$own"
	elif [ -n "$official" ] && pull "$official"; then
		printf '%s\n' "$official"
	else
		say "building $own"
		"build_$name" "$version" "$own" >&2
		printf '%s\n' "$own"
	fi
}

# override_variable NAME VERSION prints OUTBOX_TEST_NAME_IMAGE or OUTBOX_TEST_NAME_VERSION_IMAGE.
override_variable() {
	local middle=$1${2:+_$2}
	printf 'OUTBOX_TEST_%s_IMAGE\n' "${middle//./_}" | tr '[:lower:]' '[:upper:]'
}

default_version() {
	case $1 in
	postgres) printf '%s\n' "${OUTBOX_TEST_POSTGRES_VERSION:-17}" ;;
	nats) printf '2.15\n' ;;
	redis) printf '8.0\n' ;;
	pgbouncer) printf 'trixie\n' ;;
	esac
}

# full_version NAME VERSION adds the patch level where we pin it. NATS 2.15 has one place for it: go.mod, for the same server runs
# embedded in the demo.
full_version() {
	case $1/$2 in
	nats/2.15) (cd "$here" && go list -m -f '{{slice .Version 1}}' github.com/nats-io/nats-server/v2) ;;
	nats/2.10) printf '2.10.29\n' ;;
	*) printf '%s\n' "$2" ;;
	esac
}

# official_image NAME VERSION prints its name; nothing if there is none.
official_image() {
	case $1 in
	pgbouncer) ;;
	nats) printf 'nats:%s-alpine\n' "$2" ;;
	*) printf '%s:%s\n' "$1" "$2" ;;
	esac
}

present() { docker image inspect "$1" >/dev/null 2>&1; }

# up_to_date IMAGE FINGERPRINT tells whether IMAGE is present and was built from files with that fingerprint.
up_to_date() {
	[ "$(docker image inspect --format "{{index .Config.Labels \"$repository.source\"}}" "$1" 2>/dev/null)" = "$2" ]
}

# fingerprint PATH... prints a number that changes with the content of the files.
fingerprint() { find "$@" -type f | LC_ALL=C sort | xargs cat | cksum | cut -d' ' -f1; }

# pull IMAGE fails when the registry does not have it or cannot be reached, and then leaves the registry alone for a while.
pull() {
	local error memory=$cache/no-registry
	if [ -n "$(find "$memory" -mmin "-$registry_memory" 2>/dev/null)" ]; then return 1; fi
	say "pulling $1"
	if error=$(limited "$pull_timeout" docker pull --quiet "$1" 2>&1 >/dev/null); then return 0; fi
	say "cannot pull $1: ${error##*$'\n'}"
	case $error in
	*"manifest unknown"* | *"not found"*) ;;
	*) touch "$memory" ;;
	esac
	return 1
}

# limited SECONDS COMMAND... runs the command, for at most that long where the timeout program exists.
limited() {
	if command -v timeout >/dev/null; then timeout "$@"; else "${@:2}"; fi
}

# build_context IMAGE FOLDER ARGUMENT... builds IMAGE from the Dockerfile in FOLDER; what the build says is shown if it fails.
build_context() {
	local image=$1 folder=$2
	shift 2
	local log
	if ! log=$(docker build --tag "$image" "$@" "$folder" 2>&1); then
		fail "cannot build $image: $log"
	fi
}

build_nats() {
	local version=$1 image=$2 work arch
	command -v go >/dev/null || fail "no go program; install Go 1.26 or newer to build $image"
	work=$(mktemp -d)
	arch=$(docker version --format '{{.Server.Arch}}')
	(
		trap 'rm -rf "$work"' EXIT
		cp "$here/nats/Dockerfile" "$work"
		cp -r "$here/nats/wget" "$work/wget"
		cd "$work"
		export CGO_ENABLED=0 GOOS=linux GOARCH="$arch" GOFLAGS=-trimpath GOWORK=off
		go mod init image >/dev/null 2>&1
		go get "github.com/nats-io/nats-server/v2@v$version" 2>/dev/null || fail "cannot get nats-server $version from the Go module proxy"
		go build -ldflags='-s -w' -o bin/nats-server github.com/nats-io/nats-server/v2
		go build -ldflags='-s -w' -o bin/wget ./wget
		build_context "$image" . --label "$repository.source=$(fingerprint "$here/nats")"
	)
}

build_postgres() {
	local version=$1 image=$2 suite
	case $version in
	15) suite=bookworm ;;
	17) suite=trixie ;;
	18) suite=forky ;;
	*) fail "Postgres $version can only be pulled (Debian has 15, 17 and 18); set OUTBOX_TEST_POSTGRES_IMAGE to an image that you have" ;;
	esac
	debian_image "$suite"
	build_context "$image" "$here/postgres" --label "$repository.source=$(fingerprint "$here/postgres")" \
		--build-arg "BASE=$repository/debian:$suite" --build-arg "VERSION=$version"
}

build_pgbouncer() {
	local suite=$1 image=$2
	debian_image "$suite"
	build_context "$image" "$here/pgbouncer" --label "$repository.source=$(fingerprint "$here/pgbouncer")" \
		--build-arg "BASE=$repository/debian:$suite"
}

# build_redis makes 8.0 of Debian's package. A newer one is laid over it, from Debian's experimental packages.
build_redis() {
	local version=$1 image=$2 mark
	mark=$(fingerprint "$here/redis")
	debian_image trixie
	if [ "$version" = 8.0 ]; then
		build_context "$image" "$here/redis" --label "$repository.source=$mark" --build-arg "BASE=$repository/debian:trixie"
		return
	fi
	[ "$version" = 8.6 ] || fail "Redis $version can only be pulled; set OUTBOX_TEST_REDIS_IMAGE to an image that you have"
	local work base=$repository/redis:8.0
	up_to_date "$base" "$mark" || build_redis 8.0 "$base"
	work=$(mktemp -d)
	(
		trap 'rm -rf "$work"' EXIT
		unpack_experimental "$work" redis-server redis-tools
		printf 'FROM %s\nCOPY root/usr/bin/ /usr/bin/\n' "$base" >"$work/Dockerfile"
		build_context "$image" "$work" --label "$repository.source=$mark"
	)
}

main "$@"
