"""report.json."""

import json

import msgspec
import pytest

from auditor.errors import AuditorError
from auditor.model.finding import Step
from auditor.report.document import SCHEMA_VERSION, read_json, schema
from auditor.report.rows import in_order
from auditor.report.write import write_report
from tests.report.factory import PlainWords, finding, nic_finding, report, tenant
from tests.report.hostile import NAMES


def written(tmp_path, run):
    return write_report(run, tmp_path, ["json"], PlainWords()) / "report.json"


def test_round_trip(tmp_path):
    """What was found reads back equal: findings in order, with steps and NICs, facts, coverage and gaps."""
    first = finding(1, steps=(Step(gate="route", outcome="public-ip", id="/x", detail="0.0.0.0/0"),))
    run = report([msgspec.structs.replace(first, nics=(nic_finding(first, "-2"),)), *tenant(40)])
    document = read_json(written(tmp_path, run))
    assert document.schema_version == SCHEMA_VERSION
    assert list(document.findings) == in_order(run.findings)
    assert (list(document.subscriptions), list(document.coverage)) == (run.subscriptions, run.coverage)
    assert list(document.gaps) == run.gaps
    assert (document.run.tenant_id, document.run.edition) == (run.tenant_id, run.edition)
    assert document.figures.vms == 41


@pytest.mark.parametrize("name", NAMES)
def test_names_stay_as_they_are(tmp_path, name):
    """JSON needs no mending: names come back letter by letter."""
    assert read_json(written(tmp_path, report([finding(1, vm=name)]))).findings[0].vm == name


def test_any_reader_reads_it(tmp_path):
    """The file is plain JSON, one finding a line, and has every property its schema asks for."""
    path = written(tmp_path, report(tenant(5)))
    data = json.loads(path.read_text(encoding="utf-8"))
    document = schema()["$defs"]["Document"]
    assert set(data) == set(document["properties"]) == set(document["required"])
    assert sum(line.startswith('{"subscription_id"') for line in path.read_text().splitlines()) == 5


def test_an_empty_report_reads_back(tmp_path):
    """No VMs, no findings, still a document."""
    assert read_json(written(tmp_path, report([]))).findings == ()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": "x"}'])
def test_other_files_are_refused(tmp_path, text):
    """A file that is no report is an error with its name."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(AuditorError, match=r"other\.json"):
        read_json(path)


def test_later_schema_is_refused(tmp_path):
    """A file of a later schema is not read as if it were of this one."""
    path = written(tmp_path, report([]))
    path.write_text(path.read_text().replace(f'"schema_version":{SCHEMA_VERSION}', '"schema_version":99'))
    with pytest.raises(AuditorError, match="99"):
        read_json(path)


def test_missing_file(tmp_path):
    """A file that is not there is an error with its name."""
    with pytest.raises(AuditorError, match=r"none\.json"):
        read_json(tmp_path / "none.json")
