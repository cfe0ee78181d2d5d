# make test is what a change must pass, and all it needs beforehand is Go.
MODULES  := $(shell find . -name go.mod -not -path './.*' -exec dirname {} \; | sort)
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN     := golang.org/x/vuln/cmd/govulncheck@v1.8.0
MINCOVER := 95
FUZZTIME ?= 1m

# each runs a command in every module; ./... stops at the next go.mod.
each = @set -e; for m in $(MODULES); do echo "==> $$m: $(1)"; (cd $$m && $(1)); done

.PHONY: test setup vet unit cover lint vuln cross fuzz soak mutants bench tidy

test: setup vet unit
	@.ci/scripts/mincover $(MINCOVER) cover.out ginsession
	@.ci/scripts/mincover $(MINCOVER) redisstore/cover.out redisstore
	@.ci/scripts/mincover $(MINCOVER) gincontrib/cover.out gincontrib
	@.ci/scripts/mincover $(MINCOVER) sqlstore/cover.out sqlstore

setup:
	@.ci/scripts/setup

vet:
	@echo "==> gofmt -l ."; files=$$(gofmt -l .); test -z "$$files" || { echo "run gofmt -w on: $$files"; exit 1; }
	$(call each,go vet -tags soak ./...)

unit:
	go test -run '[Aa]llocations|Sizes' . ./internal/cookiestore # exact only without the race detector
	$(call each,go test -race -shuffle=on -coverprofile=cover.out ./...)

cover:
	go test -coverprofile=cover.out ./...
	go tool cover -html=cover.out -o cover.html

lint:
	$(call each,go run $(LINT) run ./...)

vuln:
	$(call each,go run $(VULN) ./...)

# Do the code and its tests build on systems that are not this one?
cross:
	$(call each,CGO_ENABLED=0 GOOS=windows go vet -tags soak ./...)
	$(call each,CGO_ENABLED=0 GOOS=darwin go vet -tags soak ./...)

fuzz:
	@.ci/scripts/fuzz $(FUZZTIME)

soak:
	go test -tags soak -run Soak -v -timeout 60m ./internal/explorer # race detector: make test
	go test -race -tags soak -run Soak -v -timeout 60m . ./internal/memcached ./internal/flask ./internal/cookiestore
	cd redisstore && go test -race -tags soak -run Soak -v -timeout 60m .
	cd sqlstore && go test -tags soak -run Soak -v -timeout 60m . # with the race detector, too slow for its limits

# Does the explorer notice a broken commit? It takes about six minutes.
mutants:
	@.ci/scripts/mutants

bench: # a quarter of an hour, on a machine that does little else
	@.ci/scripts/bench

tidy:
	$(call each,go mod tidy)
