"""Writes the corpus: expressions over tables of edge values, with DuckDB's answer for each row.

    scripts/expressions.sh        (or: pip install 'duckdb==2.0.1' && python3 write.py [FOLDER])

One file a table. First its columns, a line each: name, type, cells. Then a blank line and the cases: expression,
type of the answer, answers. Cells and answers are separated by `|`; `~` is NULL, `!` a row that fails; a backslash
escapes those three, itself, a line end (`\\n`) and a tab (`\\t`). A line that starts with `#` says why the case
below it has another answer in tidewatch, or is refused, on purpose: then the answers must differ.
"""
import itertools
import pathlib
import re
import sys

import duckdb

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cases import DIFFERENT, TABLES  # noqa: E402

FOLDER = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
ROW_FAILURES = ("ConversionException", "OutOfRangeException", "InvalidInputException", "NotImplementedException")
KINDS = {
    "INTEGER": "bigint", "BIGINT": "bigint", "SMALLINT": "bigint", "TINYINT": "bigint", "HUGEINT": "bigint",
    "UBIGINT": "bigint", "DOUBLE": "double", "VARCHAR": "varchar", "BOOLEAN": "boolean", "DATE": "date",
    "TIMESTAMP": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamptz", '"NULL"': "null",
}


def escaped(value):
    if value is None:
        return "~"
    text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    for mark in "|~!":
        text = text.replace(mark, "\\" + mark)
    return text


def doubles(sql):
    """A literal with a point is a double in tidewatch, a decimal in DuckDB."""
    pieces = re.split(r"('(?:[^']|'')*')", sql)
    literal = r"(?<![\w.])(\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)(?![\w.])"
    return "".join(piece if at % 2 else re.sub(literal, r"CAST(\1 AS DOUBLE)", piece) for at, piece in enumerate(pieces))


def answer(connection, sql, table):
    """The answers of all rows, or of each row alone if some row fails."""
    try:
        rows = connection.execute(f"SELECT CAST(({sql}) AS varchar) FROM {table} ORDER BY row").fetchall()
        return [value for (value,) in rows]
    except duckdb.Error as error:
        if type(error).__name__ not in ROW_FAILURES:
            raise
    answers = []
    for row in range(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]):
        try:
            answers.append(connection.execute(f"SELECT CAST(({sql}) AS varchar) FROM {table}_{row}").fetchone()[0])
        except duckdb.Error as error:
            if type(error).__name__ not in ROW_FAILURES:
                raise
            answers.append(False)
    return answers


def shown(value):
    if value is False:
        return "!"
    # DuckDB writes the sign of some NaN, which has no meaning.
    return escaped(value.replace("-nan", "nan") if value in ("-nan", "nan") else value)


def write(connection, name, columns, cases):
    """One file: `columns` are (name, type, cells), `cases` expressions, or pairs (ours, DuckDB's)."""
    height = len(columns[0][2])
    assert all(len(cells) == height for _, _, cells in columns), name
    declared = ", ".join(f"{column} {kind}" for column, kind, _ in columns)
    for table in [name] + [f"{name}_{row}" for row in range(height)]:
        connection.execute(f"CREATE TABLE {table} (row INTEGER, {declared})")
    for row in range(height):
        cells = [cells[row] for _, _, cells in columns]
        casts = ", ".join(f"CAST(? AS {kind})" for _, kind, _ in columns)
        for table in (name, f"{name}_{row}"):
            connection.execute(f"INSERT INTO {table} SELECT {row}, {casts}", cells)
    lines = [f"{column}\t{kind}\t" + "|".join(escaped(cell) for cell in cells) for column, kind, cells in columns]
    lines.append("")
    seen = set()
    for case in cases:
        ours, theirs = case if isinstance(case, tuple) else (case, case)
        if ours in seen:
            continue
        seen.add(ours)
        theirs = doubles(theirs)
        try:
            kind = connection.execute(f"SELECT typeof({theirs}) FROM {name}_0").fetchone()
            answers = answer(connection, theirs, name)
        except duckdb.Error as error:
            print(f"{name}: {ours}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        try:
            kind = connection.execute(f"DESCRIBE SELECT {theirs} AS x FROM {name}").fetchone()[1]
        except duckdb.Error:
            kind = kind[0]
        kind = "decimal" if kind.startswith("DECIMAL") else KINDS[kind]
        if ours in DIFFERENT:
            lines.append(f"# {DIFFERENT[ours]}")
        lines.append(f"{escaped(ours)}\t{kind}\t" + "|".join(shown(value) for value in answers))
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def main():
    for table in TABLES:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        write(connection, *table)


main()
