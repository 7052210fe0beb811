# Gatepost: make builds, make demo shows it, make test proves it.
export GOTOOLCHAIN ?= auto
export CGO_ENABLED ?= 0
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
SOURCES := $(shell find cmd gateway filters policy rules -name '*.go' -o -name '*.yaml' -o -name '*.html' -o -name '*.css' -o -name '*.js' 2>/dev/null)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: all demo test check race fuzz bench load corpus soak oracle cover setup deb clean

all: gatepost

gatepost: go.mod go.sum $(SOURCES)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/gatepost

demo: gatepost ## the whole product on loopback, with nothing set up
	./gatepost demo

setup: ## the Debian or Ubuntu packages that tests drive; does nothing where they are
	./test/setup.sh

test: gatepost setup ## every test; says what it skipped and why
	./test/run.sh

check: ## vet, formatting, staticcheck, known vulnerabilities, the laws of the house
	@unformatted=$$(gofmt -l cmd gateway filters policy rules test); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	./test/vuln.sh $(GOVULNCHECK)
	$(GO) test -count=1 ./test/law

race: ## all tests under the race detector
	CGO_ENABLED=1 $(GO) test -race ./...

fuzz: ## every fuzz target for FUZZTIME each, one after the other
	./test/fuzz.sh

bench: ## benchmarks, each beside something measured in the same run
	$(GO) test -run '^$$' -bench . -benchmem ./...

RSPAMD := $(if $(wildcard /usr/bin/rspamd),-rspamd)
load: gatepost setup ## messages a second and CPU, beside Postfix as a bare proxy, Postfix with Rspamd where that is installed, and nothing at all; 10,000 idle sessions; a siege; the review pages with 100,000 held messages
	$(GO) run ./test/load $(RSPAMD)
	$(GO) run ./test/load -idle 10000
	$(GO) run ./test/load -siege 5000
	$(GO) run ./test/load -review 100000

corpus: gatepost ## how well spam is told from wanted mail, on public mail, beside SpamAssassin and Rspamd; writes docs/corpus.md
	./test/setup.sh spamassassin rspamd redis-server
	$(GO) run ./test/corpus -page docs/corpus.md

SOAK ?= 1h
soak: ## SOAK=1h of mail with a fault a minute; then journal, next hop and quarantine must agree to the unit
	$(GO) run ./test/soak -for $(SOAK)

oracle: ## 10,000 messages in both modes of custody through a gateway that is killed at every failpoint
	$(GO) run ./test/soak -oracle 10000

cover: ## coverage of the whole by all tests
	@mkdir -p coverage
	$(GO) test -coverpkg=./cmd/...,./gateway/...,./filters/...,./policy/...,./rules/... -coverprofile=coverage/all.out ./...
	$(GO) tool cover -func=coverage/all.out | tail -1

deb: gatepost ## a package for Debian and Ubuntu, with a hardened systemd unit
	ARCH=$$($(GO) env GOARCH) VERSION=$$(git describe --tags 2>/dev/null || echo 0.0.0-$$(git rev-parse --short HEAD)) $(GO) run $(NFPM) package --packager deb --config packaging/nfpm.yaml --target .

clean:
	rm -rf gatepost coverage gatepost_*.deb
