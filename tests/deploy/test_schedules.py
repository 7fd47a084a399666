"""Each schedule is valid by its platform's own schema and runs a command that the program understands, as least user."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator
from typer.main import get_command

from auditor import cli, config
from auditor.collect.role import least
from tests.pages import BLOCKS, commands
from tests.program import ROOT

DEPLOY = ROOT / "deploy"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GITHUB = [*WORKFLOWS, DEPLOY / "github-actions" / "auditor.yml"]
BICEP = sorted((DEPLOY / "container-apps").glob("*.bicep"))
KUBERNETES = "1.34.0"


def schema(name: str) -> Draft7Validator:
    """A schema of those that check-jsonschema brings, which are copies of SchemaStore's."""
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return Draft7Validator(json.loads((folder / f"{name}.json").read_text("utf-8")))


def load(path: Path) -> Any:
    """A YAML file as its platform reads it: `on` is a key, not a truth value."""
    return yaml.load(path.read_text("utf-8"), Loader=_Loader)


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def understood(command: str | list[str]) -> dict[str, Any]:
    """The parameters that the program's own parser makes of a command line."""
    name, *rest = shlex.split(command) if isinstance(command, str) else command
    program: Any = get_command(cli.app)
    return dict(program.commands[name].make_context(name, rest).params)


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


# ---- GitHub


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_workflow_is_one(path):
    """GitHub's workflow schema takes it."""
    assert [error.message for error in schema("github-workflows").iter_errors(load(path))] == []


def test_dependabot_config_is_one():
    """Dependabot's schema takes the config, which asks for every kind of dependency there is."""
    found = load(ROOT / ".github" / "dependabot.yml")
    assert [error.message for error in schema("dependabot").iter_errors(found)] == []
    assert {each["package-ecosystem"] for each in found["updates"]} == {"pip", "github-actions", "docker"}
    assert all((ROOT / each["directory"].strip("/")).is_dir() for each in found["updates"])


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_actions_are_pinned(path):
    """Other people's actions are named by commit, with the version beside; one SHA has one version everywhere."""
    used = re.findall(r"uses: (\S+)(?: # (v[\d.]+))?$", path.read_text("utf-8"), re.MULTILINE)
    assert used
    for action, version in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action)
        assert version


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_workflow_may_little(path):
    """By default a workflow reads; a token for OIDC is asked for where it is used; no stored secret is read."""
    found = load(path)
    assert found["permissions"].get("contents") == "read"
    assert set(found["permissions"]) <= {"contents", "id-token"}
    assert "${{ secrets." not in path.read_text("utf-8")
    assert all("timeout-minutes" in job for job in found["jobs"].values())
    checkouts = [s for s in steps(path) if s.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_is_installed_by_its_name_alone():
    """Whoever holds a name on an index can put anything there: schedules install a wheel that lies beside, pinned."""
    said = "".join(
        path.read_text("utf-8") for path in (*DEPLOY.rglob("*.*"), ROOT / "docs" / "schedule.md") if path.is_file()
    )
    installs = re.findall(r"pip install (.*)", said)
    assert len(installs) == 3
    assert all(each.startswith("-c constraints.txt") and ("./" in each or "'.[" in each) for each in installs)


def test_expressions_do_not_reach_a_shell():
    """What an outsider can name (a branch, a title) is never pasted into a script."""
    scripts = [step["run"] for path in GITHUB for step in steps(path) if "run" in step]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []


def test_release_publishes_without_a_token():
    """Trusted publishing: only the job `publish` has an identity, an environment guards it, it takes what was built."""
    found = load(ROOT / ".github" / "workflows" / "release.yml")
    publish = found["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert publish["needs"] == "build"
    assert "permissions" not in found["jobs"]["build"]
    runs = [step.get("run") for step in found["jobs"]["build"]["steps"]]
    assert runs.index(".ci/run") < runs.index(".ci/release")


def test_scan_from_github_signs_in_by_oidc():
    """The schedule asks for an OIDC token, signs in by it, and keeps the reports whatever the exit code."""
    path = DEPLOY / "github-actions" / "auditor.yml"
    assert load(path)["permissions"]["id-token"] == "write"
    assert "private repository" in path.read_text("utf-8").replace("\n# ", " ")
    (scan,) = (step["run"] for step in steps(path) if step.get("run", "").startswith("auditor "))
    assert understood(scan.removeprefix("auditor "))["collect_auth"] == "cli"
    upload = next(step for step in steps(path) if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert upload["if"] == "always()"
    assert upload["with"]["path"].split() == ["reports/latest/", "reports/outbox/2*/"]
    assert upload["with"]["if-no-files-found"] == "ignore", "with Blob Storage nothing lies here"


# ---- Azure DevOps


def test_pipeline_is_one():
    """Azure Pipelines' schema takes it; the scan runs signed in by the service connection and its reports are kept."""
    text = (DEPLOY / "azure-devops" / "azure-pipelines.yml").read_text("utf-8")
    found = yaml.load(text, Loader=yaml.BaseLoader)  # its schema knows strings only
    tasks = {step["task"]: step for step in found["jobs"][0]["steps"] if "task" in step}
    signed_in = tasks["AzureCLI@2"]["inputs"]
    signed_in["keepAzSessionActive"] = signed_in["keepAzSessionActive"] == "true"  # but for the inputs of tasks
    assert signed_in["keepAzSessionActive"]
    assert [error.message for error in schema("azure-pipelines").iter_errors(found)] == []
    script = tasks["AzureCLI@2"]["inputs"]["inlineScript"]
    assert understood(script.removeprefix("auditor "))["collect_auth"] == "cli"
    publish = tasks["PublishPipelineArtifact@1"]
    assert publish["condition"] == "and(always(), ne(variables['kept'], ''))"
    assert publish["inputs"]["targetPath"] == "$(kept)"


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        pytest.param((), "", id="nothing"),
        pytest.param(("outbox",), "", id="delivered"),
        pytest.param(("outbox/2026-11-26T02-17-10Z",), "outbox/2026-11-26T02-17-10Z", id="not-delivered"),
        pytest.param(("2026-11-26T02-17-10Z",), "2026-11-26T02-17-10Z", id="folder"),
    ],
)
def test_pipeline_finds_the_report_to_keep(tmp_path, there, kept):
    """The last report, or the one that Blob Storage did not take; neither is no failure."""
    for name in there:
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        if folder.name.endswith("Z"):
            folder.with_name("latest").symlink_to(folder.name)
    found = load(DEPLOY / "azure-devops" / "azure-pipelines.yml")["jobs"][0]["steps"]
    (step,) = (step for step in found if step.get("displayName") == "look for reports")
    assert step["condition"] == "always()"
    done = subprocess.run(["sh", "-ec", step["script"]], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = f"##vso[task.setvariable variable=kept]{tmp_path.resolve()}/reports/{kept}\n"
    assert done.stdout == (said if kept else "")


# ---- a container


def test_container_runs_as_the_page_says():
    """The command of schedule.md is one of the program's; config and work folder lie where the mounts put them."""
    text = next(b.text for b in BLOCKS if b.page.name == "schedule.md" and b.text.startswith("docker build"))
    (words,) = (words for words in commands(text) if "--env-file" in words)
    mounts = [words[at + 1].split(":")[1] for at, word in enumerate(words) if word == "--volume"]
    taken = understood(words[words.index("auditor") + 1 :])
    assert [str(taken["config_file"]), taken["report_work_dir"]] == mounts
    assert re.search(rf"^WORKDIR {mounts[1]}$", (DEPLOY / "container" / "Dockerfile").read_text("utf-8"), re.MULTILINE)


# ---- Kubernetes


def test_manifests_are_valid():
    """Kubernetes' own schema, strict about unknown fields, takes each manifest."""
    found = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "auditor.yaml").read_text("utf-8")))
    assert [each["kind"] for each in found] == ["Namespace", "ServiceAccount", "ConfigMap", "CronJob"]
    for each in found:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_pod_has_a_workload_identity_and_no_more(tmp_path):
    """It is signed in by the service account, runs as nobody, writes only where it must, and its config is one."""
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "auditor.yaml").read_text("utf-8"))
    _, account, settings, job = manifests
    path = tmp_path / "auditor.toml"
    path.write_text(settings["data"]["auditor.toml"].replace("ACCOUNT", "contoso"), "utf-8")
    assert config.load(path).report.baseline == "latest"
    template = job["spec"]["jobTemplate"]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert account["metadata"]["annotations"]["azure.workload.identity/client-id"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert pod["automountServiceAccountToken"] is False, "the cluster's own token is of no use to it"
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == int(user())
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    taken = understood(container["args"])
    assert taken["collect_auth"] == "workload-identity"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/config", "/data", "/tmp"} == mounts
    assert str(taken["config_file"]).startswith("/config/")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0


def user() -> str:
    """The user of the container image."""
    uid = re.search(r"^USER (\d+)$", (DEPLOY / "container" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert uid is not None
    return uid[1]


# ---- Container Apps


def arm(name: str) -> Any:
    """A template as ARM takes it."""
    return json.loads((DEPLOY / "container-apps" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("path", BICEP, ids=lambda path: path.name)
def test_bicep_and_its_twin_say_the_same(path):
    """Parameters with their defaults, resources with their versions, and outputs are those of the JSON beside."""
    text, twin = path.read_text("utf-8"), arm(path.stem)
    parameters = re.findall(r"^@description\('(.*)'\)\nparam (\w+) string(?: = (.+))?$", text, re.MULTILINE)
    assert [name for _, name, _ in parameters] == list(twin["parameters"])
    for described, name, default in parameters:
        assert twin["parameters"][name]["metadata"]["description"] == described
        value = twin["parameters"][name].get("defaultValue", "")
        assert value.strip("[]") == default.strip("'")
    kinds = re.findall(r"^resource \w+ '(\S+)@(\S+)' = \{", text, re.MULTILINE)
    assert kinds == [(each["type"], each["apiVersion"]) for each in twin["resources"]]
    assert re.findall(r"^output (\w+) ", text, re.MULTILINE) == list(twin.get("outputs", {}))


@pytest.mark.parametrize("path", BICEP, ids=lambda path: path.name)
def test_bicep_has_every_literal_of_its_twin(path):
    """Each literal text and number of the JSON's properties stands in the Bicep, and brackets are balanced there."""
    text = path.read_text("utf-8")
    literals = [v for each in arm(path.stem)["resources"] for v in _literals(each.get("properties"))]
    assert [value for value in literals if str(value) not in text] == []
    assert all(text.count(opening) == text.count(closing) for opening, closing in ("{}", "[]", "()"))


def _literals(value: Any) -> list[str | int]:
    if isinstance(value, dict):
        return [literal for inner in value.values() for literal in _literals(inner)]
    if isinstance(value, list):
        return [literal for inner in value for literal in _literals(inner)]
    return [] if value is None or str(value).startswith("[") else [value]


def test_expressions_of_the_templates_refer_to_what_is_there():
    """Every parameter and variable that an ARM expression names is declared, and every one declared is used."""
    for path in BICEP:
        twin = arm(path.stem)
        body = json.dumps({key: value for key, value in twin.items() if key != "parameters"})
        defaults = json.dumps([each.get("defaultValue") for each in twin["parameters"].values()])
        assert set(re.findall(r"parameters\('(\w+)'\)", body + defaults)) == set(twin["parameters"])
        assert set(re.findall(r"variables\('(\w+)'\)", body)) == set(twin.get("variables", {}))
        for expression in re.findall(r'"\[(.*?)\]"', body):
            assert expression.count("(") == expression.count(")")


def test_role_is_the_one_the_program_prints():
    """The role of the template is `auditor doctor --role`, to the action, and is given at one management group."""
    role = json.loads(msgspec.json.encode(least([], ["group"])))
    (definition,) = (r["properties"] for r in arm("role")["resources"] if r["type"].endswith("roleDefinitions"))
    (permission,) = definition["permissions"]
    assert (definition["roleName"], definition["description"]) == (role["Name"], role["Description"])
    assert permission == {
        "actions": role["Actions"], "notActions": role["NotActions"],
        "dataActions": role["DataActions"], "notDataActions": role["NotDataActions"],
    }  # fmt: skip
    assert definition["assignableScopes"] == ["[managementGroup().id]"]
    bicep = (DEPLOY / "container-apps" / "role.bicep").read_text("utf-8")
    assert re.findall(r"^ +'(\S+)'$", bicep, re.MULTILINE) == role["Actions"]


def test_job_fetches_its_image_by_its_identity():
    """From a registry that wants a sign-in; where none is named the image is anybody's."""
    (job,) = (r for r in arm("job")["resources"] if r["type"] == "Microsoft.App/jobs")
    said = job["properties"]["configuration"]["registries"]
    assert arm("job")["parameters"]["registryServer"]["defaultValue"] == ""
    assert said.startswith("[if(empty(parameters('registryServer')), createArray(), createArray(createObject('server',")
    (own,) = job["identity"]["userAssignedIdentities"]
    identity = "resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', parameters('name'))"
    assert identity in own
    assert f"'identity', {identity}" in said


def test_job_may_write_to_one_container_only():
    """The job's identity gets no role but the one for blobs, and that on the container of the reports."""
    given = [r for r in arm("job")["resources"] if r["type"].endswith("roleAssignments")]
    assert [r["scope"].partition("(")[0] for r in given] == ["[resourceId"]
    assert "blobServices/containers" in given[0]["scope"]
    assert arm("job")["variables"] == {"blobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe"}


def test_job_runs_what_the_program_understands():
    """The container's arguments, with parameters filled in, are a command line of the program's."""
    (job,) = (r["properties"] for r in arm("job")["resources"] if r["type"] == "Microsoft.App/jobs")
    (container,) = job["template"]["containers"]
    arguments = [re.sub(r"^\[format\('([^']+)'.*$", r"\1", each) for each in container["args"]]
    filled = [
        each.replace("{0}", "30").replace("{1}", "core.windows.net").replace("{2}", "reports") for each in arguments
    ]
    taken = understood(filled)
    assert taken["collect_auth"] == "managed-identity"
    assert taken["report_keep"] == "30"
    assert [each["name"] for each in container["env"]] == ["AZURE_CLIENT_ID"]
    assert job["configuration"]["replicaRetryLimit"] == 0


# ---- systemd


@pytest.mark.parametrize("every", [False, True], ids=["as-it-is", "every-setting"])
def test_units_are_valid(tmp_path, every):
    """`systemd-analyze verify` finds nothing, with a program in the place of the installed one, also where all is
    uncommented that may be."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text("utf-8").replace("/opt/auditor/bin/auditor", "/bin/true")
        text = re.sub(r"(?m)^# (?=[A-Z]\w+=)", "", text) if every else text
        (tmp_path / path.name).write_text(text, "utf-8")
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_service_runs_the_program_shut_in():
    """It runs once as a user of its own, sees no home, writes only its state, and says nothing of secrets."""
    lines = (DEPLOY / "systemd" / "auditor.service").read_text("utf-8").splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert understood(said["ExecStart"].removeprefix("/opt/auditor/bin/auditor "))["config_file"]
    assert (said["Type"], said["DynamicUser"], said["ProtectSystem"], said["ProtectHome"]) == (
        "oneshot", "yes", "strict", "yes",
    )  # fmt: skip
    assert said["UMask"] == "0077"
    assert said["StateDirectoryMode"] == "0700"
    assert said["WorkingDirectory"] == f"/var/lib/{said['StateDirectory']}"
