"""report.json."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from auditor.baseline import compared, run_of
from auditor.config import load
from auditor.errors import AuditorError
from auditor.model.finding import Step
from auditor.report.document import SCHEMA_VERSION, read_json, schema
from auditor.report.labels import languages
from auditor.report.rows import in_order
from auditor.report.write import write_report
from auditor.scan import judge
from auditor.snapshot import Snapshot
from auditor.words import Words
from tests.report.factory import PlainWords, finding, nic_finding, report, tenant
from tests.report.hostile import NAMES

ROOT = Path(__file__).resolve().parents[2]
CONTOSO = ROOT / "fixtures" / "contoso"


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
    assert set(document["required"]) <= set(data) == set(document["properties"])
    assert sum(line.startswith('{"subscription_id"') for line in path.read_text().splitlines()) == 5


@pytest.mark.parametrize("lang", languages())
def test_a_real_report_keeps_its_schema(tmp_path, lang):
    """What a scan of the composed estate writes, with a baseline, is valid; a code that there is not is refused."""
    config = load(CONTOSO / "auditor.toml")
    result = judge(Snapshot.open(CONTOSO), config, "2025-07").report
    run = msgspec.structs.replace(compared(result, run_of(msgspec.structs.replace(result, findings=()))), lang=lang)
    path = write_report(run, tmp_path, ["json"], Words.load(lang)) / "report.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(data)] == []
    assert data["changes"]
    assert data["suppressions"]
    data["findings"][0]["smtp"] = "perhaps"
    assert ["perhaps" in error.message for error in validator.iter_errors(data)] == [True]


def test_the_published_schema_is_this_one():
    """docs/report.schema.json is the schema of this version; `auditor scan --schema` prints it anew."""
    published = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == json.loads(json.dumps(schema()))


def test_a_report_of_before_suppressions_were_listed(tmp_path):
    """Properties that were added within the version may be missing: an older file still reads."""
    path = written(tmp_path, report(tenant(3)))
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["suppressions"], data["figures"]["suppressions_expired"]
    path.write_text(json.dumps(data))
    assert len(read_json(path).findings) == 3


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
