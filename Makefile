# Each target sets up what it needs on a bare Debian 12 (system packages when root, a virtual
# environment in .venv, the native build) and costs next to nothing when that is already there.

PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=
# Test data from outside of the repository; the tests that want it are skipped without it.
OCI_CASES ?= $(abspath $(wildcard ../shared/oci))
VM ?= $(abspath $(wildcard ../shared/vm/run-in-vm))
# Arguments for pytest: make test PYTEST="-k seccomp -x"
PYTEST ?=

VENV := .venv
PY := $(CURDIR)/$(VENV)/bin/python
LIBDIR := $(PREFIX)/lib/pycontainer
COMMAND := build/pycontainer
# As it is installed: a small C program (csrc/launcher/front.c), beside it an interpreter with the
# package inside, and a snapshot of that after its start, built anew when a module changes.
FAST := build/fast/pycontainer

SYSTEM := gcc make libc6-dev libpython3-dev python3-venv libseccomp2
SYSTEM_TEST := runc crun busybox-static debootstrap strace procps
SYSTEM_ENGINES := podman conmon containerd docker.io tini criu iptables
SYSTEM_LINT := clang

C_LINT := -std=gnu11 -Wall -Wextra -Werror -fsyntax-only

export PYCONTAINER_OCI_CASES := $(OCI_CASES)
export PYCONTAINER_VM := $(VM)
# What tests call: as it is installed. (pytest without make takes the script, which is always fresh.)
export PYCONTAINER_COMMAND ?= $(FAST)

.DEFAULT_GOAL := help
.PHONY: help build demo test test-unit test-vm test-engines conformance lint format bench install uninstall clean system

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: system $(VENV)/run.done ## build the command build/pycontainer in this checkout
	@$(MAKE) -s --no-print-directory $(COMMAND)
	@$(MAKE) -s --no-print-directory -C csrc PYTHON=$(PY)
	@$(MAKE) -s --no-print-directory $(FAST)-python.snapshot $(FAST)

demo: build ## run a first container, and show its plan
	@PATH="$(CURDIR)/build:$$PATH" sh docs/demo.sh

# With PYTEST only what that chooses runs, and here alone.
test: build test-needs ## run all tests (root for most of them), some again in a virtual machine
	@PYTHON=$(PY) tools/run-tests $(PYTEST)
	$(if $(PYTEST),,@tools/test-vm)

test-vm: build $(VENV)/test.done ## run the tests of cgroup v2, systemd and its users, in a virtual machine
	@SUITE_AFTERWARDS=1 tools/test-vm $(PYTEST)

test-engines: build test-needs ## run Podman, containerd and Docker on it, and write the table of that
	@tools/system-packages $(SYSTEM_ENGINES)
	$(PY) conformance/clients/report.py

test-unit: build $(VENV)/test.done ## run the tests that need no root
	$(PY) -m pytest tests/unit $(PYTEST)

lint: build lint-needs ## ruff, mypy, and both C compilers' warnings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy
	for cc in gcc clang; do \
		$$cc $(C_LINT) -ffreestanding $(wildcard csrc/executor/*.c csrc/launcher/front*.c csrc/launcher/bare*.c) || exit; \
		$$cc $(C_LINT) $(wildcard csrc/shim/*.c csrc/launcher/snapshot*.c) || exit; \
	done

format: lint-needs ## sort imports and lay out the Python code
	$(PY) -m ruff check --quiet --fix --select I .
	$(PY) -m ruff format --quiet .

# Reports of the same tests on other machines, as pytest's --junitxml writes them; those in
# build/reports (make test-vm leaves one) are read in any case.
REPORTS ?=
conformance: build test-needs ## say which clauses of the specification are proven
	$(PY) conformance/report.py $(addprefix --also ,$(REPORTS))

bench: build test-needs ## measure against the runtimes of this machine (QUICK=1: fewer rounds)
	$(PY) benchmarks/run.py $(if $(QUICK),--quick)

install: build ## install to PREFIX (/usr/local), below DESTDIR if set
	rm -rf $(DESTDIR)$(LIBDIR)
	mkdir -p $(DESTDIR)$(LIBDIR) $(DESTDIR)$(PREFIX)/bin
	$(PY) tools/vendor.py $(DESTDIR)$(LIBDIR)
	cp -R pycontainer $(DESTDIR)$(LIBDIR)/
	find $(DESTDIR)$(LIBDIR)/pycontainer -name __pycache__ -prune -exec rm -rf {} +
	$(PY) -m compileall -q --invalidation-mode unchecked-hash -s "$(DESTDIR)" $(DESTDIR)$(LIBDIR)
	$$($(BASE_PYTHON)) tools/fast.py --destdir "$(DESTDIR)" \
		$(DESTDIR)$(LIBDIR)/pycontainer-python $(LIBDIR)
	$(MAKE) -s -C csrc front FRONT=$(abspath $(DESTDIR)$(PREFIX))/bin/pycontainer \
		INTERPRETER=$(LIBDIR)/pycontainer-python
	$(MAKE) -s -C csrc $(CURDIR)/build/native/bare_start
	cp build/native/bare_start $(DESTDIR)$(LIBDIR)/
	$(if $(DESTDIR),,$(MAKE) -s -C csrc snapshot INTERPRETER=$(LIBDIR)/pycontainer-python)

uninstall: ## remove what `make install` put there
	rm -rf $(DESTDIR)$(LIBDIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/pycontainer

clean: ## remove everything that was built
	$(MAKE) -s -C csrc clean PYTHON=$(PYTHON)
	rm -rf build dist *.egg-info $(VENV)
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- what the targets stand on ---

# The real interpreter behind the virtual environment, with its version in the name: an upgrade of
# Python must not give us one that our modules were not built for.
BASE_PYTHON = $(PY) -c 'import os, sys; print(os.path.realpath(sys._base_executable))'

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
	@echo $(CURDIR) > $$($(SITE_PACKAGES))/pycontainer-checkout.pth
	@touch $@

SITE_PACKAGES = $(PY) -c 'import sysconfig; print(sysconfig.get_path("platlib"))'

$(COMMAND): Makefile tools/launcher.py $(VENV)/run.done
	@mkdir -p $(@D)
	@$(PY) tools/launcher.py "$$($(BASE_PYTHON))" $(CURDIR) "$$($(SITE_PACKAGES))" > $@.new
	@chmod 755 $@.new
	@mv $@.new $@

$(FAST): $(wildcard csrc/launcher/front*.[ch]) csrc/launcher/snapshot.h csrc/executor/memory.c \
		csrc/executor/sys.h csrc/Makefile | $(FAST)-python
	@$(MAKE) -s -C csrc front FRONT=$(CURDIR)/$@ INTERPRETER=$(CURDIR)/$@-python

$(FAST)-python: tools/fast.py tools/launcher.py tools/image.py tools/embed.py tools/boot.py \
		csrc/launcher/interpreter.c $(wildcard csrc/launcher/snapshot*) $(shell find pycontainer -name '*.py') $(VENV)/run.done
	@$$($(BASE_PYTHON)) tools/fast.py $@ $(CURDIR) "$$($(SITE_PACKAGES))"

$(FAST)-python.snapshot: $(FAST)-python csrc/launcher/bare_start.c csrc/Makefile pycontainer/_shim.abi3.so
	@$(MAKE) -s -C csrc snapshot INTERPRETER=$(CURDIR)/$(FAST)-python
