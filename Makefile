# `make` lists what there is to do. ARGS are handed on where the list says so.

SHELL := /bin/bash
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse --verify --quiet HEAD || echo unknown)
RELAY_IMAGE := $(or $(OUTBOX_RELAY_IMAGE),outbox-relay/relay:latest)

GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)'
IMAGE_OF := deploy/images/image.sh
HARNESS := github.com/gameoutbox/relay/integration/harness
# The packages whose tests use real servers, and the others. Expanded only by the targets that need them.
PACKAGES = go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./...
INTEGRATION_PACKAGES = $$($(PACKAGES) | grep -F '$(HARNESS)' | cut -d' ' -f1)
UNIT_PACKAGES = $$($(PACKAGES) | grep -vF '$(HARNESS)' | cut -d' ' -f1)
GO_TEST := go test -timeout 60m
# The tests that depend on the version of Postgres: migrations, rules and rights, and what the reader relies on.
POSTGRES_TESTS := Up|Down|Schema|Table|GoAndSQL|Publish|SQL|Writer|Relay|Stranger|Right|Reader|ALateCommit|ExplicitDraw|Aborted|Doorbell|NobodyNotifies|ABurst
# The tests that have a small size for every run and a full one.
SIZED_TESTS := Size|ComeAndGo|RollingDeploy|StopHandsTheLease|KilledLeader|PausedLeader|ManyCopies
# How long `make fuzz` tries each target, and which. The one that needs Docker starts a server for each of its processes first, for
# which the time counts too.
FUZZTIME ?= 1m
FUZZTIME_DOCKER ?= $(FUZZTIME)
FUZZ ?= .

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: need-go ## build the relay into bin/outbox-relay
	$(GO_BUILD) -o bin/outbox-relay ./cmd/outbox-relay

.PHONY: demo
demo: need-go ## play a small game on throw-away servers; ARGS=--outage, ARGS='--duration 1m --rate 1000', ARGS=--help
	@$(need_postgres) go run -tags demo ./cmd/outbox-relay demo $(ARGS)

.PHONY: test
test: need-go images ## run all tests; they need Docker; ARGS='-run Name -v'
	$(GO_TEST) $(ARGS) ./...

.PHONY: test-unit
test-unit: need-go ## run the tests that need no Docker; ARGS as above
	$(GO_TEST) $(ARGS) $(UNIT_PACKAGES)

.PHONY: integration
integration: need-go images ## run the tests against real servers in Docker; ARGS as above
	$(GO_TEST) $(ARGS) $(INTEGRATION_PACKAGES)

.PHONY: full-size
full-size: need-go images ## run the tests that have a size at full size, about 45 minutes; their log has the figures
	OUTBOX_TEST_SIZE=full go test -count=1 -timeout 90m -v $(ARGS) -run '$(SIZED_TESTS)' ./integration

.PHONY: integration-postgres
integration-postgres: need-go need-docker ## run the tests of SQL and of the reader on another Postgres; POSTGRES=15, 14 to 18
	OUTBOX_TEST_POSTGRES_VERSION=$(POSTGRES) $(GO_TEST) -count=1 $(ARGS) -run '$(POSTGRES_TESTS)' ./integration

.PHONY: race
race: need-go need-cc images ## run all tests under the race detector; ARGS as above
	$(GO_TEST) -race $(ARGS) ./...

.PHONY: race-unit
race-unit: need-go need-cc ## run the tests that need no Docker under the race detector; ARGS as above
	$(GO_TEST) -race $(ARGS) $(UNIT_PACKAGES)

.PHONY: fuzz
fuzz: need-go ## look for inputs that break what reads them, FUZZTIME=1m each; FUZZ='Terminal|Frames' for some; one needs Docker
	@set -e; $(fuzz_targets) | while read -r folder name; do \
		echo "== $$name in $$folder"; \
		time='$(FUZZTIME)'; if [ "$$folder" = ./integration ]; then time='$(FUZZTIME_DOCKER)'; fi; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime "$$time" "$$folder"; \
	done

.PHONY: lint
lint: need-go .bin/golangci-lint-$(GOLANGCI_LINT_VERSION) ## check style, mistakes and the package graph
	.bin/golangci-lint-$(GOLANGCI_LINT_VERSION) run --build-tags demo ./...
	cd bench && ../.bin/golangci-lint-$(GOLANGCI_LINT_VERSION) run ./...

.PHONY: bench
bench: need-go need-docker ## measure the relay beside limits and rivals, 30 minutes, into docs/BENCHMARKS.md; ARGS='-only drain'
	deploy/bench.sh -json '$(CURDIR)/docs/benchmarks/results.json' -plots '$(CURDIR)/docs/benchmarks' -doc '$(CURDIR)/docs/BENCHMARKS.md' $(ARGS)

.PHONY: bench-quick
bench-quick: need-go need-docker ## the main figures of it in 3 minutes, into bin/bench-quick; ARGS as above
	deploy/bench.sh -quick -json '$(CURDIR)/bin/bench-quick/results.json' -plots '$(CURDIR)/bin/bench-quick' $(ARGS)

.PHONY: up
up: need-compose image ## start Postgres, NATS, Redis and the relay on this machine's ports
	@set -e; \
	postgres=$$($(IMAGE_OF) postgres); nats=$$($(IMAGE_OF) nats); redis=$$($(IMAGE_OF) redis); \
	export OUTBOX_POSTGRES_IMAGE=$$postgres OUTBOX_NATS_IMAGE=$$nats OUTBOX_REDIS_IMAGE=$$redis; \
	export OUTBOX_RELAY_IMAGE='$(RELAY_IMAGE)'; \
	$(COMPOSE) up --detach --no-build --remove-orphans; \
	$(COMPOSE) ps

.PHONY: down
down: need-compose ## stop what `make up` started; ARGS=--volumes throws the data away too
	$(COMPOSE) down --remove-orphans $(ARGS)

.PHONY: image
image: need-go need-docker need-certificates ## build the relay's image outbox-relay/relay:latest; not if OUTBOX_RELAY_IMAGE names another
ifndef OUTBOX_RELAY_IMAGE
	@mkdir -p bin/image
	@$(find_certificates)
	GOOS=linux GOARCH=$$(docker version --format '{{.Server.Arch}}') $(GO_BUILD) -o bin/image/outbox-relay ./cmd/outbox-relay
	@deploy/licences.sh bin/image/outbox-relay > bin/image/THIRD_PARTY_LICENCES
	@cp LICENSE bin/image/LICENSE
	@log=$$(docker build --tag '$(RELAY_IMAGE)' --file deploy/image/Dockerfile bin/image 2>&1) || { echo "$$log" >&2; exit 1; }
	@echo 'built $(RELAY_IMAGE)'
endif

.PHONY: images
images: ## get or build the images of Postgres, NATS and Redis that the tests and `make up` use
	@$(IMAGE_OF) all

.PHONY: clean
clean: ## remove what was built and the linter; images, containers and their data stay
	rm -rf bin .bin

# Each fuzz target with its folder. What a target finds is kept below testdata/fuzz of its folder and tried by every test run.
fuzz_targets = grep -ro --include='*_test.go' --exclude-dir=bench '^func Fuzz[A-Za-z]*' --with-filename . \
	| sed -E 's|^(.*)/[^/]*:func |\1 |' | grep -E ' Fuzz.*($(FUZZ))' | sort

# Compose v2, a plugin of Docker, or else the older docker-compose.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# The linter is built from source, at the version above, unless the machine has that very version.
.bin/golangci-lint-$(GOLANGCI_LINT_VERSION):
	@mkdir -p .bin
	@for installed in "$$(command -v golangci-lint)" "$$(go env GOPATH)/bin/golangci-lint"; do \
		if [ -x "$$installed" ] && [ "v$$("$$installed" version --short)" = '$(GOLANGCI_LINT_VERSION)' ]; then \
			ln -s "$$installed" '$@' && exit; \
		fi; \
	done; \
	echo 'installing golangci-lint $(GOLANGCI_LINT_VERSION), some minutes' && \
	GOBIN='$(CURDIR)/.bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION) && \
	mv .bin/golangci-lint '$@'

# The certificates by which the relay in its image knows whom to trust: this machine's.
define find_certificates
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do \
	if [ -r "$$file" ]; then cp "$$file" bin/image/ca-certificates.crt && exit; fi; \
done
endef

# The demo uses a Postgres that is installed here, else an image.
define need_postgres
set -e; \
if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! command -v postgres >/dev/null && \
	[[ "$(ARGS)" != *--postgres-url* ]]; then \
	if ! image=$$($(IMAGE_OF) postgres); then \
		echo 'or install a Postgres server (Debian: apt-get install postgresql)' >&2; exit 1; \
	fi; \
	export OUTBOX_TEST_POSTGRES_IMAGE=$$image; \
fi;
endef

# What is missing is installed where that can be done, see deploy/need.sh.
.PHONY: need-go need-cc need-docker need-compose need-certificates
need-go need-cc need-docker need-compose need-certificates: need-%:
	@deploy/need.sh $*
need-compose: need-docker
