#!/usr/bin/env bash
# A program that acts for itself: it gets an access token with its secret and calls
# an API with it. Needs curl and jq.
#
#   pico-auth client create --kind machine --audience https://notes.example.com
#   CLIENT_ID=... CLIENT_SECRET=... ./machine.sh http://localhost:3001/notes
set -euo pipefail
issuer=${ISSUER:-http://localhost:8100}
token_endpoint=$(curl -sSf "$issuer/.well-known/openid-configuration" | jq -er .token_endpoint)

# The secret goes through standard input, so that it is in no list of processes.
token=$(printf 'user = "%s:%s"\n' "$CLIENT_ID" "$CLIENT_SECRET" |
	curl -sS -K - "$token_endpoint" -d grant_type=client_credentials |
	jq -er '.access_token // error(.error + ": " + .error_description)')
printf 'header = "Authorization: Bearer %s"\n' "$token" | curl -sS --fail-with-body -K - "$1"
