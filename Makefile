# Every target sets up .venv by itself from a bare python3.
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: demo run test check fmt clean

demo: .venv/ready
	$(PY) -m config.stack demo

run: .venv/ready
	$(PY) -m config.stack run

test: .venv/ready
	$(PY) -m pytest

check: .venv/ready
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy .
	$(PY) -m config.stack exec -- $(PY) manage.py check --deploy --fail-level WARNING
	$(PY) -m config.stack exec -- $(PY) manage.py makemigrations --check --dry-run
	.venv/bin/lint-imports

fmt: .venv/ready
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.venv/ready: pyproject.toml uv.lock
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade "uv>=0.8"
	$(PY) -m uv sync --frozen --inexact --quiet
	touch $@

clean:
	rm -rf .venv var
