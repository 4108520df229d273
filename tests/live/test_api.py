"""The API as it runs: whatever is sent, it answers as its document says, and a client made of the document works."""

import hashlib
import importlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from accounts.token_models import SCOPES
from lab.stack.stack import Stack

SECONDS = 20
BIN = Path(sys.executable).parent
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ADD_TOKEN = "INSERT INTO accounts_apitoken (name, digest, scopes) VALUES (%s, %s, %s)"


@pytest.fixture(scope="module")
def sku(stack: Stack) -> str:
    sku = f"mug-{uuid4().hex[:8]}"
    catalog = stack.folder / f"{sku}.csv"
    catalog.write_text(f"sku,name,price\n{sku},Mug,5.00\n")
    assert stack.manage("load_catalog", str(catalog), "--stock", "1000").returncode == 0
    return sku


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """It may do everything, so that most requests get past its check."""
    token = f"orderly_{uuid4().hex}"
    with psycopg.connect(stack.full_environment["DATABASE_URL"]) as connection:
        connection.execute(ADD_TOKEN, [token, hashlib.sha256(token.encode()).hexdigest(), SCOPES])
    return token


@pytest.fixture(scope="module")
def code(stack: Stack, sku: str) -> str:
    """An order's, so that some requests get past the question whether it is there."""
    body = {"email": "ann@example.com", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa"}
    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    request = urllib.request.Request(f"{stack.web_url}/api/v1/orders", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["code"])


def test_whatever_is_sent_is_answered_as_the_document_says(stack: Stack, sku: str, code: str, token: str) -> None:
    config = stack.folder / "schemathesis.toml"
    config.write_text(f'[parameters]\n"path.code" = ["{code}", "GH0ST"]\n"path.sku" = ["{sku}", "GH0ST"]\n')
    url = f"{stack.web_url}/api/v1/openapi.json"
    options = ["--checks", CHECKS, "--max-time", str(SECONDS), "--seed", "1", "--generation-database", "none"]
    options += ["--no-color", "--header", f"Authorization: Bearer {token}"]
    command = [str(BIN / "schemathesis"), "--config-file", str(config), "run", url, *options]

    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=stack.folder)

    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr[-2_000:]


@pytest.fixture(scope="module")
def client_package(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A client that openapi-python-client made of the document."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    with urllib.request.urlopen(f"{stack.web_url}/api/v1/openapi.json") as answer:
        document.write_bytes(answer.read())
    (folder / "config.yaml").write_text("post_hooks: []\n")
    command: list[str | Path] = [
        BIN / "openapi-python-client",
        "generate",
        "--path",
        document,
        "--config",
        folder / "config.yaml",
    ]
    command += ["--meta", "none", "--output-path", folder / "orderly_client"]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("orderly_client")


def test_a_client_made_of_the_document_places_an_order_and_reads_it(
    stack: Stack, sku: str, token: str, client_package: Any
) -> None:
    api = importlib.import_module("orderly_client.api.orders")
    models = importlib.import_module("orderly_client.models")
    for operation in ("create_order", "show_order", "list_orders"):
        importlib.import_module(f"orderly_client.api.orders.{operation}")
    asked = models.NewOrder(
        email="ann@example.com", lines=[models.NewLine(sku=sku, quantity=2)], payment_method="pm_card_visa"
    )

    with client_package.AuthenticatedClient(base_url=stack.web_url, token=token) as client:
        placed = api.create_order.sync(client=client, body=asked, idempotency_key=uuid4().hex)
        read = api.show_order.sync(placed.code, client=client)
        listed = api.list_orders.sync(client=client)

    assert (placed.total, read.code) == (1000, placed.code)
    assert placed.code in [order.code for order in listed.data]
