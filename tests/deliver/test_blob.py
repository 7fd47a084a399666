"""Runs in Blob Storage: the real SDK against Azurite, over HTTPS, by tokens of Entra ID."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from azure.storage.blob import ContainerClient

from auditor.deliver.blob import HISTORY, LATEST
from auditor.deliver.folder import RECORD
from auditor.deliver.retention import Keep
from auditor.errors import AuditorError

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)
RUN = "2026-11-25T02-00-00Z"
ID = "54c251e29fbb4990bad5686ca8cf1212"


def make(folder: Path, run: str = RUN) -> Path:
    """The folder of a run."""
    (folder / run).mkdir(parents=True)
    for file in ("report.xlsx", "report.json", "vms.csv", RECORD):
        (folder / run / file).write_text(f"{file} of {run}")
    return folder / run


def names(container: ContainerClient) -> set[str]:
    """All blobs of the container."""
    return {blob.name for blob in container.list_blobs()}


def text(container: ContainerClient, name: str) -> str:
    """What a blob holds."""
    return container.download_blob(name).readall().decode()


def test_a_run_is_uploaded(opened, container, tmp_path):
    """Every file of the folder is a blob under the run's name; latest.json names the run."""
    with opened() as blobs:
        assert blobs.last() == ""
        assert blobs.send(make(tmp_path), ID) == RUN
        assert blobs.last() == RUN
        assert blobs.read(f"{RUN}/vms.csv") == f"vms.csv of {RUN}".encode()
        assert blobs.read("nothing") is None
    files = {f"port25/{RUN}/{file}" for file in ("report.xlsx", "report.json", "vms.csv", RECORD)}
    assert names(container) == {f"port25/{LATEST}", *files}
    kinds = {b.name.rpartition("/")[2]: b.content_settings.content_type for b in container.list_blobs()}
    assert kinds["vms.csv"] == "text/csv"
    assert kinds[LATEST] == "application/json"
    assert kinds["report.xlsx"].startswith("application/vnd.openxmlformats")


def test_without_a_prefix(opened, container, tmp_path):
    """A container alone is an address, too."""
    with opened("") as blobs:
        blobs.send(make(tmp_path), ID)
    assert f"{RUN}/vms.csv" in names(container)


def test_two_runs_of_one_second(opened, container, tmp_path):
    """A run whose name is taken gets a number behind it; nothing is written over."""
    with opened() as blobs:
        blobs.send(make(tmp_path / "a"), ID)
        assert blobs.send(make(tmp_path / "b"), "b") == f"{RUN}-2"
        assert blobs.send(make(tmp_path / "c"), "c") == f"{RUN}-3"
        assert blobs.last() == f"{RUN}-3"
    assert text(container, f"port25/{RUN}/vms.csv") == f"vms.csv of {RUN}"


def test_whole_or_not_at_all(opened, container, tmp_path, storage):
    """Where a file cannot be uploaded, those before it are taken back and latest.json stays as it was."""
    with opened(at=storage) as blobs:
        blobs.send(make(tmp_path / "a", "2026-11-24T02-00-00Z"), "a")
        before = names(container)
        folder = make(tmp_path / "b")
        storage.once("PUT", f"/{RUN}/{RECORD}", 403)
        with pytest.raises(AuditorError, match="ServerBusy"):
            blobs.send(folder, ID)
        assert blobs.last() == "2026-11-24T02-00-00Z"
    assert names(container) == before
    assert sorted(path.name for path in folder.iterdir()) == sorted(("report.xlsx", "report.json", "vms.csv", RECORD))


def test_a_name_in_which_something_lies(opened, container, tmp_path):
    """What others put under a run's name stays; the run is whole under the next one, and nothing of it under the first."""
    container.upload_blob(f"port25/{RUN}/{RECORD}", b"in the way")
    with opened() as blobs:
        assert blobs.send(make(tmp_path), ID) == f"{RUN}-2"
    assert {name for name in names(container) if f"{RUN}/" in name} == {f"port25/{RUN}/{RECORD}"}
    assert text(container, f"port25/{RUN}/{RECORD}") == "in the way"


@pytest.mark.parametrize("file", ["report.json", "vms.csv", RECORD, LATEST], ids=["first", "other", "record", "latest"])
def test_an_answer_that_is_lost(opened, container, tmp_path, storage, file):
    """The SDK repeats an upload whose answer was lost and is told that the blob exists: it is this run's own."""
    with opened(at=storage) as blobs:
        storage.once("PUT", f"/{file}", "lost")
        assert blobs.send(make(tmp_path), ID) == RUN
        assert len(storage.met) == 1
        assert blobs.last() == RUN
    files = {f"port25/{RUN}/{each}" for each in ("report.xlsx", "report.json", "vms.csv", RECORD)}
    assert names(container) == {f"port25/{LATEST}", *files}
    assert text(container, f"port25/{RUN}/vms.csv") == f"vms.csv of {RUN}"


def test_what_an_earlier_attempt_left_is_written_over(opened, container, tmp_path, storage):
    """Blobs that could not be taken back keep no later attempt from the name, and hold what that one brings."""
    folder = make(tmp_path)
    with opened(at=storage) as blobs:
        storage.meets = lambda method, path: (
            503 if method == "DELETE" or (method == "PUT" and path.endswith("/vms.csv")) else None
        )
        with pytest.raises(AuditorError, match="ServerBusy"):
            blobs.send(folder, ID)
        assert f"port25/{RUN}/report.json" in names(container)
        storage.meets = lambda method, path: None
        (folder / "report.json").write_text("anew")
        assert blobs.send(folder, ID) == RUN
    assert text(container, f"port25/{RUN}/report.json") == "anew"


def test_latest_names_the_run_before_again(opened, container, tmp_path, storage):
    """Where it is latest.json whose answers do not come, it names again what it did, and nothing of the run stays."""
    with opened(at=storage) as blobs:
        storage.once("PUT", f"/{LATEST}", "lost", times=99)
        with pytest.raises(AuditorError):
            blobs.send(make(tmp_path / "a"), ID)
        storage.meets = lambda method, path: None
        assert names(container) == set()
        blobs.send(make(tmp_path / "b", "2026-11-24T02-00-00Z"), "b")
        before = names(container)

        def meets(method: str, path: str) -> str | None:
            sent = f"port25/{RUN}/{RECORD}" in names(container)
            return "lost" if method == "PUT" and path.endswith(f"/{LATEST}") and sent else None

        storage.meets = meets
        with pytest.raises(AuditorError):
            blobs.send(tmp_path / "a" / RUN, ID)
        assert blobs.last() == "2026-11-24T02-00-00Z"
    assert names(container) == before


def test_the_record_comes_last_of_a_run(opened, container, tmp_path):
    """run.json is uploaded after all other blobs of its run, and latest.json after it."""
    with opened() as blobs:
        blobs.send(make(tmp_path), ID)
    when = {blob.name.rpartition("/")[2]: blob.creation_time for blob in container.list_blobs()}
    times = [*(time for name, time in when.items() if name not in (RECORD, LATEST)), when[RECORD], when[LATEST]]
    assert times == sorted(times)


def test_history(opened, container):
    """Lines are added at the end, also where the last one was cut."""
    container.upload_blob(f"port25/{HISTORY}", b'{"vms":1}\n{"vms":2}')
    with opened() as blobs:
        blobs.note(b'{"vms":3}\n')
    assert text(container, f"port25/{HISTORY}") == '{"vms":1}\n{"vms":2}\n{"vms":3}\n'


def test_runs_that_end_together_do_not_lose_a_line(opened, container):
    """Three that note their run at the same time all stand in the history."""
    meet = threading.Barrier(3)

    def note(number: int) -> None:
        with opened() as blobs:
            blobs.last()
            meet.wait(30)
            blobs.note(b'{"vms":%d}\n' % number)

    threads = [threading.Thread(target=note, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = text(container, f"port25/{HISTORY}").splitlines()
    assert sorted(msgspec.json.decode(line)["vms"] for line in lines) == [0, 1, 2]


def test_retention(opened, container, tmp_path):
    """Old runs go, whole; the last, the pinned, and what others put there stay."""
    days = [(NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H-%M-%SZ") for days in range(5)]
    with opened() as blobs:
        for run in reversed(days):
            blobs.send(make(tmp_path, run), ID)
        others = {f"port25/{days[4]}/notes.txt", "port25/2020-01-01T00-00-00Z/run.json", "elsewhere.txt", "port25/x/y"}
        for name in others:
            container.upload_blob(name, b"by hand")
        assert blobs.tidy(Keep(runs=2), NOW, {days[3]}) == (days[4], days[2])
    left = names(container)
    assert others <= left
    assert {name.split("/")[1] for name in left - others} == {LATEST, days[0], days[1], days[3]}


def test_one_run_that_cannot_go(opened, container, tmp_path, storage, caplog):
    """A run that storage keeps, by a lease or a legal hold, is a warning: the others go, and are named."""
    days = [f"2026-11-2{day}T02-00-00Z" for day in range(4)]
    storage.code = "BlobImmutableDueToPolicy"
    with opened(at=storage) as blobs:
        for run in days:
            blobs.send(make(tmp_path, run), run)
        storage.once("DELETE", f"/{days[0]}/{RECORD}", 409, times=9)
        assert blobs.tidy(Keep(runs=1), NOW) == (days[1], days[2])
        assert f"{days[0]} could not be removed: BlobImmutableDueToPolicy" in caplog.text
        assert {name.split("/")[1] for name in names(container)} == {days[0], days[3], LATEST}
        assert f"port25/{days[0]}/vms.csv" in names(container), "it is still a run, and whole"
        storage.once("DELETE", "/vms.csv", "lost")
        assert blobs.tidy(Keep(runs=1), NOW) == (days[0],)
        assert len(storage.met) == 1
    assert {name.split("/")[1] for name in names(container)} == {days[3], LATEST}


def test_a_line_of_the_history_whose_answer_is_lost(opened, container, storage):
    """The line of a run stands in the history once, whatever was lost on the way; so it does where it is noted again."""
    with opened(at=storage) as blobs:
        for number in range(2):
            storage.once("PUT", f"/{HISTORY}", "lost")
            blobs.note(b'{"vms":%d}\n' % number)
            assert len(storage.met) == 1
        blobs.note(b'{"vms":0}\n')
    assert text(container, f"port25/{HISTORY}") == '{"vms":0}\n{"vms":1}\n'


def test_a_latest_that_others_wrote(opened, container, tmp_path, caplog):
    """A latest.json that cannot be read names no run, which is a warning; the next report mends it."""
    container.upload_blob(f"port25/{LATEST}", b"<html>")
    with opened() as blobs:
        assert blobs.last() == ""
        assert f"{LATEST} is not what this tool writes" in caplog.text
        blobs.send(make(tmp_path), ID)
        assert blobs.last() == RUN


def test_what_a_killed_run_left_goes(opened, container, tmp_path):
    """Blobs of a run without its run.json go a day after they were written; a run that is being uploaded stays."""
    half = f"port25/{RUN}/vms.csv"
    container.upload_blob(half, b"half", metadata={"auditor_run": RUN})
    with opened() as blobs:
        blobs.send(make(tmp_path, "2026-11-24T02-00-00Z"), ID)
        blobs.tidy(Keep(runs=9), datetime.now(UTC))
        assert half in names(container)
        blobs.tidy(Keep(runs=9), datetime.now(UTC) + timedelta(days=2))
    assert half not in names(container)
    assert "port25/2026-11-24T02-00-00Z/vms.csv" in names(container)


@pytest.mark.parametrize(
    ("place", "said"),
    [("-that-is-not-there/port25", "ContainerNotFound: make the container first")],
)
def test_an_error_says_what_to_do(opened, tmp_path, place, said):
    """A container that is not there is not made; the error names the address and says so."""
    with opened(place) as blobs, pytest.raises(AuditorError, match=said) as raised:
        blobs.send(make(tmp_path), ID)
    assert "reports-that-is-not-there/port25" in str(raised.value)


def test_a_refused_token_is_an_error(opened, entra, monkeypatch, tmp_path):
    """Storage that does not take the token is an error, and the token is not in it."""
    monkeypatch.setattr("tests.cloud.endpoint.STORAGE_ISSUER", "https://sts.elsewhere.test/")
    with opened() as blobs, pytest.raises(AuditorError, match="AuthenticationFailed") as raised:
        blobs.send(make(tmp_path), ID)
    assert entra.endpoint.storage_tokens[-1] not in str(raised.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(opened, entra, monkeypatch, tmp_path):
    """Nothing is sent to a storage whose certificate the CA did not sign."""
    only = Path(entra.environment["SSL_CERT_FILE"]).with_name("ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(only))
    with (
        opened(environ={**entra.environment, "SSL_CERT_FILE": str(only)}) as blobs,
        pytest.raises(AuditorError, match=r"(?i)certificate"),
    ):
        blobs.send(make(tmp_path), ID)
