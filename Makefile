# Everything is also `python -m ...`; this file only puts the venv and the steps together.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install run test bench fuzz status stop logs clean images up down drill drill-ci lint lock

PYTHON := .venv/bin/python
# Tests wait for servers more than they compute: more workers than cores.
TEST_WORKERS ?= 4
FUZZ_SECONDS ?= 60
STACK := $(PYTHON) -m stack

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14

install: ## install what is missing: Debian packages, the venv, the locked libraries
	@/usr/bin/python3 -m stack.install

run: install ## start everything, sell 60 seats to 120 buyers, show the walk of one sale; the stack stays up
	@$(STACK) up
	@$(STACK) demo

test: install ## all tests, with the real servers that they need
	@$(PYTHON) -m pytest -n $(TEST_WORKERS)

bench: install ## every goal of performance, ours beside its peer or ceiling (see docs/performance.md); some 30 minutes
	@$(PYTHON) -m bench.install
	@$(PYTHON) -m bench all --write

fuzz: install ## a minute of coverage-guided fuzzing for each target (FUZZ_SECONDS)
	@$(PYTHON) -m pip install --quiet --require-hashes --only-binary :all: -r requirements-fuzz.txt
	@$(PYTHON) -m tests.fuzz run --seconds $(FUZZ_SECONDS)

status: .venv ## each process, each hop's backlog and lag
	@$(STACK) status

stop: .venv ## end every process; data stays
	@$(STACK) stop

logs: .venv ## follow the logs
	@$(STACK) logs --follow

clean: .venv ## stop, and remove the data
	@$(STACK) clean

images: install ## the images of the topology, and the Docker engine where there is none
	@$(PYTHON) -m drills.engine

up: install ## the whole topology, every part at least twice, by docker compose (see docs/operations.md)
	@$(PYTHON) -m drills.engine up --detach

down: .venv ## end the topology; `docker volume` keeps the data
	@$(PYTHON) -m drills.engine --profile drills down

drill: install ## every failover drill, with a verdict and a report; some 45 minutes
	@$(PYTHON) -m drills all

drill-ci: install ## one drill of each kind, some twelve minutes
	@$(PYTHON) -m drills all --ci --tries 2

lint: install ## ruff, mypy --strict, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

lock: .venv ## resolve the locks anew from pyproject.toml
	@$(PYTHON) -m stack.lock

.venv:
	@echo "there is no .venv: \`make install\` makes it" >&2; exit 1
