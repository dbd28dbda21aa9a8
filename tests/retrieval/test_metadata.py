"""The table beside a folder of recordings: what is understood, and that one bad row or cell costs only itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders.errors import InputError, QueryError
from encoders.patient import hash_patient
from retrieval.metadata import CONTRACT, MetadataTable, TableRow, statements_in


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))


def rows(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[MetadataTable, list[TableRow]]:
    (tmp_path / "table.csv").write_text(text, encoding=encoding)
    table = MetadataTable(tmp_path / "table.csv", tmp_path / "ward")
    return table, list(table)


def test_every_column_and_every_separator(tmp_path: Path) -> None:
    for separator, encoding in ((",", "utf-8-sig"), (";", "cp1252"), ("\t", "utf-8")):
        header = separator.join(["Case_ID", "FILE", "Patient", "Age", "Gender", "Codes", "where", "Größe", "name"])
        row = separator.join(["a", "day1/r1", "17.0", "63.5", "Female", '"AFIB;LVH:80"', "archive 7", "180", "Müller"])
        table, (only,) = rows(tmp_path, f"{header}\n{row}\n", encoding)
        assert table.ignored == ("Größe", "name")
        record = only.record
        assert record is not None and only.remarks == () and only.line == 2
        assert (record.case_id, record.own_id, record.file, record.age_years, record.sex) == ("a", True, "day1/r1", 63.5, "F")
        assert record.statements == {"AFIB": 100.0, "LVH": 80.0} and record.at == "archive 7"
        assert record.patient == hash_patient("17")


def test_what_is_left_out_is_left_open(tmp_path: Path) -> None:
    _, (only,) = rows(tmp_path, "file,age,sex,patient,statements\nr1.hea,?,unknown,,n/a\n")
    assert only.record is not None and only.remarks == ()
    assert only.record.case_id == "r1" and not only.record.own_id and only.record.at == "ward/r1.hea"
    assert (only.record.age_years, only.record.sex, only.record.patient, only.record.statements) == (None, None, None, {})


def test_a_bad_row_costs_only_itself(tmp_path: Path) -> None:
    _, found = rows(
        tmp_path,
        "file,id,age\nr1,a,50\nr2,a,51\n,c,52\nr4,d\nr5,e,5,5\n\"r6,f,56\nr7,g,57\n\nr8,h,58",
    )  # fmt: skip
    assert [row.record.case_id for row in found if row.record is not None] == ["a", "g", "h"]
    said = {row.line: row.remarks for row in found if row.record is None}
    assert {line: remark for line, (remark,) in said.items()} == {
        3: "Row 3 has the id of row 2; give each row its own id.",
        4: "Row 4 names no file; fill in the column for the file.",
        5: "Row 5 has 2 cells where the header has 3; mend the row, or quote its commas.",
        6: "Row 6 has 4 cells where the header has 3; mend the row, or quote its commas.",
        7: "Row 7 has quotes that do not close; put quotes round whole cells and keep a row on one line.",
    }


def test_a_bad_cell_costs_only_itself(tmp_path: Path) -> None:
    table, found = rows(
        tmp_path, "file,age,sex,statements\nr1,old,X,LVH:300\nr2,430,1,\"{'LVH'\"\nr3,\"63,5\",w,Atrial fibrillation; FOO BAR\n"
    )
    assert [row.record is not None for row in found] == [True] * 3
    assert [len(row.remarks) for row in found] == [3, 3, 1]
    assert all(f"Row {row.line}" in remark and remark.endswith(".") for row in found for remark in row.remarks)
    assert found[2].record is not None and found[2].record.statements == {"AFIB": 100.0} and found[2].record.age_years == 63.5
    assert dict(table.unknown_codes) == {"FOO": [4], "BAR": [4]}


@pytest.mark.parametrize(
    ("text", "codes", "unknown"),
    [
        ("AFIB;LVH:80", {"AFIB": 100.0, "LVH": 80.0}, ()),
        ("norm sr", {"NORM": 100.0, "SR": 100.0}, ()),
        ("{'SR': 0.0, 'IMI': 80.0}", {"SR": 0.0, "IMI": 80.0}, ()),
        ("LAO/LAE, PRC(S):50", {"LAO/LAE": 100.0, "PRC(S)": 50.0}, ()),
        ("Left bundle branch block|XYZ", {"CLBBB": 100.0}, ("XYZ",)),
        ("bundle branch block", {}, ("bundle", "branch", "block")),  # names several statements: not for a table to guess
        ("", {}, ()),
    ],
)
def test_statements(text: str, codes: dict[str, float], unknown: tuple[str, ...]) -> None:
    assert statements_in(text) == (codes, unknown)


@pytest.mark.parametrize("text", ["LVH:eighty", "LVH:-1", "{'LVH': 'x'}", "{1", "{'LVH': [1]}", "{" * 300])
def test_statements_that_cannot_be_read(text: str) -> None:
    with pytest.raises(QueryError, match="case goes in without"):
        statements_in(text)


def test_a_table_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one named file is needed"):
        rows(tmp_path, "name,age\nx,3\n")
    with pytest.raises(InputError, match="'age' stands twice"):
        rows(tmp_path, "file,age,Age\nx,3,4\n")
    with pytest.raises(InputError, match="cannot be read"):
        MetadataTable(tmp_path / "none.csv", tmp_path)


def test_the_contract_names_what_is_understood() -> None:
    for column in ("file", "id", "patient", "age", "sex", "statements", "where"):
        assert f"\n  {column}" in CONTRACT
    assert max(map(len, CONTRACT.splitlines())) <= 125
