# Six words, the same here and in CI: build test lint bench fuzz clean.
#
# `make test` needs Python >= 3.11 and a C compiler; it makes its own environment in .venv.
# Another interpreter: make test PYTHON=python3.13 VENV=.venv-3.13
# More arguments for what runs: make test ARGS="-k utf8 -x", make bench ARGS="--loop asyncio"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SECONDS ?= 600
CC ?= cc
BIN = $(VENV)/bin
READY = $(VENV)/.ready

CFLAGS_LINT = -std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Werror -Iwsfast/include -Icsrc

.DEFAULT_GOAL := build
.PHONY: build test lint lint-c bench fuzz properties guards sanitize tsan valgrind \
  clean autobahn suites interop interop-deps wheel

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("wsfast needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.13")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	WSFAST_BUILD=no $(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# setup.py rebuilds what changed. The C core is required here: a checkout without it is no checkout.
build: $(READY)
	WSFAST_BUILD=yes $(BIN)/python setup.py --quiet build_ext --inplace

test: build
	WSFAST_EXPECT=c-scalar,zlib-ng,isal WSFAST_EXPECT_HOSTS=all $(BIN)/python -m pytest $(ARGS)

lint: $(READY) lint-c
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict wsfast

# Every compiler that is here; no output, only the warnings.
lint-c:
	set -e; for cc in gcc clang; do \
	  if command -v $$cc >/dev/null; then \
	    for file in csrc/*.c tests/fuzz/c/*.c tests/fuzz/threads.c; do \
	      $$cc $(CFLAGS_LINT) -c -o /dev/null $$file; \
	    done; \
	    echo "$$cc: csrc and tests/fuzz are free of warnings"; \
	  fi; \
	done

bench: build
	$(BIN)/wsfast bench $(ARGS)

# Every target of tests/fuzz for SECONDS each: an hour and three quarters on two cores. Needs clang with
# libFuzzer. A minute of it: make fuzz SECONDS=3; one target: make fuzz ARGS="--only c/mask"
fuzz: build
	$(BIN)/python -m pip install --quiet 'atheris>=3'
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) $(ARGS)

# The property tests with 20,000 examples each instead of 100; hypothesis, not guided by coverage.
properties: build
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=long --timeout=0 $(ARGS)

# Every guard against hostile peers taken out in turn: the tests of its row must turn red. One row:
# make guards ARGS=s03
guards: build
	$(BIN)/python tests/guards.py $(ARGS)

# The whole suite under ASan and UBSan, half an hour; the core and the extension in threads under
# TSan, a minute; tests of the codec under valgrind. All with gcc; ARGS goes to pytest.
sanitize: build
	$(BIN)/python tests/fuzz/sanitize.py asan $(ARGS)

tsan: build
	$(BIN)/python tests/fuzz/sanitize.py tsan $(ARGS)

valgrind: build
	$(BIN)/python tests/fuzz/sanitize.py valgrind $(ARGS)

autobahn: build
	$(BIN)/python tests/autobahn/run.py $(ARGS)

# The hosts' own tests with wsfast active, in environments of their own; four minutes, needs Debian's
# apt-get and GitHub. What CI runs of it: make suites ARGS=--ci; one host: make suites ARGS=wsproto
suites: build
	$(BIN)/python tests/hosts/suites.py --all-versions $(ARGS)

# The clients of tests/interop that `make test` does not install. The browser and the proxies come from
# the system: what is not there, and is skipped, is named with the Debian package that has it.
INTEROP_SYSTEM = chromium:chromium chromedriver:chromium-driver nginx:nginx-light haproxy:haproxy \
  apache2:apache2 caddy:caddy
interop-deps: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[interop]'
	npm install --silent --no-audit --no-fund --prefix tests/interop/clients
	@PATH=$$PATH:/usr/local/sbin:/usr/sbin:/sbin; for each in $(INTEROP_SYSTEM); do \
	  command -v $${each%:*} >/dev/null || \
	    echo "$${each%:*} is not here: apt-get install --no-install-recommends $${each#*:}"; \
	done

# The proxies alone: make interop ARGS="-k proxies", one of them: ARGS="-k nginx"
interop: build interop-deps
	$(BIN)/python -m pytest tests/interop $(ARGS)

wheel: $(READY)
	$(BIN)/python -m pip install --quiet build
	WSFAST_BUILD=yes $(BIN)/python -m build

# What the others made, but for the environments (.venv*).
clean:
	rm -rf build dist reports *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .benchmarks
	rm -f wsfast/*.so wsfast/cli/*.so wsfast/_*_c.c wsfast/_build_info.py
	find wsfast tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
