# shellcheck shell=bash disable=SC2154,SC2016 # repository and here are image.sh's; apt-get expands the $(...) itself
# Sourced by image.sh: a Debian base image with the servers in it, made by debootstrap where no image can be pulled.

# debian_packages SUITE prints what is installed beside the minimal system. trixie serves Postgres, Redis and PgBouncer with one base.
debian_packages() {
	case $1 in
	trixie) printf 'postgresql,redis-server,pgbouncer\n' ;;
	*) printf 'postgresql\n' ;;
	esac
}

# debian_image SUITE makes the image outbox-relay/debian:SUITE unless it is there.
debian_image() {
	local suite=$1 image=$repository/debian:$1 mark root
	mark=$(fingerprint "$here/debian.sh")
	if up_to_date "$image" "$mark"; then return; fi
	"$here/../need.sh" debootstrap || exit 1
	as_root true || fail "debootstrap must run as root to build $image; run 'make images' as root once, or install sudo"
	root=$(mktemp -d -t outbox-relay-debian.XXXXXX)
	(
		trap 'as_root rm -rf --one-file-system "$root"' EXIT
		say "installing Debian $suite for $image, about a minute"
		bootstrap "$suite" "$root"
		slim "$root"
		as_root tar -C "$root" -c . | docker import --change "LABEL $repository.source=$mark" - "$image" >/dev/null
	)
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

# bootstrap SUITE FOLDER. A suite that this debootstrap is too old to know is installed as sid is.
bootstrap() {
	local script=/usr/share/debootstrap/scripts/$1 log=$2.log mirror
	mirror=$(debian_mirror)
	[ -e "$script" ] || script=${script%/*}/sid
	if ! as_root env PATH="$PATH:/usr/sbin" ${APT_PROXY:+"http_proxy=$APT_PROXY"} debootstrap --variant=minbase \
		--include="$(debian_packages "$1")" "$1" "$2" "$mirror" "$script" >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		fail "debootstrap of Debian $1 failed; its log is $log"
	fi
	rm -f "$log"
}

# debian_mirror prints OUTBOX_DEBIAN_MIRROR, else the mirror that this machine's apt uses.
debian_mirror() {
	local mirror=${OUTBOX_DEBIAN_MIRROR:-}
	if [ -z "$mirror" ] && command -v apt-get >/dev/null; then
		mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
			sed -n 's/^Debian \(https*:.*\)$/\1/p' | head -n 1)
	fi
	[ -n "$mirror" ] || fail "apt knows no Debian mirror here; name one: OUTBOX_DEBIAN_MIRROR=http://..."
	printf '%s\n' "$mirror"
}

# slim removes from FOLDER what a server does not need at run time: lists, manuals, and the cluster that the package made.
slim() {
	as_root rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/* "$1"/var/log/* \
		"$1"/usr/share/{doc,man,locale,info} "$1"/var/lib/postgresql/* "$1"/etc/postgresql/*
}
