# ShareIt. `make` builds, `make demo` shows it at work, and `make help` lists the rest.
# Needs Rust, cc to link with, make and bash. CARGO_TARGET_DIR is honoured.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

INSTALL ?= install
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR  ?= $(DATADIR)/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR  ?= $(DATADIR)/zsh/site-functions
FISHCOMPDIR ?= $(DATADIR)/fish/vendor_completions.d

# The prompt edits lines. Plain `cargo build` leaves that out, and the packages that it needs.
FEATURES := --features line-editing

# What is installed.
SERVER := Server
CLIENT := Client
PAGES  := shareit.1 shareit.conf.5 shareit-server.8
# Each shell, and where it looks for a program's completion, which the client prints if it runs here.
COMPLETIONS := bash:$(BASHCOMPDIR)/shareit zsh:$(ZSHCOMPDIR)/_shareit fish:$(FISHCOMPDIR)/shareit.fish
USERUNITS := $(notdir $(wildcard dist/shareit-*))

# Rust's target of the C library that a program can contain.
MUSL := $(shell uname -m)-unknown-linux-musl

.PHONY: build install uninstall deb static demo servers stop test check grade mutants deploy-check chaos fuzz bench clean help

build: ## build, and leave ./Server and ./Client here (plain `make` does this)
	$(CARGO) build --release --locked $(FEATURES)
	@# A changed program is moved into place, so a running one keeps its own file. An unchanged one gets a new time:
	@# `make install` takes it for up to date by that.
	@for b in Server Client; do \
	  if cmp -s "$(TARGET)/release/$$b" $$b; then touch $$b; \
	  else cp "$(TARGET)/release/$$b" $$b.new && mv -f $$b.new $$b; fi || exit 1; \
	done
	@# Their passwords are public, but a .conf should be private, and git does not keep its permissions. If the files
	@# belong to somebody else, the client's warning stays.
	@chmod go= User1.conf User2.conf User3.conf 2>/dev/null || true

# Builds what is out of date, but only as the owner, above all not as root: the owner could not change such files later.
.PHONY: built
built:
	@if [ ! -x Server ] || [ -n "$$(find Cargo.toml Cargo.lock src -newer Server)" ]; then \
	  [ -O . ] || { echo "make: there is no up-to-date build: run make first, as the owner of this folder" >&2; exit 1; }; \
	  $(MAKE) build; \
	fi

install: built ## install shareit and shareit-server below PREFIX (/usr/local); DESTDIR is honoured, UNITDIR= leaves out the systemd units
	@$(MAKE) --no-print-directory install-files

# Programs are installed under other names: Server and Client say too little among a thousand programs.
.PHONY: install-files
install-files:
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man8"
	$(INSTALL) -m 755 "$(CLIENT)" "$(DESTDIR)$(BINDIR)/shareit"
	$(INSTALL) -m 755 "$(SERVER)" "$(DESTDIR)$(BINDIR)/shareit-server"
	for page in $(PAGES); do $(INSTALL) -m 644 "man/$$page" "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page" || exit 1; done
	for place in $(COMPLETIONS); do \
	  file="$(DESTDIR)$${place#*:}"; \
	  script=$$("$(DESTDIR)$(BINDIR)/shareit" completion $${place%%:*} 2>/dev/null) || continue; \
	  $(INSTALL) -d "$${file%/*}" && echo "$$script" >"$$file" && chmod 644 "$$file" || exit 1; \
	done
ifneq ($(UNITDIR),)
	$(INSTALL) -d "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(USERUNITDIR)"
	sed 's|/usr/local/bin|$(BINDIR)|' dist/shareit@.service >"$(DESTDIR)$(UNITDIR)/shareit@.service"
	chmod 644 "$(DESTDIR)$(UNITDIR)/shareit@.service"
	for unit in $(USERUNITS); do \
	  sed 's|/usr/local/bin|$(BINDIR)|' "dist/$$unit" >"$(DESTDIR)$(USERUNITDIR)/$$unit" && \
	  chmod 644 "$(DESTDIR)$(USERUNITDIR)/$$unit" || exit 1; \
	done
endif

uninstall: ## remove what `make install` installed, with the same PREFIX and DESTDIR
	rm -f "$(DESTDIR)$(BINDIR)/shareit" "$(DESTDIR)$(BINDIR)/shareit-server"
	for page in $(PAGES); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; done
	for place in $(COMPLETIONS); do rm -f "$(DESTDIR)$${place#*:}"; done
ifneq ($(UNITDIR),)
	rm -f "$(DESTDIR)$(UNITDIR)/shareit@.service"
	for unit in $(USERUNITS); do rm -f "$(DESTDIR)$(USERUNITDIR)/$$unit"; done
endif

deb: $(if $(filter-out Server,$(SERVER)),,built) ## a Debian package of the programs, man pages and units; SERVER= and CLIENT= choose other programs
	@SERVER="$(SERVER)" CLIENT="$(CLIENT)" bash scripts/deb.sh .

static: ## programs that need no C library, in static/, for any Linux of this kind of processor
	@rustup target list --installed 2>/dev/null | grep -qx "$(MUSL)" || \
	  { echo "make: Rust cannot build for $(MUSL) here: run rustup target add $(MUSL)" >&2; exit 1; }
	$(CARGO) build --release --locked $(FEATURES) --target "$(MUSL)"
	@mkdir -p static
	@for b in Server Client; do \
	  cp "$(TARGET)/$(MUSL)/release/$$b" static/$$b.new && mv -f static/$$b.new static/$$b && \
	  bash scripts/is-static.sh static/$$b || exit 1; \
	done

# The same without optimisation, if that is possible here.
.PHONY: static-check
static-check:
	@if rustup target list --installed 2>/dev/null | grep -qx "$(MUSL)"; then \
	  CARGO_PROFILE_DEV_OPT_LEVEL=0 $(CARGO) build --locked --target "$(MUSL)" || exit 1; \
	  for b in Server Client; do bash scripts/is-static.sh "$(TARGET)/$(MUSL)/debug/$$b" || exit 1; done; \
	else \
	  echo "static programs are skipped: Rust cannot build for $(MUSL) here"; \
	fi

demo: build ## the narrated demo of four servers; DEMO_PAUSE=key waits for Enter at each step
	@bash scripts/demo.sh

servers: build ## start Server1 to Server4 of the .conf files in the background
	@bash scripts/servers.sh start

stop: ## end the servers that `make servers` started
	@bash scripts/servers.sh stop

# Most tests wait for other processes most of the time, so it takes several of them to keep a processor busy.
TEST = RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((4 * $$(nproc)))} $(CARGO) test --locked $(FEATURES)

test: ## every test; ARGS='...' is passed to cargo test
ifneq ($(ARGS),)
	$(TEST) $(ARGS)
else
	@# Unit tests take longer to optimise than to run as they are.
	CARGO_PROFILE_DEV_OPT_LEVEL=0 $(TEST) --lib
	$(TEST) --test '*' --examples
	$(TEST) --doc
endif

check: ## formatting, lints, every test, the documentation of the code, static programs if possible
	$(CARGO) fmt --check
	$(CARGO) clippy --locked -- -D warnings
	$(CARGO) clippy --all-targets --locked $(FEATURES) -- -D warnings
	$(MAKE) test
	@$(MAKE) --no-print-directory static-check
	@# The prompt that plain `cargo build` makes: the static programs have it.
	@plain="$(abspath $(TARGET))/$(MUSL)/debug/Client"; \
	if [ ! -x "$$plain" ]; then \
	  plain="$(abspath $(TARGET))/debug/Client-plain"; \
	  $(CARGO) build --locked && cp "$(TARGET)/debug/Client" "$$plain" || exit 1; \
	fi; \
	SHAREIT_CLIENT="$$plain" RUST_TEST_THREADS=$$((4 * $$(nproc))) \
	  $(CARGO) test --locked $(FEATURES) --test it -- scenarios_prompt
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

grade: built ## the course's grader on ShareIt; CLIENT= chooses another one, ARGS='...' is passed to it
	@SERVER="$(abspath $(SERVER))" CLIENT="$(abspath $(CLIENT))" python3 course/grade/grade.py course/grade/shareit.sh $(ARGS)

mutants: ## the programs whose faults the course's grader must find, each in all scenarios; the tests try only some
	python3 -B course/grade/mutants/check.py --all

deploy-check: built ## follow docs/DEPLOY.md on seven hosts in network namespaces, as root; each command is taken from the page
	@bash scripts/deploy-check.sh

chaos: ## random users and faults for a few minutes; CHAOS_SEED and CHAOS_OPERATIONS choose the run
	CHAOS_OPERATIONS=$${CHAOS_OPERATIONS:-2000} \
	  $(CARGO) test --locked $(FEATURES) --test it -- --nocapture nobody_has_seen

# What cargo-fuzz passes to the compiler, except the sanitizer, which needs a nightly Rust and would find little in a
# program without unsafe code: with this the fuzzer sees which code an input reaches. libFuzzer itself is C++; without a
# compiler for it, a test changes the kept inputs blindly.
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

bench: ## the benchmarks, in one table; ARGS='...' chooses parts, see benches/README.md
	$(CARGO) bench --locked $(FEATURES) --bench bench -- $(ARGS)

clean: ## remove what was built; the servers' files are kept
	$(CARGO) clean
	rm -rf Server Client Server.new Client.new static

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
