# The folder's verbs; `make` alone explains them. Each does what it needs first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps test-deps test-interop build up down demo demo-builds demo-upload test check bench histories ours
MAKEFLAGS += --no-print-directory

# Version control's stamp fails in a checkout that another user owns.
GO_BUILD := CGO_ENABLED=0 go build -buildvcs=false -trimpath
TEMPORAL := bin/temporal-server bin/temporal-sql-tool bin/temporal-ui
CHECKERS := bin/staticcheck bin/workflowcheck bin/tally

help: ## this page
	@echo "make TARGET, one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

deps: ## install what building and running need (apt; names it first, starts no service)
	@scripts/deps

# What only the tests need beyond.
TEST_PACKAGES := openssh-server vsftpd reprepro softhsm2 opensc sq sqv sbsigntool gnupg gpgv chromium docker-compose python3-debian python3-prometheus-client python3-aiosmtpd schroot autopkgtest qemu-system-x86 qemu-utils ovmf dosfstools mtools fdisk
test-deps:
	@scripts/deps $(TEST_PACKAGES)

build: ours $(TEMPORAL) ## build bin/debusine and Temporal's programs (minutes the first time, then seconds)

# Keys in hardware are reached through C libraries (PKCS#11), so this takes gcc;
# names and users are still looked up without C.
ours:
	@echo "building bin/debusine"
	@mkdir -p bin
	@$(subst CGO_ENABLED=0,CGO_ENABLED=1,$(GO_BUILD)) -tags netgo,osusergo -o bin/debusine ./cmd/debusine

bin/temporal-server: package := go.temporal.io/server/cmd/server
bin/temporal-sql-tool: package := go.temporal.io/server/cmd/tools/sql
bin/temporal-ui: package := github.com/temporalio/ui-server/v2/cmd/server
$(TEMPORAL): temporal-config/go.mod temporal-config/go.sum
	@echo "building $@ (Temporal's three programs take about six minutes the first time)"
	@mkdir -p bin
	@cd temporal-config && $(GO_BUILD) -v -o ../$@ $(package) 2>&1 | \
		awk '/^go: downloading/ { if (++d % 50 == 0) print "  " d " modules fetched"; fflush(); next } / |:/ { print; fflush(); next } ++n % 100 == 0 { print "  " n " packages compiled"; fflush() }'
	@touch $@

bin/staticcheck: package := honnef.co/go/tools/cmd/staticcheck
bin/workflowcheck: package := go.temporal.io/sdk/contrib/tools/workflowcheck
bin/tally: package := ./tally
bin/tally: tools/tally/main.go
$(CHECKERS): tools/go.mod tools/go.sum
	@echo "building $@"
	@mkdir -p bin
	@cd tools && $(GO_BUILD) -o ../$@ $(package)
	@touch $@

up: build ## start everything in the background (debusine standalone), wait until it is ready
	@scripts/up

down: ## stop it in order; its state stays in .state
	@scripts/down

demo: deps build ## set everything up, build a real Debian package and show what came out
	@scripts/up
	@scripts/demo

demo-upload: build ## as root, after make demo: have its package signed, and uploaded over sftp and ftp to servers on loopback
	@scripts/deps openssh-server vsftpd gpg gpgv sq openssl
	@scripts/up
	@scripts/demo-upload

demo-builds: deps build ## a rebuild, an injected package, a profile, a cross build, and a failure that is mended and tried again
	@scripts/up
	@scripts/demo-builds

check: $(CHECKERS) ## formatting, vet, staticcheck, workflowcheck, layers, replay, unit tests with -race; no stack
	@echo "gofmt"; unformatted=$$(git ls-files '*.go' | xargs -r gofmt -l); \
		[ -z "$$unformatted" ] || { echo "not formatted: $$unformatted; hint: gofmt -w" >&2; exit 1; }
	@echo "vet"; go vet ./...
	@echo "staticcheck"; bin/staticcheck ./...
	@echo "workflowcheck"; bin/workflowcheck -config tools/workflowcheck.yaml ./workflows/...
	@echo "layers, replay and unit tests, with the race detector"
	@CGO_ENABLED=1 go test -race -short -json ./... 2>&1 | bin/tally
	@cd tools && go test ./tally

test: test-deps build check ## set everything up, then pass all tests, those on real parts too
	@echo "all tests, on real parts"
	@go test -count=1 -timeout 40m -json ./... 2>&1 | bin/tally

test-interop: deps build ## drive the Debusine client that Debian packages against this server (root; minutes)
	@scripts/interop

bench: deps build ## measure, print a table, write .state/bench.json
	@scripts/bench

histories: build ## record workflow histories for the replay test
	@scripts/histories
