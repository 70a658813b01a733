# Each target sets up what it needs on a bare Debian 12 (system packages when root, a virtual
# environment in .venv, the native build) and costs next to nothing when that is already there.

PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=
# Test data from outside of the repository; the tests that want it are skipped without it.
OCI_CASES ?= $(abspath $(wildcard ../shared/oci))
VM ?= $(abspath $(wildcard ../shared/vm/run-in-vm))
DISTRO ?= $(abspath $(wildcard ../shared/distro/run-in-distro))
# Of Debian, for test-distro.
RELEASE ?= trixie
TESTS ?= tests/unit tests/lifecycle
# Arguments for pytest: make test PYTEST="-k seccomp -x"
PYTEST ?=

VENV := .venv
PY := $(VENV)/bin/python
LIBDIR := $(PREFIX)/lib/pycontainer
COMMAND := build/pycontainer
# As it is installed: a small C program (csrc/launcher/front.c), beside it a snapshot of Python after its
# start (csrc/launcher/snapshot.h), built anew when a module changes.
FAST_DIR := build/fast
FAST := $(FAST_DIR)/pycontainer
SHIM := containerd-shim-pycontainer-v2

SYSTEM := gcc make libc6-dev libpython3-dev python3-venv libseccomp2
SYSTEM_TEST := runc crun busybox-static debootstrap strace procps zsh fish man-db
SYSTEM_ENGINES := podman conmon containerd docker.io tini criu iptables
SYSTEM_LINT := clang clang-format

C_LINT := -std=gnu11 -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror -fsyntax-only
# Lets system calls fail, in tests; made here for machines without a compiler.
INJECT := build/tests/inject
# What is compiled without a C library, and what the parent uses; generated files are left out.
C_FREE := $(wildcard csrc/executor/*.c csrc/launcher/*.c csrc/waiter/*.c)
C_LIBC := $(wildcard csrc/shim/*.c csrc/containerd/*.c csrc/sanitizer/*.c benchmarks/*.c)
C_STYLE := $(filter-out %/plan_ops.h,$(wildcard csrc/*/*.[ch] tests/faults/*.c benchmarks/*.[ch]))

export PYCONTAINER_OCI_CASES := $(OCI_CASES)
export PYCONTAINER_VM := $(VM)
export PYCONTAINER_DISTRO := $(DISTRO)
# What tests call: as it is installed. (pytest without make takes the script, which is always fresh.)
export PYCONTAINER_COMMAND ?= $(FAST)

STAGE = "$(DESTDIR)$(LIBDIR).new"
BIN = "$(DESTDIR)$(PREFIX)/bin"

.DEFAULT_GOAL := help
.PHONY: help build install-files deb release demo test test-unit check fuzz sanitize sweep test-vm test-distro test-engines conformance lint format bench soak install uninstall clean system

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: system $(VENV)/run.done ## build the command build/pycontainer in this checkout
	@$(COMMIT)
	@$(MAKE) -s --no-print-directory $(COMMAND)
	@$(MAKE) -s --no-print-directory -C csrc PYTHON="$(CURDIR)/$(PY)"
	@$(MAKE) -s --no-print-directory -C csrc containerd-shim CONTAINERD_SHIM=../$(FAST_DIR)/$(SHIM)
	@$(MAKE) -s --no-print-directory $(FAST_DIR)/snapshot/made $(FAST)

demo: build ## run a first container, and show its plan
	@PATH="$(CURDIR)/build:$$PATH" sh docs/demo.sh

# With PYTEST only what that chooses runs, and here alone.
test: build test-needs $(INJECT) ## run all tests (root for most of them), some again in a virtual machine
	@$(PY) tools/run-tests $(PYTEST)
	$(if $(PYTEST),,@tools/test-vm)

test-vm: build $(VENV)/test.done $(INJECT) ## run the tests of cgroup v2, systemd and its users, in a virtual machine
	@SUITE_AFTERWARDS=$(if $(SUITE_PARTS),,1) tools/test-vm $(PYTEST)

test-distro: ## run the demo and TESTS on a bare Debian (RELEASE=trixie)
	@tools/test-distro $(RELEASE) $(TESTS)

# KIND="address -k life" runs one kind, and of that what pytest is told.
sanitize: build test-needs ## run tests with the C code built with sanitizers
	$(if $(KIND),,tools/sanitize undefined)
	tools/sanitize $(or $(KIND),address)

# SECONDS=600 for longer, SEED=7 for the same inputs again, INPUT=FILE for one that has failed,
# TARGETS="dbus state" for some of tests/fuzz/targets.py.
SECONDS ?= 60
fuzz: build test-needs ## feed damaged input to whatever reads what others have written
	$(PY) -m tests.fuzz.run --seconds $(SECONDS) $(addprefix --seed ,$(SEED)) $(addprefix --input ,$(INPUT)) $(TARGETS)

# For example SWEEP="--sample 500 create run"; see tests/faults/points.py.
sweep: build test-needs ## let every system call of every command fail, or kill it there
	$(PY) -m tests.faults.sweep $(SWEEP)

test-engines: build test-needs ## run Podman, containerd and Docker on it, and write the table of that
	@tools/system-packages $(SYSTEM_ENGINES)
	$(PY) conformance/clients/report.py

test-unit: build $(VENV)/test.done ## run the tests that need no root
	$(PY) -m pytest tests/unit $(PYTEST)

check: build lint-needs $(VENV)/test.done ## the fast loop: lint, types and the quick tests, under a minute
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy
	@$(PY) -m pytest -q -n 4 --dist worksteal -m "not slow and not alone" tests/unit

lint: build lint-needs ## ruff, mypy, warnings of both C compilers, gcc's analyzer, C layout
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy
	for cc in gcc clang; do \
		$$cc $(C_LINT) -ffreestanding $(C_FREE) || exit; \
		$$cc $(C_LINT) $(C_LIBC) || exit; \
	done
	for file in $(C_FREE); do \
		gcc -std=gnu11 -O1 -fanalyzer -Werror -ffreestanding -c -o /dev/null $$file || exit; \
	done
	clang-format --dry-run -Werror $(C_STYLE)

format: lint-needs ## sort imports and lay out the code
	$(PY) -m ruff check --quiet --fix --select I .
	$(PY) -m ruff format --quiet .
	clang-format -i $(C_STYLE)

# Reports of the same tests on other machines, as pytest's --junitxml writes them; those in
# build/reports (make test-vm leaves one) are read in any case.
REPORTS ?=
conformance: build test-needs ## say which clauses of the specification are proven
	$(PY) conformance/report.py $(addprefix --also ,$(REPORTS))

bench: build test-needs ## measure against the runtimes of this machine (QUICK=1: fewer rounds)
	$(PY) benchmarks/run.py $(if $(QUICK),--quick)

soak: build ## fill the machine with 1,200 containers: time, memory and kernel objects of each step
	$(PY) benchmarks/soak.py $(SOAK)

install: build ## install to PREFIX (/usr/local), below DESTDIR if set
	@umask 022 && $(MAKE) -s --no-print-directory install-files

# Complete beside the old one, then in its place: commands go on meanwhile.
install-files:
	rm -rf $(STAGE)
	mkdir -p $(STAGE) $(BIN)
	$(PY) tools/vendor.py $(VENDOR) $(STAGE)
	cp -R pycontainer $(STAGE)/
	find $(STAGE) -name __pycache__ -prune -exec rm -rf {} +
	$(PY) -m compileall -q --invalidation-mode unchecked-hash -s $(STAGE) -p "$(LIBDIR)" $(STAGE)
	$(PY) tools/launcher.py --destdir $(STAGE) --snapshot "$(LIBDIR)" $(RUN_PYTHON) $(RUN_PATHS)
	chmod -R u=rwX,go=rX $(STAGE)
	$(PY) tools/exchange.py $(STAGE) "$(DESTDIR)$(LIBDIR)"
	$(MAKE) -C csrc front FRONT="$$(realpath -ms $(BIN))/pycontainer" DIRECTORY="$(LIBDIR)"
	cp $(FAST_DIR)/$(SHIM) $(BIN)/$(SHIM).new
	mv $(BIN)/$(SHIM).new $(BIN)/$(SHIM)
	$(PY) tools/share.py "$(DESTDIR)$(PREFIX)/share"
	$(if $(DESTDIR),,"$(LIBDIR)/make-snapshot")

deb: build ## make a Debian package in dist/
	@rm -rf build/deb
	@umask 022 && $(MAKE) -s --no-print-directory install-files DESTDIR=build/deb PREFIX=/usr \
		VENDOR="--without cffi --without rpds-py" RUN_PYTHON=/usr/bin/python3 \
		RUN_PATHS="/usr/lib/pycontainer /usr/lib/python3/dist-packages"
	@SOURCE_DATE_EPOCH=$(EPOCH) tools/make-deb build/deb dist

release: build $(VENV)/test.done ## make and check the sdist, the wheel and the Debian package
	$(PY) tools/release.py dist

uninstall: ## remove what `make install` put there
	rm -rf "$(DESTDIR)$(LIBDIR)"
	rm -f $(BIN)/pycontainer $(BIN)/$(SHIM)
	cd "$(DESTDIR)$(PREFIX)/share" && rm -f man/man1/pycontainer.1 man/man1/pycontainer-*.1 \
		man/man5/pycontainer-config.5 bash-completion/completions/pycontainer \
		zsh/site-functions/_pycontainer fish/vendor_completions.d/pycontainer.fish

clean: ## remove everything that was built
	$(MAKE) -s -C csrc clean PYTHON=$(PYTHON)
	rm -rf build dist *.egg-info $(VENV)
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- what the targets stand on ---

$(INJECT): tests/faults/inject.c
	@mkdir -p $(@D)
	@$(CC) -O2 -Wall -Wextra -o $@ $<

# The real interpreter behind the virtual environment, with its version in the name: an upgrade of
# Python must not give us one that our modules were not built for.
BASE_PYTHON = $(PY) -c 'import os, sys; print(os.path.realpath(sys._base_executable))'

# What --version says: the commit of this checkout. An sdist brings the file along.
COMMIT = [ ! -e .git ] || { git describe --always --abbrev=12 --dirty --exclude='*' > pycontainer/COMMIT.new 2>/dev/null && \
	{ cmp -s pycontainer/COMMIT.new pycontainer/COMMIT || cp pycontainer/COMMIT.new pycontainer/COMMIT; }; \
	rm -f pycontainer/COMMIT.new; }

# What an installation runs with, and where that finds modules.
RUN_PYTHON = "$$($(BASE_PYTHON))"
RUN_PATHS = "$(LIBDIR)"
VENDOR =

# Of the last commit: packages of the same source are the same, byte for byte.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || date +%s))

system:
	@tools/system-packages $(SYSTEM)

.PHONY: test-needs lint-needs
test-needs: $(VENV)/test.done
	@tools/system-packages $(SYSTEM_TEST)

lint-needs: $(VENV)/lint.done
	@tools/system-packages $(SYSTEM_LINT)

$(VENV)/bin/python: | system
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# "run" is what the command itself needs; each extra adds to it. The .pth file makes the checkout
# importable by this environment, from every directory.
$(VENV)/run.done $(VENV)/test.done $(VENV)/lint.done: $(VENV)/%.done: pyproject.toml \
		| $(VENV)/bin/python
	@echo "installing into $(VENV): what pyproject.toml names ($*)"
	@$(PY) tools/requirements.py $(filter-out run,$*) > $(VENV)/$*.txt
	@$(PY) -m pip install -q --disable-pip-version-check --root-user-action=ignore \
		-r $(VENV)/$*.txt
	@echo "$(CURDIR)" > "$$($(SITE_PACKAGES))/pycontainer-checkout.pth"
	@touch $@

SITE_PACKAGES = $(PY) -c 'import sysconfig; print(sysconfig.get_path("platlib"))'

$(COMMAND): Makefile tools/launcher.py $(VENV)/run.done
	@$(PY) tools/launcher.py $(COMMAND) "$$($(BASE_PYTHON))" "$(CURDIR)" "$$($(SITE_PACKAGES))"

$(FAST): $(wildcard csrc/launcher/*.[ch]) csrc/executor/memory.c csrc/executor/sys.h csrc/Makefile
	@$(MAKE) -s -C csrc front FRONT=../$@ DIRECTORY="$(CURDIR)/$(FAST_DIR)"

$(FAST_DIR)/make-snapshot: Makefile tools/launcher.py $(VENV)/run.done
	@$(PY) tools/launcher.py --snapshot "$(CURDIR)/$(FAST_DIR)" "$$($(BASE_PYTHON))" "$(CURDIR)" "$$($(SITE_PACKAGES))"

$(FAST_DIR)/snapshot/made: $(FAST_DIR)/make-snapshot $(shell find pycontainer -name '*.py') \
		pycontainer/_shim.abi3.so pycontainer/executor.bin $(wildcard pycontainer/snapshot/*.bin) pycontainer/lifecycle/waiter.bin \
		pycontainer/lifecycle/attendant.bin
	@$(PY) -m compileall -q pycontainer  # what is compiled on the way lies between the modules
	@./$<
	@touch $@
