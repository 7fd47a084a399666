"""The snapshot directory: reading what any collector wrote, writing so that a crash loses nothing."""

from __future__ import annotations

import gzip
import json
import stat
import sys
from pathlib import Path

import pytest
import zstandard

from auditor.errors import SnapshotError
from auditor.model.finding import Gap
from auditor.snapshot import Manifest, Snapshot, SnapshotWriter

A, B, C = (b'{"id":"/subscriptions/%c"}' % letter for letter in b"abc")
MANIFEST = Manifest(format=1, cloud="AzureCloud", tenant_id="t", taken_at="2026-01-01T00:00:00Z", subscriptions=("a",))
GAP = Gap("/subscriptions/a", "Microsoft.Network/routeTables", 403, "AuthorizationFailed", "no")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a manifest and nothing else."""
    (tmp_path / "manifest.json").write_text('{"format": 1, "cloud": "AzureCloud", "later": [1]}')
    return tmp_path


def bodies(snapshot: Snapshot) -> list[bytes]:
    return [body for _, _, body in snapshot.documents()]


def test_files_of_every_compression_are_read_as_one(folder):
    """Plain, gzip and zstd files together are one stream, each document with its own file and line."""
    (folder / "resources.jsonl").write_bytes(A + b"\n")
    (folder / "resources-2.jsonl.gz").write_bytes(gzip.compress(b"\n" + B + b"\n"))
    (folder / "resources-3.jsonl.zst").write_bytes(zstandard.compress(C + b"\n") + zstandard.compress(A))
    assert sorted(Snapshot.open(folder).documents()) == [
        ("resources-2.jsonl.gz", 2, B),
        ("resources-3.jsonl.zst", 1, C),
        ("resources-3.jsonl.zst", 2, A),
        ("resources.jsonl", 1, A),
    ]


@pytest.mark.parametrize(
    "text", [A + b"\r\n\r\n" + B, b"\n\n" + A + b"\n  \n" + B + b"\n", b"\xef\xbb\xbf" + A + b"\n" + B]
)
def test_line_ends_blank_lines_and_byte_order_mark_do_not_matter(folder, text):
    """What Windows tools make of a file is the same documents."""
    (folder / "resources.jsonl").write_bytes(text)
    assert bodies(Snapshot.open(folder)) == [A, B]


@pytest.mark.parametrize(("name", "compress"), [("x.jsonl.gz", gzip.compress), ("x.jsonl.zst", zstandard.compress)])
def test_a_compressed_file_cut_short_is_an_error(folder, name, compress):
    """Documents missing at a file's end never pass for all there is."""
    whole = compress(b"\n".join(b'{"id":"/%d"}' % n for n in range(5000)))
    (folder / f"resources{name}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SnapshotError, match=rf"resources{name}, line \d+"):
        bodies(Snapshot.open(folder))


def test_a_directory_without_manifest_says_so(tmp_path):
    """No manifest, no snapshot: the error names manifest.json and what to do."""
    with pytest.raises(SnapshotError, match=r"manifest\.json.*auditor collect"):
        Snapshot.open(tmp_path)
    with pytest.raises(SnapshotError, match="no such directory"):
        Snapshot.open(tmp_path / "absent")


def test_a_manifest_alone_is_no_snapshot(folder):
    """Without a resources file nothing was collected, which is not an empty tenant."""
    with pytest.raises(SnapshotError, match=r"resources\*\.jsonl"):
        Snapshot.open(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": "one"}', "{}", '{"format": 1', "\udcff"])
def test_a_manifest_that_cannot_be_read_is_an_error(folder, text):
    """Damaged and foreign manifests are refused by name, whatever is wrong with them."""
    (folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    (folder / "resources.jsonl").write_bytes(A)
    with pytest.raises(SnapshotError, match=r"manifest\.json"):
        Snapshot.open(folder)


def test_gaps_tolerate_more_than_they_need(folder):
    """Further keys in gaps.jsonl are passed over; a missing file is no gap."""
    (folder / "resources.jsonl").write_bytes(A)
    snapshot = Snapshot.open(folder)
    assert snapshot.gaps() == []
    (folder / "gaps.jsonl").write_text(json.dumps({"scope": "/s", "kind": "k", "status": 403, "more": {}}) + "\r\n\n")
    assert snapshot.gaps() == [Gap("/s", "k", 403)]


@pytest.mark.parametrize(
    "line", [b"{", b'{"scope": 1, "kind": "k"}', b'{"kind": "k"}', b'{"scope": "\xff", "kind": "k"}']
)
def test_a_broken_gap_names_file_and_line(folder, line):
    """A gap that cannot be read is never passed over."""
    (folder / "resources.jsonl").write_bytes(A)
    (folder / "gaps.jsonl").write_bytes(b'{"scope": "/s", "kind": "k"}\n' + line + b"\n")
    with pytest.raises(SnapshotError, match=r"gaps\.jsonl, line 2"):
        Snapshot.open(folder).gaps()


def test_what_is_written_is_read(tmp_path):
    """Documents come back byte for byte, indented ones on one line, gaps and manifest as given; the journal is gone."""
    indented = b'{\r\n  "id": "/x",\n  "n": 1.50,\n  "s": "a\\nb  c"\n}'
    with SnapshotWriter(tmp_path / "new" / "snapshot") as writer:
        writer.page("list", [A, indented], "more")
        writer.page("list", [B])
        writer.gap(GAP, "three")
        snapshot = writer.finish(MANIFEST)
    assert bodies(snapshot) == [A, b'{"id":"/x","n":1.50,"s":"a\\nb  c"}', B]
    assert (snapshot.gaps(), snapshot.manifest) == ([GAP], MANIFEST)
    assert sorted(p.name for p in snapshot.path.iterdir()) == ["gaps.jsonl", "manifest.json", "resources.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_files_are_private(tmp_path):
    """Nobody but the user may read a tenant's documents: directory 0700, files 0600, while written and after."""
    with SnapshotWriter(tmp_path / "s") as writer:
        modes = {stat.S_IMODE(path.stat().st_mode) for path in writer.path.iterdir()}
        snapshot = writer.finish(MANIFEST)
    assert modes | {stat.S_IMODE(path.stat().st_mode) for path in snapshot.path.iterdir()} == {0o600}
    assert stat.S_IMODE(snapshot.path.stat().st_mode) == 0o700


def test_a_directory_in_use_is_left_alone(tmp_path):
    """A non-empty directory is refused; `replace` takes over what a snapshot leaves and touches nothing else."""
    with SnapshotWriter(tmp_path / "s") as writer:
        writer.page("list", [A])
        writer.finish(MANIFEST)
    with pytest.raises(SnapshotError, match="not empty"):
        SnapshotWriter(tmp_path / "s")
    with SnapshotWriter(tmp_path / "s", replace=True) as writer:
        writer.page("list", [B])
        assert bodies(writer.finish(MANIFEST)) == [B]
    (tmp_path / "s" / "notes.txt").touch()
    with pytest.raises(SnapshotError, match="not empty"):
        SnapshotWriter(tmp_path / "s", replace=True)
    assert (tmp_path / "s" / "notes.txt").exists()


def test_the_old_snapshot_goes_when_the_new_one_comes(tmp_path):
    """A collection that fails before its first page leaves what it was to replace as it was, finished or not."""
    with SnapshotWriter(tmp_path / "s") as writer:
        writer.page("list", [A])
        writer.finish(MANIFEST)
    for _ in range(2):
        with SnapshotWriter(tmp_path / "s", replace=True) as writer:
            assert (writer.recorded, writer.gaps) == ({}, ())
        assert bodies(Snapshot.open(tmp_path / "s")) == [A]
        assert not (tmp_path / "s" / "journal.jsonl").exists()
    with SnapshotWriter(tmp_path / "s", replace=True) as writer:
        writer.gap(GAP, "three")
        assert not (tmp_path / "s" / "manifest.json").exists()
    crashed(tmp_path / "t")
    with SnapshotWriter(tmp_path / "t", replace=True):
        pass
    with SnapshotWriter(tmp_path / "t", resume=True) as writer:
        assert writer.recorded.keys() == {"one", "two", "three"}
    (tmp_path / "t" / "parts" / "one").mkdir(parents=True)
    with SnapshotWriter(tmp_path / "t", replace=True) as writer:
        writer.page("list", [B])
        assert bodies(writer.finish(MANIFEST)) == [B]
    assert not (tmp_path / "t" / "parts").exists()


def crashed(path: Path) -> None:
    """A collection that stopped after two pages and a gap."""
    with SnapshotWriter(path) as writer:
        writer.page("one", [A, B], "https://arm/next")
        writer.page("two", [C])
        writer.gap(GAP, "three")


def test_an_unfinished_collection_is_no_snapshot(tmp_path):
    """Until `finish` there is no manifest, so nobody can take a part of a tenant for the whole."""
    crashed(tmp_path)
    with pytest.raises(SnapshotError, match="--resume"):
        Snapshot.open(tmp_path)


def test_resume_finds_every_page(tmp_path):
    """After a crash each recorded page is there with its listing, documents and next link, and writing goes on."""
    crashed(tmp_path)
    with SnapshotWriter(tmp_path, resume=True) as writer:
        assert {k: [(p.next_link, p.gap, writer.documents(p)) for p in v] for k, v in writer.recorded.items()} == {
            "one": [("https://arm/next", None, [A, B])],
            "two": [("", None, [C])],
            "three": [("", GAP, [])],
        }
        writer.page("one", [A])
        snapshot = writer.finish(MANIFEST)
    assert (bodies(snapshot), snapshot.gaps()) == ([A, B, C, A], [GAP])


def test_a_page_counts_only_when_whole(tmp_path):
    """Cut anywhere, either file gives back a whole number of pages, in order, and never a damaged one."""
    whole = tmp_path / "whole"
    crashed(whole)
    journal, resources = (whole / "journal.jsonl").read_bytes(), (whole / "resources.jsonl").read_bytes()
    seen = set()
    for kept, name, data in [(n, "journal.jsonl", journal) for n in range(len(journal))] + [
        (n, "resources.jsonl", resources) for n in range(len(resources))
    ]:
        (whole / "journal.jsonl").write_bytes(journal)
        (whole / "resources.jsonl").write_bytes(resources)
        (whole / name).write_bytes(data[:kept])
        with SnapshotWriter(whole, resume=True) as writer:
            pages = [writer.documents(page) for listing in writer.recorded.values() for page in listing]
        seen.add(len(pages))
        assert pages == [[A, B], [C], []][: len(pages)]
        assert (whole / "resources.jsonl").read_bytes() == b"".join(d + b"\n" for page in pages for d in page)
    assert seen == {0, 1, 2}


def test_a_page_whose_bytes_changed_is_asked_for_again(tmp_path):
    """A machine lost before its disk was in step leaves other bytes than the journal says: the checksum tells."""
    crashed(tmp_path)
    data = bytearray((tmp_path / "resources.jsonl").read_bytes())
    data[-5:-2] = b"\0\0\0"
    (tmp_path / "resources.jsonl").write_bytes(data)
    with SnapshotWriter(tmp_path, resume=True) as writer:
        assert list(writer.recorded) == ["one"]
        assert writer.gaps == ()


def test_a_complete_snapshot_is_not_resumed(tmp_path):
    """There is nothing to go on with, and the complete one must stay as it is."""
    with SnapshotWriter(tmp_path, resume=True) as writer:
        writer.page("list", [A])
        writer.finish(MANIFEST)
    with pytest.raises(SnapshotError, match="complete"):
        SnapshotWriter(tmp_path, resume=True)
    assert bodies(Snapshot.open(tmp_path)) == [A]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("name", ["resources.jsonl", "journal.jsonl"])
def test_a_full_disk_is_said(tmp_path, name):
    """No room is an error that names the file and keeps what was written, not a traceback."""
    (tmp_path / name).symlink_to("/dev/full")
    with (
        SnapshotWriter(tmp_path, resume=True) as writer,
        pytest.raises(SnapshotError, match=rf"{name}: No space.*resume"),
    ):
        writer.page("one", [A])
