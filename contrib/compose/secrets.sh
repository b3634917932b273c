#!/bin/sh
# Makes the secrets of compose.yaml in the folder DIR (secrets), each once. Containers
# read the files as users of their own, so the files are readable and the folder is not.
set -eu

dir=${1:-secrets}
mkdir -p "$dir"
chmod 0700 "$dir"
umask 022

# once NAME COMMAND...: stores what the command prints as a secret that does not exist yet.
# Of a command that fails nothing stays: half a secret would be kept for good.
once() {
	[ ! -e "$dir/$1" ] || return 0
	name=$1
	shift
	"$@" >"$dir/.$name"
	mv "$dir/.$name" "$dir/$name"
}

once master_key openssl rand -base64 32
once admin_password openssl rand -hex 16
once database_password openssl rand -hex 24
once database_url printf 'postgresql://auth:%s@database/auth\n' "$(cat "$dir/database_password")"
