# ShareIt. `make` builds, `make demo` shows it at work, `make help` lists the rest.
# Needs Rust and nothing else. CARGO_TARGET_DIR is honoured.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo servers stop test check chaos fuzz bench clean help

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

chaos: ## users and faults for some minutes; CHAOS_SEED and CHAOS_OPERATIONS choose the story
	CHAOS_OPERATIONS=$${CHAOS_OPERATIONS:-2000} \
	  $(CARGO) test --locked --test chaos -- --nocapture nobody_has_seen

# What cargo-fuzz passes to the compiler, but for the sanitizer, which needs a nightly Rust and would find little
# in a program without unsafe code: the fuzzer sees which code an input reaches. libFuzzer itself is C++; where
# there is no compiler for it, a test makes changes to the kept inputs without seeing anything.
FUZZ_FLAGS := --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares

fuzz: ## each fuzz target for FUZZ_SECONDS (5) seconds, from the corpus in fuzz/corpus
	@host=$$(rustc -vV | sed -n 's/^host: //p'); out="$(abspath $(TARGET))/fuzz"; \
	export FUZZ_SECONDS=$${FUZZ_SECONDS:-5}; \
	if ! c++ --version >/dev/null 2>&1; then \
	  echo "no c++ to build libFuzzer with: changing the kept inputs blindly"; \
	  exec $(CARGO) test --locked --test fuzz_corpus -- --nocapture; \
	fi; \
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --locked --manifest-path fuzz/Cargo.toml \
	  --target $$host --target-dir "$$out" || exit 1; \
	for t in $$(ls fuzz/corpus); do \
	  mkdir -p "$$out/found/$$t" fuzz/artifacts; log="$$out/$$t.log"; \
	  "$$out/$$host/release/$$t" -max_total_time=$$FUZZ_SECONDS -max_len=16384 -artifact_prefix=fuzz/artifacts/$$t- \
	    "$$out/found/$$t" fuzz/corpus/$$t >"$$log" 2>&1 || { cat "$$log"; exit 1; }; \
	  echo "$$t: $$(tail -n 1 "$$log")"; \
	done

bench: ## the benchmarks
	$(CARGO) bench --locked $(ARGS)

clean: ## remove what was built; what the servers hold stays
	$(CARGO) clean
	rm -f Server Client Server.new Client.new

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
