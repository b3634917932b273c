#!/usr/bin/env bash
# Builds the image of examples/notes, which compose.yaml starts, with buildah or docker;
# buildah also writes DIST/image/pico-auth-notes-docker.tar. Called by `make compose`,
# which sets the variables.
set -euo pipefail

out=$DIST/image
mkdir -p "$out/notes"
(cd examples && GOOS=linux GOARCH=$ARCH "$GO" build -trimpath -buildvcs=false -ldflags '-s -w' -o "$out/notes/notes" ./notes)
if command -v buildah >/dev/null; then
	rm -f "$out/pico-auth-notes-docker.tar"
	buildah bud --quiet --format docker --os linux --arch "$ARCH" -f examples/notes/Containerfile -t pico-auth-notes "$out/notes" >/dev/null
	buildah push --quiet pico-auth-notes "docker-archive:$out/pico-auth-notes-docker.tar:pico-auth-notes:latest"
	if docker info >/dev/null 2>&1; then
		docker load --quiet --input "$out/pico-auth-notes-docker.tar"
	fi
else
	docker build --platform "linux/$ARCH" -f examples/notes/Containerfile -t pico-auth-notes "$out/notes"
fi
