"""Blocks of the pages that tests/docs does not run: the page, how the block begins, and why."""

RECOVERY = "tests/audit/test_recovery_document.py runs it"
IMAGE = "needs Docker; deploy/check.sh runs the steps of the image"
KUBERNETES = "needs a cluster; `make deployment` validates the files"
ROOT = "needs root, and a machine of its own"
SYSTEMD = "needs root and systemd; deploy/check.sh has systemd look at the units"
SHOP = "starts a shop as the tests do: tests/lab/test_stack.py"
MAKE = (
    "the targets: CI runs them, tests/lab runs what they start, and tests/docs/test_names.py says that they are there"
)
PYTEST = "the whole suite runs it"
LOGS = "needs jq, and the logs of a shop that runs"
ARCHIVE = "needs an archive; tests/privacy/test_archive.py compares the checksum"
PRIVACY = "needs a customer; tests/privacy/test_erasure.py runs it"
ALERT = "needs Prometheus, and minutes: deploy/check.sh has promtool try the alerts"
NONE = "no command"

NOT_RUN = [
    ("README.md", "make demo", MAKE),
    ("CONTRIBUTING.md", "make test", MAKE),
    ("CONTRIBUTING.md", ".venv/bin/python -m pytest", PYTEST),
    ("docs/deploy.md", "apt-get install", ROOT),
    ("docs/deploy.md", "git clone ADDRESS", "needs this repository's address; deploy/check.sh runs the same steps"),
    ("docs/deploy.md", "install -d", SYSTEMD),
    ("docs/deploy.md", "proxy_set_header", NONE),
    ("docs/deploy.md", "git pull", SYSTEMD),
    ("docs/deploy.md", "docker compose", IMAGE),
    ("docs/deploy.md", "kubectl apply", KUBERNETES),
    ("docs/gateways.md", ".venv/bin/python -m pytest", PYTEST),
    ("docs/life-of-an-order.md", "place_order (a)", NONE),
    ("docs/operating.md", "server_check_delay", NONE),
    ("docs/operating.md", '{"time"', NONE),
    ("docs/operating.md", "jq -R 'fromjson? | select(.order", LOGS),
    ("docs/operating.md", "jq -R 'fromjson? | select(.request_id", LOGS),
    ("docs/privacy.md", "sha256sum", ARCHIVE),
    (
        "docs/privacy.md",
        ".venv/bin/python manage.py show_archived",
        "needs an archive; tests/privacy/test_archived.py runs it",
    ),
    ("docs/privacy.md", ".venv/bin/python manage.py export_customer", PRIVACY),
    ("docs/privacy.md", ".venv/bin/python manage.py erase_customer", PRIVACY),
    ("docs/performance.md", "make bench", MAKE),
    ("docs/reconciliation.md", "curl -u sk_test_sandbox:", "tests/lab/test_disputes.py asks the sandbox for the same"),
    ("docs/recovery.md", "pg_dump", RECOVERY),
    ("docs/recovery.md", "pg_basebackup", RECOVERY),
    ("docs/recovery.md", ".venv/bin/python manage.py", RECOVERY),
    ("docs/recovery.md", "systemctl", RECOVERY),
    ("docs/recovery.md", "createdb", RECOVERY),
    ("docs/recovery.md", "location /", NONE),
    ("docs/recovery.md", "restore_command", NONE),
    ("docs/runbook.md", "prometheus --config.file", ALERT),
    ("docs/runbook.md", "kill -STOP", ALERT),
    ("docs/tutorial.md", "make run", SHOP),
    ("docs/waiting-room.md", "WAITING_ROOM=checkout", SHOP),
    ("docs/waiting-room.md", "systemctl", SYSTEMD),
]
