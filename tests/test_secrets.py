"""Secrets planted wherever there can be one are in nothing that a run says or leaves, even where others repeat them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile, is_zipfile

import pytest

from tests.cloud.endpoint import CLIENT_SECRET
from tests.cloud.faults import Fault
from tests.cloud.proxy import proxy
from tests.cloud.server import serve_snapshot
from tests.deliver.servers import hook, relay
from tests.program import FIXTURES, ROOT, finish, run, start

NO_NSG = FIXTURES / "scenarios" / "no-nsg"
PROXY = "pl4nted/proxy@password"
SMTP = "pl4nted-wrong-smtp-password"
CERTIFICATE = "pl4nted-certificate-password"
STORAGE_KEY = "cGw0bnRlZC1zdG9yYWdlLWtleS0wMTIzNDU2Nzg5MDEyMzQ1Njc4OTA="
SIGNATURE = "pl4nted%2Bsas%2Fsignature%3D"
ASSERTION = "eyJhbGciOiJSUzI1NiJ9.eyJwbDRudGVkIjoiYXNzZXJ0aW9uIn0.cGw0bnRlZA"


def forms(secret: str) -> set[bytes]:
    """A secret as it is, quoted for an address, and in base64."""
    texts = (secret, quote(secret), quote(secret, safe=""), b64encode(secret.encode()).decode())
    return {text.encode() for text in texts}


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, workbooks unpacked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(folder))
            found[name] = path.read_bytes()
            if is_zipfile(path):
                with ZipFile(path) as packed:
                    found |= {f"{name}/{part}": packed.read(part) for part in packed.namelist()}
    return found


def leaks(secrets: list[str], said: dict[str, bytes]) -> set[tuple[str, str]]:
    """Which secret stands where."""
    return {
        (secret, name) for secret in secrets for form in forms(secret) for name, data in said.items() if form in data
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_says_a_secret(tmp_path, chain, form):
    """A live scan through a proxy, with failing services that repeat what they were sent, at the most talkative level:
    logs, snapshot, reports, records and messages hold none of the secrets."""
    echo = (
        f"sent client_secret={CLIENT_SECRET}; Authorization: Bearer {ASSERTION}; AccountKey={STORAGE_KEY}; via {PROXY}"
    )
    faults = [Fault("routeTables", times=99, status=403, code="Forbidden", message=echo)]
    with (
        serve_snapshot(NO_NSG, faults=faults) as server,
        proxy(f"auditor:{PROXY}") as between,
        hook(chain[1]) as team,
        hook(chain[1], "/pl4nted-second-address") as other,
        relay(chain[1]) as post_office,
    ):
        team.answers = [(400, {}, f"no workflow {team.url}")]
        config = (
            f'[[notify.webhook]]\nkind = "teams"\nurl = "env:HOOK"\n'
            f'[[notify.webhook]]\nkind = "json"\nurl = "file:{tmp_path / "address"}"\n'
            f'[notify.mail]\nhost = "127.0.0.1"\nport = {post_office.port}\nuser = "auditor"\n'
            f'password = "env:SMTP_PASSWORD"\nfrom = "a@contoso.test"\nto = ["b@contoso.test"]\n'
        )
        (tmp_path / "address").write_text(other.url)
        work = tmp_path / "work"
        work.mkdir()
        (work / "auditor.toml").write_text(config)
        trusted = Path(server.environment["SSL_CERT_FILE"])
        trusted.write_bytes(trusted.read_bytes() + chain[0].read_bytes())
        environment = server.environment | {
            "HTTPS_PROXY": f"http://auditor:{quote(PROXY, safe='')}@127.0.0.1:{between.port}",
            "HOOK": team.url,
            "SMTP_PASSWORD": SMTP,
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": CERTIFICATE,
            "AZURE_STORAGE_KEY": STORAGE_KEY,
            "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=x;AccountKey={STORAGE_KEY}",
        }
        options = (
            "--auth",
            "environment",
            "--format",
            "xlsx,csv,json,html",
            "--log-level",
            "debug",
            "--log-format",
            form,
        )
        done = finish(start("scan", *options, cwd=work, environment=environment))
        tokens = server.endpoint.tokens
        sent = {f"message {number}": str(taken).encode() for number, taken in enumerate(other.taken)}
    assert done.code == 3, done.err
    assert between.connected
    assert len(sent) == len(tokens) == 1
    addresses = ["pl4nted-webhook-token", "pl4nted-signature", "pl4nted-second-address"]
    secrets = [CLIENT_SECRET, PROXY, SMTP, CERTIFICATE, STORAGE_KEY, ASSERTION, *addresses, *tokens]
    said = {"stdout": done.out.encode(), "stderr": done.err.encode()} | sent | contents(work)
    assert leaks(secrets, said) == set()
    latest = f"reports/{os.readlink(work / 'reports' / 'latest')}"
    for name in ("stderr", "reports/snapshot/gaps.jsonl", f"{latest}/coverage.csv", f"{latest}/report.json"):
        assert b"client_secret=***; Authorization: ***" in said[name], f"{name} should show what was said, redacted"
    assert b'"error": "127.0.0.1: 535' in said["reports/run.json"]
    assert b'"error": "127.0.0.1: 400 no workflow ***' in said["reports/run.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "-o", f"https://contoso.blob.core.windows.net/reports?sv=2024-11-04&sig={SIGNATURE}"),
        ("scan", "--baseline", f"https://contoso.blob.core.windows.net/reports/latest?sig={SIGNATURE}"),
        ("scan", "-o", f"https://user:{SMTP}@contoso.blob.core.windows.net/reports"),
    ],
)
def test_a_signature_on_the_command_line_is_not_repeated(tmp_path, arguments):
    """An address with a signature or password is refused without saying it, in the log neither."""
    done = run(*arguments, "--from", NO_NSG, "--log-level", "debug", "--log-format", "json", cwd=tmp_path)
    assert done.code == 2
    assert leaks([SIGNATURE, SMTP], {"stderr": done.err.encode(), **contents(tmp_path)}) == set()


def test_a_bug_does_not_say_a_secret(tmp_path):
    """The traceback of an error that nobody foresaw is shown, without the secrets that stand in it."""
    code = f"""
import os, sys
import auditor.scan
def judge(*_):
    raise RuntimeError("token {ASSERTION} and secret " + os.environ["AZURE_CLIENT_SECRET"])
auditor.scan.judge = judge
from auditor.cli import main
sys.argv = ["auditor", "scan", "--from", {str(NO_NSG)!r}]
main()
"""
    (tmp_path / "reports").mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AZURE_CLIENT_SECRET": CLIENT_SECRET}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search(r"Traceback.*RuntimeError: token \*\*\* and secret \*\*\*", done.stderr, re.DOTALL)
    said = {"stderr": done.stderr.encode(), **contents(tmp_path)}
    assert leaks([CLIENT_SECRET, ASSERTION], said) == set()
    assert b'"error": "token *** and secret ***"' in said["reports/run.json"]


def test_storage_is_not_told_a_secret(tmp_path, emulator):
    """Neither blobs nor what is said of a delivery hold tokens or the client's secret, at the most talkative level."""
    with emulator.container("secrets") as container, serve_snapshot(NO_NSG) as server:
        trusted = Path(server.environment["SSL_CERT_FILE"])
        trusted.write_bytes(trusted.read_bytes() + emulator.authority.read_bytes())
        options = (
            "-o",
            f"{emulator.url}/secrets",
            "--auth",
            "environment",
            "--log-level",
            "debug",
            "--log-format",
            "json",
        )
        done = finish(start("scan", *options, cwd=tmp_path, environment=server.environment))
        blobs = {blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()}
        secrets = [CLIENT_SECRET, *server.endpoint.tokens, *server.endpoint.storage_tokens]
    assert done.code == 0, done.err
    assert len(secrets) >= 3
    assert len(blobs) > 5
    assert leaks(secrets, {"stderr": done.err.encode(), **blobs, **contents(tmp_path)}) == set()
