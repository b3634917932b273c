#!/usr/bin/env bash
# Coverage of each package by its own tests, in per cent of its statements. The
# packages that decide about tokens must have 90.
set -euo pipefail

go=${GO:-go}
"$(dirname "$0")/postgres.sh" || true
"$go" test -timeout 20m -coverprofile coverage.out ./... | grep -v '^ok' || true

awk -v minimum=90 -v strict='^(internal/token|internal/store|internal/store/adopt|internal/identity|internal/jose|picoauth)$' -v module="$("$go" list -m)/" '
	NR > 1 {
		pkg = $1
		sub(/\/[^\/]*$/, "", pkg)
		sub("^" module, "", pkg)
		total[pkg] += $2
		if ($3 > 0) covered[pkg] += $2
	}
	END {
		for (pkg in total) {
			percent = 100 * covered[pkg] / total[pkg]
			low = pkg ~ strict && percent < minimum
			failed = failed || low
			printf "%5.1f %%  %s%s\n", percent, pkg, low ? "   BELOW " minimum " %" : "" | "sort -k3"
		}
		close("sort -k3")
		exit failed
	}' coverage.out
