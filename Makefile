# Every target sets up .venv by itself from a bare python3. For another Python: make unit PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
NEWER ?= python3.13
PY := $(VENV)/bin/python
# A user such as nobody, or a service's, has no home to keep caches in. uv ends with an error there.
WITHOUT_HOME := $(shell test -w "$$HOME" || echo UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1)

.PHONY: demo chaos bench run test unit newer profiles check rules deployment docs release-check fmt messages clean

# A real day of orders on a shop that is thrown away, three workers killed on the way, and an audit: a minute at most.
demo: $(VENV)/ready
	$(PY) -m lab.stack demo

# Thousands of orders while processes die and neighbours fall sick, on a shop that is thrown away: five minutes.
# make chaos CHAOS="--orders 2000 --seconds 220 --seed 7 --without locked-row"; CHAOS=--help lists all there is
chaos: $(VENV)/ready
	$(PY) -m lab.stack chaos $(CHAOS)

# The speed beside two simpler designs, on shops that are thrown away: five minutes.
# make bench BENCH="--scenarios abcdeghf --rounds 5 --write"; BENCH=--help lists all there is
bench: $(VENV)/ready
	$(PY) -m lab.stack bench $(BENCH)

# The shop on http://127.0.0.1:8000 until Ctrl-C. Its data stay in var/; the admin's password is printed once.
run: $(VENV)/ready
	$(PY) -m lab.stack run

# Every test, on real servers and processes: half an hour on two cores.
# Three processes, each with servers of its own: most tests wait for something. With four, two cores are too busy for some.
test: $(VENV)/ready
	$(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# The fast half: every test that needs no browser and starts no whole shop of its own. Some five minutes on two cores.
# make unit PYTEST=--one-case runs each test function once, with the first of its cases.
unit: $(VENV)/ready
	$(PY) -m pytest $(PYTEST) --numprocesses 3 --dist loadfile --ignore tests/browser --ignore tests/crash --ignore tests/lab --ignore tests/live \
		--ignore tests/docs/test_commands.py

NEWER_TESTS ?= tests/accounts tests/api tests/backoffice tests/catalog tests/config/test_settings.py tests/config/test_tasks.py tests/orders \
	tests/payments/contract tests/payments/test_services.py tests/privacy tests/shop tests/test_flow.py

# What another Python and the newest Django that it allows are most likely to break, each test function with its first case: models,
# pages, the admin, the API, settings, tasks, and orders from end to end. `make release-check RELEASE=full` runs all.
# make newer NEWER=python3.12
newer:
	$(MAKE) .venv-newer/ready PYTHON=$(NEWER) VENV=.venv-newer
	.venv-newer/bin/python -m pytest --one-case --numprocesses 2 --dist loadfile $(NEWER_TESTS)

PROFILES ?= rabbitmq pgbouncer standby sentinel
PROFILE_TESTS ?= tests/test_flow.py tests/crash/test_processes.py tests/crash/test_servers.py tests/crash/test_unswept.py

# On the servers of each profile (docs/operating.md): orders of every kind, whole processes that die, and some chaos: an hour.
# make profiles PROFILES="standby sentinel" PROFILE_TESTS=tests/test_flow.py takes some of it. One that fails stops no other.
profiles: $(VENV)/ready
	failed=; for profile in $(PROFILES); do \
		{ ORDERLY_PROFILE=$$profile $(PY) -m pytest --numprocesses 2 --dist loadfile $(PROFILE_TESTS) && \
			$(PY) -m lab.stack chaos --profile $$profile --orders 60 --seconds 15; } || failed="$$failed $$profile"; \
	done; test -z "$$failed" || { echo "Not well on:$$failed"; exit 1; }

# The two halves of what a change has to pass.
check: rules test

# Formatting, lint, types, import contracts, deployment checks, migrations, and the site of docs/ without a broken link.
rules: $(VENV)/ready docs
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m lab.stack exec -- sh -ec ' \
		$(PY) -m mypy .; \
		ORDERLY_LOCAL=0 ALLOWED_HOSTS=shop.example.com EMAIL_URL=smtp+tls://mail.example.com STRIPE_API_BASE= STRIPE_JS_URL= \
			WEBHOOK_NETWORKS= \
			$(PY) manage.py check --deploy --fail-level WARNING; \
		$(PY) manage.py makemigrations --check --dry-run'
	$(VENV)/bin/lint-imports

# Formats, and mends what a linter can.
fmt: $(VENV)/ready
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# What can be checked of the ways to deploy without Docker or Kubernetes; and the steps of the image, in a folder of their own.
deployment: $(VENV)/ready
	$(WITHOUT_HOME) UV_PROJECT_ENVIRONMENT=$(VENV) $(PY) -m uv sync --frozen --inexact --group deployment --quiet
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(VENV)/bin/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" bash deploy/check.sh

# The site of docs/, in var/site. A link or an anchor that leads nowhere is an error, and so is what another host serves.
docs: $(VENV)/ready
	$(WITHOUT_HOME) UV_PROJECT_ENVIRONMENT=$(VENV) $(PY) -m uv sync --frozen --inexact --group docs --quiet
	$(VENV)/bin/zensical build --clean --strict
	! grep -rnoE '<(script|link|img|iframe)[^>]* (src|href)="(https?:)?//[^"]*' var/site --include '*.html'
	@echo "Read it at http://127.0.0.1:8008: $(PY) -m http.server --bind 127.0.0.1 --directory var/site 8008"

# What a release needs, on a clean clone: every Python and Django that we support, and a table at the end.
# RELEASE=full runs all tests on each, and not the short set.
release-check:
	bash .ci/release-check $(RELEASE)

# Brings each locale/ up to date with the texts of the code; then translate what is new there, and do it again. Needs gettext.
messages: $(VENV)/ready
	$(PY) -m django makemessages -l ko --add-location file --no-wrap --no-obsolete -i '.venv*' -i var -i 'tests/*'
	sed -i '/^"POT-Creation-Date/d' locale/*/LC_MESSAGES/django.po lab/sandbox/locale/*/LC_MESSAGES/django.po
	$(PY) -m django compilemessages -l ko -i '.venv*'

$(VENV)/ready: pyproject.toml uv.lock
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(WITHOUT_HOME) $(PY) -m pip install --quiet --upgrade "uv>=0.8"
	$(WITHOUT_HOME) UV_PROJECT_ENVIRONMENT=$(VENV) $(PY) -m uv sync --frozen --inexact --all-extras --compile-bytecode --quiet
	touch $@

# Takes away the virtual environments, and the data of `make run`.
clean:
	rm -rf .venv .venv-* .cache var
