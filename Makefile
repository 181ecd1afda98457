# ShareIt. `make` builds, `make demo` shows it at work, `make help` lists the rest.
# Needs Rust and nothing else. CARGO_TARGET_DIR is honoured.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo servers stop test check bench clean help

build: ## build, and leave ./Server and ./Client here (plain `make` does this)
	$(CARGO) build --release --locked
	@# A changed program is moved into place, so that one that runs keeps its own file.
	@for b in Server Client; do \
	  cmp -s "$(TARGET)/release/$$b" $$b && continue; \
	  cp "$(TARGET)/release/$$b" $$b.new && mv -f $$b.new $$b || exit 1; \
	done

demo: build ## the narrated demo of four servers; DEMO_PAUSE=key waits for Enter at each step
	@bash scripts/demo.sh

servers: build ## start Server1 to Server4 of the .conf files in the background
	@bash scripts/servers.sh start

stop: ## end the servers that `make servers` started
	@bash scripts/servers.sh stop

test: ## every test; ARGS='...' is handed on to cargo test
	$(CARGO) test --locked $(ARGS)

check: ## formatting, lints, every test, the documentation of the code
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

bench: ## the benchmarks
	$(CARGO) bench --locked $(ARGS)

clean: ## remove what was built; what the servers hold stays
	$(CARGO) clean
	rm -f Server Client Server.new Client.new

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
