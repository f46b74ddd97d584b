# shellcheck shell=bash
# Sourced by image.sh: packages that Debian has in experimental alone.

# unpack_experimental FOLDER PACKAGE... unpacks packages of Debian experimental into FOLDER/root, without what they depend on.
unpack_experimental() {
	local folder=$1 deb
	shift
	command -v apt-get >/dev/null || fail "no apt-get program to download $*, and no registry to pull from"
	mkdir -p "$folder"/{apt/lists/partial,apt/archives/partial,debs,root}
	printf 'deb %s experimental main\n' "$(debian_mirror)" >"$folder/apt/sources.list"
	printf 'Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\nDir::State::lists "%s/lists";\nDir::Cache "%s";\n' \
		"$folder/apt" "$folder/apt" "$folder/apt" >"$folder/apt/apt.conf"
	if ! (cd "$folder/debs" && APT_CONFIG=$folder/apt/apt.conf apt-get -q update &&
		APT_CONFIG=$folder/apt/apt.conf apt-get -q -t experimental download "$@") >"$folder/apt/log" 2>&1; then
		fail "cannot download $* of Debian experimental: $(tail -n 5 "$folder/apt/log")"
	fi
	for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/root"; done
}
