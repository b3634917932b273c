# `make help` lists the targets. They need Go and, where they say so, the
# network for the tools of tools/go.mod. Everything is built without C; only
# the race detector of `make test` needs a C compiler.

GO        ?= go
BIN       ?= bin
DIST      ?= dist
VERSION   ?= $(shell git describe --tags --always --dirty --match 'v*' 2>/dev/null || echo devel)
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
ARCH      ?= $(shell $(GO) env GOARCH)
PKG       ?= ./...
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
SOAK      ?= 1h
ONLY      ?=
KILLS     ?= 1000
FULL      ?=

# The content of a binary must depend on the sources and the version only.
export CGO_ENABLED = 0
export GOAMD64     = v1
export GOARM64     = v8.0
LDFLAGS = -s -w -buildid= -X main.version=$(VERSION)
TOOL = $(GO) tool -modfile=tools/go.mod

.DEFAULT_GOAL := build
.PHONY: run build test test-all e2e pictures reproduce notes examples torture lint fmt vuln bench bench-check bench-report soak microbench bench-slow fuzz cover release image compose image-check clean help

run: build ## build and start the server on its embedded default
	@exec $(BIN)/pico-auth serve

build: ## build bin/pico-auth, static
	@$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/pico-auth ./cmd/pico-auth

test: ## vet, and every test, on SQLite and PostgreSQL (PKG=./internal/token; FULL=1: all rounds)
	@GO='$(GO)' BIN='$(BIN)' tools/test.sh $(if $(FULL),-full) $(PKG)

test-all: ## the full set: every kill and round, the race detector everywhere, a browser, the release twice
	@REQUIRE_POSTGRES=1 REQUIRE_BROWSER=1 $(MAKE) test FULL=1
	@$(MAKE) examples reproduce

# axe-core checks the pages for accessibility; it is under the MPL and not part of the repository.
AXE = $(abspath $(BIN))/axe-core/package/axe.min.js

$(AXE):
	@mkdir -p $(BIN)/axe-core
	@cd $(BIN)/axe-core && tar xzf "$$(npm pack --silent axe-core@4.11.0)"

e2e: $(AXE) ## the pages in Chromium, with axe-core from npm; pictures of each in bin/screenshots
	@REQUIRE_BROWSER=1 AXE=$(AXE) SCREENSHOTS=$(abspath $(BIN))/screenshots $(GO) test -count 1 -run 'Chromium|Axe|Screenshots' ./internal/hosted

pictures: ## the pictures of README in docs/images, made in Chromium
	@REQUIRE_BROWSER=1 PICTURES=$(abspath docs/images) $(GO) test -count 1 -run PictureForTheReadme ./internal/hosted

notes: ## run examples/notes for the client CLIENT_ID, on http://localhost:3000
	@cd examples && exec $(GO) run -trimpath ./notes

examples: build ## sign in through the applications of examples, build those of picoauth/examples (ONLY=Go: some)
	@cd picoauth/examples && $(GO) mod tidy -diff && $(GO) build -o /dev/null ./... && $(GO) vet ./... && $(GO) test ./...
	@cd examples && $(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test -count 1 -timeout 20m -v -run '$(ONLY)' ./...

torture: ## kill the program at random moments under load (KILLS=1000)
	@TORTURE_KILLS=$(KILLS) $(GO) test -count 1 -timeout 2h -v -run Kill9 ./internal/torture

lint: ## formatting, the linters of .golangci.yml, unreachable code, the workflows of GitHub
	@$(GO) tool -modfile=tools/actionlint/go.mod actionlint
	@$(TOOL) golangci-lint run
	@GO='$(GO)' tools/deadcode.sh

fmt: ## format every Go file
	@$(TOOL) golangci-lint fmt

vuln: ## search the dependencies for known vulnerabilities
	@$(TOOL) govulncheck ./...

bench: build $(BIN)/bench ## measure the program over real sockets, relative to limits (ONLY=login,read)
	@$(BIN)/bench -binary $(BIN)/pico-auth -out $(BIN)/bench.json -only '$(ONLY)'

bench-check: build $(BIN)/bench ## a short bench; fails if a bound of bench/bounds.json is broken
	@$(BIN)/bench -binary $(BIN)/pico-auth -out $(BIN)/bench-check.json -check bench/bounds.json

bench-report: $(BIN)/bench ## write the results of make bench into docs/performance.md and README.md (NOTE='a sentence')
	@$(BIN)/bench -out $(BIN)/bench.json -report docs/performance.md -sizes README.md -note '$(NOTE)'

soak: build $(BIN)/bench ## load the program for SOAK=1h; fails if a resource grows
	@$(BIN)/bench -binary $(BIN)/pico-auth -out $(BIN)/bench.json -soak $(SOAK)

.PHONY: $(BIN)/bench
$(BIN)/bench:
	@$(GO) build -o $@ ./bench

microbench: ## run the Go benchmarks (PKG=./internal/store BENCHTIME=3s)
	@$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(PKG)

bench-slow: ## the store's rotations on a disk slowed to 2 ms a sync; needs strace
	@$(GO) test -c -o $(BIN)/store.test ./internal/store
	@cd internal/store && strace -f -qq --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:delay_exit=2000 \
		$(abspath $(BIN))/store.test -test.run '^$$' -test.bench Rotations -test.benchtime $(BENCHTIME)

fuzz: ## run every fuzz target for FUZZTIME (FUZZTIME=1m)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' tools/fuzz.sh $(PKG)

cover: ## measure coverage; token, store, identity, jose and picoauth need 90 %
	@GO='$(GO)' tools/cover.sh

release: ## static binaries of all platforms, archives, licences, checksums and bills of materials in dist/
	@GO='$(GO)' DIST='$(DIST)' LDFLAGS='$(LDFLAGS)' VERSION='$(VERSION)' PLATFORMS='$(PLATFORMS)' tools/release.sh

image: ## the container image for linux/ARCH, by buildah or docker, from what release makes; archives in dist/image
	@$(MAKE) --no-print-directory release PLATFORMS=linux/$(ARCH) DIST=$(DIST)/image/context
	@GO='$(GO)' DIST='$(DIST)' VERSION='$(VERSION)' ARCH='$(ARCH)' tools/image.sh

compose: image ## the images of compose.yaml and its secrets: then docker compose up
	@GO='$(GO)' DIST='$(abspath $(DIST))' ARCH='$(ARCH)' tools/compose.sh
	@contrib/compose/secrets.sh

image-check: image ## start the image and compose.yaml without an engine; needs root, buildah, Caddy and PostgreSQL
	@GO='$(GO)' DIST='$(abspath $(DIST))' ARCH='$(ARCH)' tools/compose.sh
	@TEST_IMAGES=$(abspath $(DIST)/image) $(GO) test -count 1 -v ./internal/deploy

reproduce: release ## build the release again in another folder and compare the checksums
	@VERSION='$(VERSION)' DIST='$(DIST)' tools/reproduce.sh

clean: ## remove the files of the other targets
	@rm -rf $(BIN) $(DIST) coverage.out

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
