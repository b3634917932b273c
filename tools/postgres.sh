#!/usr/bin/env bash
# Makes sure that the tests find PostgreSQL: the server in TEST_DATABASE_URL, else
# an installation, which the tests start themselves. As root on Debian it installs a
# missing one. Without PostgreSQL it prints a message and fails.
set -euo pipefail

found() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

if [[ -n ${TEST_DATABASE_URL:-} ]] || found; then
	exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	echo 'PostgreSQL is missing: installing it with apt-get'
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	if { apt-get update && apt-get install -y --no-install-recommends postgresql; } >"$log" 2>&1 && found; then
		rm -f "$log"
		exit 0
	fi
	tail -n 20 "$log"
	rm -f "$log"
fi
echo '*** PostgreSQL is missing and was not installed: SKIPPING every test on it. ***'
echo '*** Install it, or set TEST_DATABASE_URL to the URL of a server.            ***'
exit 1
