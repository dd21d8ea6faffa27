# What one does with coheap, one word each; `make help` lists them.
#
# Needed: make, a Rust toolchain, Python 3.11 or later with venv and pip, a C linker. PYTHON=
# chooses the interpreter. What passed is not run again until a source, a tool or this file
# changes, or a variable that chooses what they run; `make -B test` runs everything anyway.

PYTHON ?= python3
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
PASSED := target/passed

export PYTHON
export PYO3_PYTHON = $(PYTHON)
export PYTHONDONTWRITEBYTECODE = 1

# What the tests depend on: files and, so that a deleted file counts as a change, folders.
# (docs/ and python/ with a slash: without, make takes them for the words below.)
SOURCES := $(shell find Cargo.toml Cargo.lock Makefile README.md crates docs/ examples \
	-not -path '*/target/*' -not -path '*/.*' -not -name '*.so' 2>/dev/null)

WHEEL_SOURCES := $(SOURCES) pyproject.toml scripts/wheel_backend.py $(shell find python/coheap \
	-not -name '*.so' -not -path '*/__pycache__*')
PYTHON_TESTS := $(shell find python/tests -not -path '*/.*' -not -path '*/__pycache__*')
VENV := target/venv
VENV_PYTHON := $(VENV)/bin/python
# The checkers of types are pinned: another version finds other things.
PYTHON_TOOLS := "maturin>=1.14,<2" pytest pytest-timeout hypothesis numpy pandas polars pyarrow gunicorn apscheduler mypy==2.4.1 "pyright[nodejs]==1.1.414"

# What `make test` runs, in this order. Every suite is run by RAN under its name, which fails when
# nothing ran and counts what was skipped; docs/testing.md lists them all.
TESTED := tidy suites bench faces compare steps failpoints churn soak loom sim defects python smoke
STAMPED := $(filter-out tidy suites bench,$(TESTED))
RAN := $(PYTHON) scripts/suites/ran.py

TEST := $(CARGO) test --locked
TEST_ENGINE := $(TEST) --package coheap-core
TEST_HOSTILE := --locked --package coheap-core --test hostile
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# The build that checks whose word it is: at wakes and at swaps of locks, cells and turns.
PARANOID := --features paranoid
CHURN := $(TEST_ENGINE) $(PARANOID) --test churn
SOAK := $(TEST_ENGINE) $(PARANOID) --test soak
SWEEP := $(TEST) --release --package coheap-core --features failpoints
CLIPPY := $(CARGO) clippy --locked --workspace --all-targets
CLIPPY_FEATURES := $(CARGO) clippy --locked --package coheap-core --all-targets --all-features
# Without the tests, whose feature `floors` shows more of the engine than a face may see.
CLIPPY_SEAM := $(CARGO) clippy --locked --workspace

.DEFAULT_GOAL := help
.PHONY: demo test check fmt lint bench python pythons typing wheel loom sim crash torture churn soak hostile stdlib docs \
	help tidy FORCE

demo: $(PASSED)/wheel ## run the main job: count words in many processes while they are killed
	$(VENV)/bin/coheap demo $(DEMO)
	$(VENV)/bin/coheap demo --python $(DEMO)
	$(VENV)/bin/coheap demo --python --compare $(DEMO)

test: $(PASSED)/tools tidy $(STAMPED:%=$(PASSED)/%) typing ## pass the tests
	@$(RAN) --show $(TESTED)
	@echo "all tests have passed since the last change (make -B test runs them again)"

check: ## what a commit has to pass: formatting, lints, tests
	$(CARGO) fmt --all --check
	$(MAKE) lint
	$(MAKE) test

fmt: ## format the Rust code
	$(CARGO) fmt --all

lint: tidy ## clippy, with warnings as errors, and the house rules
	$(CLIPPY) -- -D warnings
	$(CLIPPY_FEATURES) -- -D warnings
	$(CLIPPY_SEAM) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --no-deps

ifdef BASE
bench: $(PASSED)/tools
	$(PYTHON) bench/compare "$(BASE)" $(COMPARE)
else
bench: $(PASSED)/tools $(PASSED)/wheel ## measure against the peers, or against a commit: make bench BASE=main
	$(VENV_PYTHON) -m pip install --quiet lmdb UltraDict || echo "peers that are missing are named in the table"
	@missed=0; (cd bench && $(CARGO) run --locked --release) || missed=1; \
		$(VENV_PYTHON) bench/python || missed=1; \
		exit $$missed # after both: a figure that one misses does not keep the other from being measured
endif

python: $(PASSED)/python ## build the Python package into target/venv and test it

wheel: $(PASSED)/wheel ## build the wheel into target/wheels and try it in a fresh environment
	$(PYTHON) scripts/try_wheel.py target/wheels/coheap-*.whl
	$(PYTHON) scripts/abi3t.py

pythons: $(PASSED)/python $(PASSED)/pythons ## the same on each supported Python; PYTHONS= says where they are

typing: $(PASSED)/typing ## hold the stubs against the module (stubtest), and check types (pyright)

loom: $(PASSED)/loom ## run the protocols of the lock words through their interleavings (loom)

sim: $(PASSED)/sim ## run the engine on the pretend machine

crash: $(PASSED)/tools ## die at every single store of every operation: the whole sweep
	$(RAN) crash-whole -- $(SWEEP) --test crash -- --ignored --nocapture
	$(RAN) steps-whole -- $(TEST_ENGINE) --release --test steps -- --ignored --nocapture

torture: $(PASSED)/tools ## kill real processes, thousands of times
	$(RAN) torture-whole -- $(SWEEP) --test torture -- --ignored --nocapture
	$(RAN) history-whole -- $(SWEEP) --test history -- --ignored --nocapture
	$(RAN) claims-whole -- $(TEST) --release --test claim --test run -- --ignored --nocapture
	$(RAN) writers-whole -- $(TEST) --release --package coheap --test writers -- --ignored --nocapture

churn: $(PASSED)/tools ## run random programs over all objects, in many small heaps, for ten minutes
	$(RAN) churn-whole -- $(CHURN) -- --ignored --nocapture

soak: $(PASSED)/tools ## use one heap for twenty minutes, under kills: what it costs comes back
	$(RAN) soak-whole -- $(SOAK) -- --ignored --nocapture

# The address sanitizer needs a nightly compiler, and address space that the tests would refuse.
hostile: $(PASSED)/tools ## damage every byte of a small heap, one after the other
	$(RAN) hostile-whole -- $(CARGO) test --release $(TEST_HOSTILE) -- --ignored --nocapture
	@if $(CARGO) +nightly --version >/dev/null 2>&1; then \
		echo "and the samples once more, under the address sanitizer"; \
		COHEAP_ANY_MEMORY=1 ASAN_OPTIONS=allocator_may_return_null=1 RUSTFLAGS=-Zsanitizer=address \
			$(RAN) hostile-sanitized -- $(CARGO) +nightly test $(TEST_HOSTILE) --target $(HOST); \
	else echo "SKIPPED hostile-sanitized: there is no nightly compiler"; fi

stdlib: ## run the tests that Python has for multiprocessing; PYTHONS= says of which
	$(PYTHON) python/tests/stdlib/run.py $(PYTHONS:%=--python %) $(STDLIB)

docs: ## build the Rust documentation
	$(CARGO) doc --locked --no-deps

help: ## list these
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

# What chooses the tests of a suite, and the interpreters that are found: what passed with another
# choice has not passed with this one.
CHOSEN_rust = $(PROPTEST_CASES) $(COHEAP_SEED) $(COHEAP_CHURN) $(COHEAP_CHURN_SECONDS) $(COHEAP_SOAK_SECONDS) \
	$(LOOM_MAX_PREEMPTIONS) $(DEFECT)
CHOSEN_python = $(PYTEST) $(PYTHONS) $(wildcard $(HOME)/.pyenv/versions/*) \
	$(foreach minor,11 12 13 14 15,$(shell command -v python3.$(minor)))

# What passed, passed as it was when the test began: a file saved meanwhile is newer than that.
BEGIN = @touch $@.began
PASS = @mv $@.began $@

# The house rules, the tests of the script that keeps them, and those of `make bench BASE=`.
tidy: $(PASSED)/tools
	$(PYTHON) scripts/tidy.py
	$(RAN) tidy -- $(PYTHON) -m unittest discover --quiet --start-directory scripts
	$(RAN) suites -- $(PYTHON) -m unittest discover --quiet --start-directory scripts/suites
	$(RAN) bench -- $(PYTHON) -m unittest discover --quiet --start-directory bench/compare

$(PASSED)/faces: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) faces -- $(TEST)
	$(PASS)

$(PASSED)/compare: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) compare -- $(TEST) --package coheap-cli --features compare --test demo comparison
	$(PASS)

$(PASSED)/failpoints: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) failpoints -- $(TEST_ENGINE) --features failpoints
	$(PASS)

$(PASSED)/churn: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) churn -- $(CHURN)
	$(PASS)

$(PASSED)/soak: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) soak -- $(SOAK)
	$(PASS)

$(PASSED)/steps: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) steps -- $(TEST_ENGINE) --test steps
	$(PASS)

# Other flags than everybody's: a target folder of their own, so that nothing else is built anew.
$(PASSED)/loom: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(TARGET)/loom $(RAN) loom -- \
		$(TEST_ENGINE) --test loom
	$(PASS)

$(PASSED)/sim: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	RUSTFLAGS="--cfg sim" CARGO_TARGET_DIR=$(TARGET)/sim $(RAN) sim -- \
		$(TEST_ENGINE) --features failpoints --test sim
	$(PASS)

$(PASSED)/defects: $(SOURCES) $(PASSED)/tools $(PASSED)/chosen-rust
	$(BEGIN)
	$(RAN) defects -- $(TEST_ENGINE) --features defects --test defects
	$(PASS)

# The package is installed as users have it, from a wheel, so that nothing is written beside the
# sources; pytest runs where it finds the installed one first.
$(PASSED)/python: $(PASSED)/wheel $(PYTHON_TESTS) $(PASSED)/chosen-python
	$(BEGIN)
	$(RAN) python -- $(VENV_PYTHON) -m pytest --quiet -rs $(PYTEST)
	$(PASS)

$(PASSED)/pythons: $(PASSED)/python $(PASSED)/chosen-python scripts/pythons.py
	$(BEGIN)
	$(RAN) pythons -- $(PYTHON) scripts/pythons.py target/wheels --tested $(VENV_PYTHON) $(PYTEST)
	$(PASS)

# What differs between versions, on those that are not tested whole.
$(PASSED)/smoke: $(PASSED)/python $(PASSED)/chosen-python scripts/pythons.py
	$(BEGIN)
	$(RAN) smoke -- $(PYTHON) scripts/pythons.py target/wheels --tested $(VENV_PYTHON) --smoke $(PYTEST)
	$(PASS)

$(PASSED)/typing: $(PASSED)/wheel $(wildcard scripts/*.py)
	$(BEGIN)
	$(VENV)/bin/stubtest coheap
	$(VENV)/bin/pyright
	$(PASS)

# The program `coheap` first: it is a script of the wheel.
$(PASSED)/wheel: $(WHEEL_SOURCES) $(VENV)/made
	$(BEGIN)
	$(PYTHON) scripts/wheel_backend.py
	rm -f target/wheels/coheap-*.whl
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin build --release --out target/wheels \
		--interpreter $(VENV_PYTHON) --quiet
	$(VENV_PYTHON) -m pip install --quiet --no-deps --force-reinstall target/wheels/coheap-*.whl
	$(PASS)

# Made anew for another interpreter, and for other tools in this file. maturin wants the folder of
# scripts, even an empty one.
$(VENV)/made: $(PASSED)/tools Makefile
	mkdir -p target/coheap.data/scripts
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check $(PYTHON_TOOLS)
	@touch $@

# Always looked at; written, and so newer than what passed, only when a tool is another one.
$(PASSED)/tools: FORCE | $(PASSED)
	@scripts/tools.sh > $@.now
	@cmp -s $@.now $@ || cp $@.now $@

$(PASSED):
	@mkdir -p $@

# The same of what is chosen.
$(PASSED)/chosen-%: FORCE | $(PASSED)
	@: $(file >$@.now,$(CHOSEN_$*))
	@cmp -s $@.now $@ || cp $@.now $@
