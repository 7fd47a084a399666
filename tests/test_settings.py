"""Where a setting comes from: option, environment, config file, default, in this order."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import nullcontext
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import fields

from auditor import config
from auditor.config import Config
from auditor.errors import UsageError
from auditor.settings import SETTINGS, place, resolve, shown
from tests.program import run

GUID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config file that says everything of the scope another way than the other tests do."""
    path = tmp_path / "auditor.toml"
    path.write_text('[scope]\ntenant_id = "file.example"\ncloud = "AzureUSGovernment"\n[report]\nlang = "zh-CN"\n')
    return path


def test_every_option_has_its_place():
    """No option is without a key in the config file, and no two have the same key or name."""
    names = [flag for setting in SETTINGS for flag in setting.flags]
    assert len(names) == len(set(names))
    assert len({setting.key for setting in SETTINGS}) == len(SETTINGS)
    assert all(place(setting.key) for setting in SETTINGS)


def test_an_option_goes_before_the_environment_and_that_before_the_file(file):
    """Of the four places each beats the next one, and says so."""
    environ = {"AZURE_TENANT_ID": "environment.example"}
    key = "scope.tenant_ids"
    asked = [
        resolve({key: ["option.example"]}, environ, file),
        resolve({}, environ, file),
        resolve({}, {}, file),
        resolve({}, {}, None),
    ]
    assert [(each.config.scope.tenant_ids, each.origin(key)) for each in asked] == [
        (("option.example",), "--tenant-id"),
        (("environment.example",), "AZURE_TENANT_ID"),
        (("file.example",), str(file)),
        ((), "default"),
    ]


def test_several_tenants_of_the_file_stand_beside_the_principal_s_own(tmp_path):
    """AZURE_TENANT_ID is where a service principal lives, too: it does not narrow a file that names several tenants."""
    path = tmp_path / "auditor.toml"
    path.write_text('[scope]\ntenant_ids = ["a.example", "b.example"]\n')
    found = resolve({}, {"AZURE_TENANT_ID": "home.example"}, path)
    assert found.config.scope.tenant_ids == ("a.example", "b.example")
    chosen = resolve({"scope.tenant_ids": ["c.example"]}, {"AZURE_TENANT_ID": "home.example"}, path)
    assert chosen.config.scope.tenant_ids == ("c.example",)


def test_what_is_not_given_leaves_the_rest_alone(file):
    """An option of a table changes no other key of that table."""
    found = resolve({"scope.tenant_ids": ["a.example"], "collect.resume": False}, {}, file)
    assert found.config.scope.cloud == "AzureUSGovernment"
    assert found.origin("collect.resume") == "default"


def test_switches_lists_and_words(file):
    """A switch may mean no, formats are one word, a repeated option is a list."""
    given = {"log.progress": True, "report.formats": "csv, json", "scope.exclude": ["a*", "b*"], "collect.resume": True}
    found = resolve(given, {}, None).config
    assert (found.log.progress, found.collect.resume) == (False, True)
    assert (found.report.formats, found.scope.exclude) == (("csv", "json"), ("a*", "b*"))


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ({"scope.tenant_ids": ["contoso"]}, {}, '--tenant-id: scope.tenant_ids[0] is "contoso"; expected a tenant id'),
        ({}, {"AZURE_TENANT_ID": "contoso"}, 'AZURE_TENANT_ID: scope.tenant_ids[0] is "contoso"; expected a tenant id'),
        ({}, {"AZURE_CLOUD": "AzureMoon"}, 'AZURE_CLOUD: scope.cloud is "AzureMoon"; expected one of AzureChinaCloud'),
        ({"report.formats": "csv,docx"}, {}, '--format: report.formats[1] is "docx"; expected one of csv'),
    ],
)
def test_an_error_names_who_said_it(given, environ, said):
    """Option or variable, key, and what was expected."""
    with pytest.raises(UsageError, match=re.escape(said)):
        resolve(given, environ, None)


def test_the_cloud_of_the_environment():
    """Its name counts in any case; a private cloud's own name is left to those who know its addresses."""
    assert resolve({}, {"AZURE_CLOUD": "azurechinacloud"}, None).config.scope.cloud == "AzureChinaCloud"
    private = {"AZURE_CLOUD": "Hub", "AZURE_RESOURCE_MANAGER_ENDPOINT": "https://arm.hub.example"}
    assert resolve({}, private, None).config.scope.cloud is None


def test_shown_is_a_config(file, tmp_path):
    """What is shown says the same when it is read as a file, and every line says where it comes from."""
    file.write_text(
        file.read_text()
        + 'fail_on = "low"\n[risk]\nopen = { not-sender = "medium" }\n'
        + '[[suppress]]\nreason = "no-nsg"\nwhy = "a \\"lab\\""\nuntil = 2027-01-31\n'
    )
    settings = resolve({"collect.max_concurrency": 8}, {}, file)
    lines = list(shown(settings))
    path = tmp_path / "again.toml"
    path.write_text("\n".join(lines))
    assert config.load(path) == settings.config
    said = {line.partition(" ")[0]: line.rpartition("  # ")[2] for line in lines if "  # " in line}
    assert (said["max_concurrency"], said["fail_on"], said["edition"]) == ("--max-concurrency", str(file), "default")


def test_the_example_says_nothing_but_the_defaults(tmp_path):
    """As it stands it changes nothing."""
    path = tmp_path / "auditor.toml"
    path.write_text(config.example())
    assert config.load(path) == Config()


def test_the_example_has_every_key(tmp_path):
    """With its comments taken away it says everything there is to say, and all of it can be meant."""
    text = re.sub(r"^# (?=[\w-]+ = |\[)", "", config.example(), flags=re.MULTILINE)
    path = tmp_path / "auditor.toml"
    path.write_text(text.replace('agreement = "mca-e"', 'offer_class = "payg"'))
    config.load(path)
    document = tomllib.loads(text)
    assert set(document) == {field.encode_name for field in fields(Config)}
    for name, value in document.items():
        if isinstance(value, dict):
            assert set(value) == {field.encode_name for field in fields(place(name))}, name


def test_the_schema_takes_the_example_and_nothing_else():
    """The JSON Schema is one, and agrees with the loader on the example and on a key that nobody knows."""
    schema = json.loads(config.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(config.example()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"policy": {"editon": "2018-11"}}, schema)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (f'[scope]\ntenant_id = "{GUID}"', True),
        (f'[[exemption]]\nsubscription_id = "{GUID}"\nstatus = "Granted"\ndate = "2019-09-02T10:00:00Z"', True),
        (f'[[exemption]]\nsubscription_id = "{GUID}"\nstatus = "Maybe"\ndate = "2019-09-02"', False),
        (f'[[exemption]]\nsubscription_id = "{GUID}"\nstatus = "granted"\ndate = "soon"', False),
        (f'[[subscription]]\nid = "{GUID}"\noffer_class = "MCA-E"\nregistered_on = "2016-03-01"', True),
        ('[scope]\ntenant_ids = ["contoso.com\\n"]', False),
        ('[engine]\nscheduler = "\\n"', False),
        ('[report]\noutput_dir = ""', False),
        ('[report]\noutput_dir = "https://a.blob.core.windows.net/c"', True),
        ('[notify.mail]\nhost = "h"\nport = 25\nfrom = "a@b.c"\nto = ["d@e.f"]', False),
        ('[notify.mail]\nhost = "::1"\nfrom = "a@b.c"\nto = ["d@e.f"]', True),
    ],
)
def test_the_schema_takes_what_the_loader_takes(tmp_path, text, taken):
    """An editor neither marks what can be meant nor lets through what cannot."""
    path = tmp_path / "auditor.toml"
    path.write_text(text)
    ways = (
        (UsageError, lambda: config.load(path)),
        (jsonschema.ValidationError, lambda: jsonschema.validate(tomllib.loads(text), json.loads(config.schema()))),
    )
    for error, look in ways:
        with nullcontext() if taken else pytest.raises(error):
            look()


def test_example_and_schema_come_whatever_the_file_says(tmp_path):
    """Who has a wrong file is helped by both; `--check` refuses it with file and key."""
    (tmp_path / "auditor.toml").write_text("[polcy]\n")
    assert run("config", "--example", cwd=tmp_path).out == config.example()
    assert json.loads(run("config", "--schema", cwd=tmp_path).out)["title"] == "auditor.toml"
    for way in ("--check", "--show"):
        done = run("config", way, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert "auditor.toml: polcy is an unknown table" in done.err


def test_the_command_shows_options_and_file(tmp_path):
    """What `scan` would go by with these options, on stdout and alone there."""
    (tmp_path / "auditor.toml").write_text('[report]\noutput_dir = "audits"\n')
    done = run("config", "--show", "--fail-on", "high", "--no-progress", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert re.search(r'^output_dir = "audits" +# auditor.toml$', done.out, re.MULTILINE)
    assert re.search(r'^fail_on = "high" +# --fail-on$', done.out, re.MULTILINE)
    assert re.search(r"^progress = false +# --no-progress$", done.out, re.MULTILINE)
    done = run("config", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "auditor.toml: ok\n")
