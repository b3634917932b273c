#!/usr/bin/env bash
# Installs the commit of this checkout as a user does, with `go install` and an empty
# module cache, from a clone that has it tagged; dependencies come from the module
# cache of this machine. Then `make build` in that clone. Each program must start and
# give the tag as its version everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=v0.99.0
module=github.com/pico-auth/pico-auth
place=$(mktemp -d)
port=${SERVER_PORT:-8100}
trap 'kill "${pid:-}" 2>/dev/null || true; wait; chmod -R u+w "$place"; rm -rf "$place"' EXIT

fail() { echo "install: $*" >&2; exit 1; }

# same WHAT GOT: GOT has the tag.
same() { [[ $2 == *"$tag"* ]] || fail "$1 does not say $tag: $2"; }

git clone -q --no-tags . "$place/clone"
git -C "$place/clone" tag "$tag" >/dev/null
cache=$(go env GOMODCACHE)

# Without the paths in it (-trimpath) a compiled dependency is that of `make build`.
env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$place/clone.insteadOf" GIT_CONFIG_VALUE_0="https://$module" \
	GOPRIVATE="$module" GONOPROXY="$module" GOPROXY="file://$cache/cache/download" GOSUMDB=off GOTOOLCHAIN=local GOFLAGS=-trimpath CGO_ENABLED=0 \
	GOMODCACHE="$place/modules" GOBIN="$place/bin" GOENV=off go install "$module/cmd/pico-auth@latest" 2> >(grep -v "^go: downloading" >&2)
env -C "$place/clone" GOFLAGS= make -s build BIN="$place/made"

for program in "$place/bin/pico-auth" "$place/made/pico-auth"; do
	home=$(mktemp -d -p "$place")
	same 'pico-auth version' "$("$program" version)"
	same 'pico-auth --version' "$("$program" --version)"
	env -C "$home" HOME="$home" SERVER_PORT="$port" "$program" serve >"$home/log" 2>&1 &
	pid=$!
	get() { curl -fs --retry 50 --retry-connrefused --retry-delay 1 "${@:2}" "http://localhost:$port$1" || { cat "$home/log"; fail "GET $1"; }; }
	get /livez >/dev/null
	same '/openapi.json' "$(get /openapi.json | sed 's/"paths".*//')"
	same 'the page' "$(get / -H 'Accept: text/html')"
	same '/metrics' "$(get /metrics | grep ^pico_auth_build_info)"
	kill "$pid"
	wait "$pid" || fail 'the server did not stop'
	same 'the log' "$(cat "$home/log")"
	echo "$("$program" version): $program"
done
