#!/usr/bin/env bash
# Writes the licences and notices of everything that is linked into a Go program: of Go itself, and of each module that the
# program says it was built from. It fails if a module has none, for then it must not be given away.
set -euo pipefail

main() {
	local program=$1 path version folder
	part "The Go standard library and runtime, $(go env GOVERSION)" "$(go env GOROOT)" -maxdepth 1
	while read -r path version; do
		folder=$(go list -m -f '{{.Dir}}' "$path@$version")
		part "$path $version" "$folder"
	done < <(go version -m "$program" | awk '$1 == "dep" { print $2, $3 }')
}

# part NAME FOLDER [LIMIT...] writes the licences that a folder holds; packages of a module may have some of their own.
part() {
	local name=$1 folder=$2 file found=
	shift 2
	printf '%s\n%s\n' "$name" "$(tr -c '\n' '=' <<<"$name")"
	while read -r file; do
		printf '\n-- %s\n\n' "${file#"$folder"/}"
		cat "$file"
		found=yes
	done < <(find "$folder" "$@" -type f -not -path '*/testdata/*' -not -name '*.go' \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' \) | sort)
	printf '\n\n'
	if [ -z "$found" ]; then
		printf '%s has no licence in %s; look for it, and add how it is named here\n' "$name" "$folder" >&2
		return 1
	fi
}

main "$@"
