#!/usr/bin/env bash
# Runs every fuzz target of the packages given for FUZZTIME each. Go fuzzes one
# target at a time and would otherwise take up to a minute for each new input.
set -euo pipefail

go=${GO:-go}
for pkg in $("$go" list "$@"); do
	for target in $("$go" test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "$pkg $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$pkg" | tail -n 1
	done
done
