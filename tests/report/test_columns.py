"""The columns: names, order, titles."""

import csv

import msgspec
import pytest

from auditor.model.finding import Finding, NicFinding
from auditor.report.changes import CHANGE_COLUMNS
from auditor.report.columns import (
    ACTION_COLUMNS,
    COLUMNS,
    COVERAGE_COLUMNS,
    FIREWALL_COLUMNS,
    NIC_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    SUPPRESSED_COLUMNS,
    row,
)
from auditor.report.content import CoverageRow
from auditor.report.labels import Labels, languages
from auditor.report.tables import content
from auditor.report.write import write_report
from tests.report.factory import SCANNED, PlainWords, finding, report

CONTRACT = (
    "subscription_id,subscription,resource_group,vm,vm_id,vmss,location,kind,power_state,created,owner,intent,quota_id,"
    "offer_class,registered,registered_evidence,exemption,nic_id,private_ip,vnet_id,subnet_id,path,path_detail,"
    "via_azure_firewall,firewall_id,firewall_subscription_id,egress_id,egress_ip,rules,rules_decided_by,firewall_rules,"
    "firewall_rule,platform,platform_2018_11,platform_2025_07,platform_observed,smtp,decided_by,allowed_to,ipv6,risk,"
    "reasons,action_code,action,doc_url,confidence,gaps,trail,scanned_at"
)
ADDED = "suppressed"
FRONT = "vm,risk,smtp,subscription,owner,intent,path,via_azure_firewall,decided_by,action"
KEYS = [column.key for column in COLUMNS]
TABLES = (
    COLUMNS,
    NIC_COLUMNS,
    ACTION_COLUMNS,
    FIREWALL_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    SUPPRESSED_COLUMNS,
    CHANGE_COLUMNS,
    COVERAGE_COLUMNS,
)


def test_columns_of_the_contract():
    """`vms.csv` has the contract's columns in the contract's order; what was added stands behind them."""
    assert ",".join(KEYS) == f"{CONTRACT},{ADDED}"


def test_header_of_the_file(tmp_path):
    """The header row holds the same names."""
    folder = write_report(report([finding()]), tmp_path, ["csv"], PlainWords())
    with (folder / "vms.csv").open(encoding="utf-8", newline="") as file:
        assert ",".join(next(csv.reader(file))) == f"{CONTRACT},{ADDED}"


def test_ten_columns_are_read_first():
    """Ten columns stand in front, each in a place of its own."""
    front = sorted((column for column in COLUMNS if column.front), key=lambda column: column.front)
    assert ",".join(column.key for column in front) == FRONT


def test_every_field_of_a_finding_is_shown():
    """Only the target of the action and the nested values have no column of their own."""
    hidden = {"action_target", "steps", "nics"}
    assert set(Finding.__struct_fields__) - hidden == set(KEYS) - {"action", "scanned_at"}
    assert set(NicFinding.__struct_fields__) <= {column.key for column in NIC_COLUMNS}
    assert set(CoverageRow.__struct_fields__) == {column.key for column in COVERAGE_COLUMNS}


@pytest.mark.parametrize("columns", TABLES)
def test_keys_are_unique(columns):
    """No table has a column twice."""
    assert len({column.key for column in columns}) == len(columns)


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("columns", TABLES)
def test_titles_are_there_and_differ(columns, lang):
    """Every column has a title in every language, and no two of a table are alike, as an Excel table demands."""
    titles = [Labels.load(lang).columns[column.title].casefold() for column in columns]
    assert len(set(titles)) == len(titles)


def test_row():
    """Lists are joined as the contract says; the action is put in words with the resource's name."""
    base = finding(
        reasons=("no-nsg", "public-ip"),
        gaps=("route table a", "route table b"),
        allowed_to=("40.92.0.0/15", "Storage"),
        action_code="use-relay",
        action_target="/subscriptions/s/resourceGroups/rg/providers/x/y/nsg-1",
    )
    cells = dict(zip(KEYS, row(base, PlainWords(), SCANNED), strict=True))
    assert cells["reasons"] == "no-nsg;public-ip"
    assert cells["gaps"] == "route table a; route table b"
    assert cells["allowed_to"] == "40.92.0.0/15, Storage"
    assert cells["action"] == f"use-relay on nsg-1 for {base.vm}"
    assert cells["scanned_at"] == SCANNED
    scalar = [f.name for f in msgspec.structs.fields(Finding) if f.type is str or f.type == "str"]
    assert {key: cells[key] for key in scalar if key in cells} == {k: getattr(base, k) for k in scalar if k in cells}


def test_cells_are_text_or_whole_numbers():
    """A column of kind number holds whole numbers and nothing else does."""
    prepared = content(report([finding(n) for n in range(3)]), PlainWords())
    for table in prepared.tables:
        for _, cells in table.chunks(prepared.context):
            for column, values in zip(table.columns, cells, strict=True):
                assert {type(value) for value in values} == {int if column.kind == "number" else str}, column.key
