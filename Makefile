# Every target sets up .venv by itself from a bare python3.
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: demo chaos run test check rules fmt clean

demo: .venv/ready
	$(PY) -m config.stack demo

# make chaos CHAOS="--orders 2000 --seconds 220 --seed 7"
chaos: .venv/ready
	$(PY) -m config.stack chaos $(CHAOS)

run: .venv/ready
	$(PY) -m config.stack run

test: .venv/ready
	$(PY) -m pytest

check: rules test

rules: .venv/ready
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m config.stack exec -- sh -ec ' \
		$(PY) -m mypy .; \
		ORDERLY_LOCAL=0 ALLOWED_HOSTS=shop.example.com $(PY) manage.py check --deploy --fail-level WARNING; \
		$(PY) manage.py makemigrations --check --dry-run'
	.venv/bin/lint-imports

fmt: .venv/ready
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.venv/ready: pyproject.toml uv.lock
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade "uv>=0.8"
	$(PY) -m uv sync --frozen --inexact --compile-bytecode --quiet
	touch $@

clean:
	rm -rf .venv var
