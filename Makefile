# Antiphon's commands. `make` alone lists them. Works with GNU make 3.81 and newer.

CARGO ?= cargo

# Passed on to the command, for example: make demo ARGS=--fast
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo page test test-core soak fuzz lint bench bench-peers fmt clean

# Every command is one sequence of steps; `make -j` must not shuffle or interleave them.
.NOTPARALLEL:

heading = @printf '\n== %s\n'

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## install the system packages that building and speech need, if any is missing
	@./scripts/setup.sh build speech

demo: ## a call you can hear, with interruption and hand-over (ARGS=--fast for virtual time)
	@./scripts/setup.sh build speech
	$(CARGO) run --release --locked -- demo $(ARGS)

page: ## the page to talk to an agent in a room, which the next build carries (ARGS=--force builds it anew)
	@./scripts/page.sh $(ARGS)

test: ## everything: format, lints, the core alone, documentation, all tests
	@./scripts/setup.sh build speech test rooms sound models mcp
	@./scripts/page.sh
	$(heading) 'format'
	$(CARGO) fmt --check
	$(heading) 'lints'
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	$(heading) 'the core alone, without features'
	$(CARGO) check --locked --no-default-features
	$(heading) 'documentation'
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --all-features
	$(heading) 'tests'
	@# Whatever the environment says: a text that differs from its snapshot fails, and is not written.
	INSTA_UPDATE=no INSTA_FORCE_PASS=0 ./scripts/realtime.sh $(CARGO) test --locked --all-features

test-core: ## the core's tests alone: no system package, no root (ARGS=name picks tests)
	@./scripts/setup.sh
	$(CARGO) test --locked --no-default-features $(ARGS)

soak: ## 1,000 simulated hours of random calls under invariants, and the memory (ANTIPHON_HOURS=n); ten drains and take-overs in a row; ten minutes of the microphone
	@./scripts/setup.sh build speech test rooms sound
	$(CARGO) run --release --locked --no-default-features --example soak
	ANTIPHON_ROUNDS=10 $(CARGO) test --locked --all-features --test worker_drain --test worker_takeover -- --nocapture in_a_row rolling
	ANTIPHON_SOUND_MINUTES=10 $(CARGO) test --locked --all-features --test devices -- --nocapture

FUZZ_SECONDS ?= 60

fuzz: ## looks for what makes a reader panic, a minute a target (ARGS=journal, wav, config, cues, topology, rules, realtime, room or frames)
	@./scripts/setup.sh
	@if ! command -v cargo-fuzz >/dev/null 2>&1; then \
		echo 'cargo-fuzz is not installed: cargo install --locked cargo-fuzz' >&2; \
		exit 2; \
	fi
	@set -e; for target in $(or $(ARGS),journal wav config cues topology rules realtime room frames); do \
		printf '\n== %s\n' $$target; \
		mkdir -p fuzz/found/$$target; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10; \
	done

lint: ## format, lints, documentation, licences and advisories; no tests
	@./scripts/setup.sh build
	$(heading) 'format'
	$(CARGO) fmt --check
	$(heading) 'lints'
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	$(heading) 'documentation'
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --all-features
	$(heading) 'licences, bans, advisories, sources'
	@if command -v cargo-deny >/dev/null 2>&1; then \
		$(CARGO) deny --locked check; \
	else \
		echo 'skipped: cargo-deny is not installed (cargo install --locked cargo-deny)'; \
	fi

bench: ## writes benches/RESULTS.md: what a tick costs, how fast virtual time is, how late ticks are (ARGS=name prints one)
	@./scripts/setup.sh build speech
	$(CARGO) bench --locked --all-features --bench speed -- $(or $(ARGS),--write)

bench-peers: ## writes benches/PEERS.md: beside livekit-agents, pipecat and the raw SDK, in half an hour (ARGS=--short prints only)
	@./scripts/setup.sh build peers
	@# ANTIPHON names a program that is there, instead of one that is built.
	$(if $(ANTIPHON),@true,$(CARGO) build --release --locked)
	@.tools/bench-peers/bin/python benches/peers/versus.py $(ARGS)

fmt: ## format the sources
	$(CARGO) fmt

clean: ## remove what was built
	$(CARGO) clean
