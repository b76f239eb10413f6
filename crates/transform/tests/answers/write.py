"""Writes duckdb.txt: expressions over a small table, with DuckDB's answer for each row.

    pip install duckdb && python3 write.py > duckdb.txt

A row for which DuckDB fails has the answer `!`. Answers were taken from DuckDB 2.0.1.
"""
import duckdb

COLUMNS = [
    ("i", "bigint", "0|7|-7|9223372036854775807|-9223372036854775808|NULL|1000|3"),
    ("j", "bigint", "2|2|3|2|-1|5|NULL|-4"),
    ("d", "double", "0.5|-2.5|nan|inf|-0.0|NULL|1e300|1234.5678"),
    ("e", "double", "0.5|3.0|1.0|nan|0.0|1.0|1e300|NULL"),
    ("s", "varchar", "|héllo|Pause|  x |12|NULL|%_a|straße"),
    ("u", "varchar", "|l|pause|x|1.5|a|NULL|S"),
    ("b", "boolean", "true|false|NULL|true|false|NULL|true|NULL"),
    ("c", "boolean", "true|true|true|false|false|false|NULL|NULL"),
    ("m", "decimal(10,2)", "0.00|1.55|-1.55|99999999.99|-0.01|NULL|2.50|-2.50"),
    ("n", "decimal(6,4)", "1.0000|0.5000|-0.2500|99.9999|1.5500|1.0000|NULL|2.5000"),
    ("y", "date", "2024-02-29|1970-01-01|1969-12-31|2024-12-30|2000-01-01|NULL|1600-03-01|2021-01-03"),
    ("t", "timestamp", "2024-02-29 12:34:56.789012|1970-01-01 00:00:00|1969-12-31 23:59:59.999999|2024-12-30 00:00:00"
        "|2000-01-01 06:00:00|NULL|1600-03-01 01:02:03|2021-01-03 23:00:00.5"),
    ("z", "timestamptz", "2024-02-29 12:34:56.789012+00|1970-01-01 00:00:00+00|1969-12-31 23:59:59.999999+00|2024-12-30 01:00:00+01"
        "|2000-01-01 06:00:00+00|NULL|1600-03-01 01:02:03+00|2021-01-03 23:00:00.5+00"),
]

EXPRESSIONS = """
i + j
i - j
i * j
i / j
-i
+i
-d
-m
i % j
i // j
i + 1.5::double
d + e
d - e
d * e
d / e
d % e
m + n
m - n
m * n
m % n
m / n
m + i
m * 2
m + d
(d + 1) / (d + 1 + 2 * e) - d
-(d * 2 + e) % 3
d + j * 2 + 1.5::double
(d + 1) * coalesce(e, 2) - coalesce(e, 2)
d * e + NULL
y + 1
1 + y
y - 1
y - date '2024-01-01'
t + interval '1 day 2 hours'
t - interval '1 month'
interval 90 minutes + t
y + interval '1 month'
z - interval '10 minutes'
i < j
i <= j
i > 6
7 = i
i <> 7
d < e
d <= e
d > e
d >= e
d = e
d <> e
d < 1
d > 1e299
d >= 'nan'::double
0.0::double = d
m < n
m = 1.55::decimal(3,2)
m > d
m >= 1
i < d
s < u
s = u
s <> 'Pause'
s >= 'Pause'
b = c
b < c
y < date '2024-01-01'
y < t
t >= timestamp '2024-02-29 12:34:56.789012'
z = timestamptz '2024-02-29 13:34:56.789012+01'
i is distinct from j
d is distinct from e
d is not distinct from 'nan'::double
s is distinct from NULL
b is not distinct from c
b and c
b or c
not b
b and c and i > 0
b or c or i > 0
b is true
b is not true
b is false
b is not false
b is unknown
b is not unknown
s is null
s is not null
b = NULL
i between 0 and 10
i not between j and 10
d between e and 1e301
i between NULL and 0
s between 'A' and 'a'
i in (7, 1000)
i in (7, NULL)
i not in (7, NULL)
i in (0, 7, 3, -7, 1000, 5)
i not in (0, 7, 3, -7, 1000, NULL)
i in (j, 7)
d in (0, 'nan'::double)
s in ('', 'Pause')
s in ('', 'Pause', 'x', 'y', 'z')
s not in ('', 'Pause', 'x', 'y', NULL)
s in (u, '12')
s like '%l%'
s like 'h_llo'
s like '_'
s like ''
s like '%'
s not like 'P%'
s ilike 'p%e'
s ilike 'STRASSE'
s like '%e'
s like '$%$_%' escape '$'
s like '%s_r%ß%'
s like u || '%'
s ilike '%' || u || '%'
case when i > 0 then 'plus' when i < 0 then 'minus' end
case when b then 1 else 2.5::double end
case s when 'Pause' then 1 when '' then 2 else 3 end
case i when 7 then s else u end
case when i = 0 then NULL else 10 // i end
coalesce(s, u, 'none')
coalesce(i, j)
coalesce(i, 0)
coalesce(i, d)
coalesce(NULL, b, c)
ifnull(s, 'none')
nullif(i, 7)
nullif(i, 7.0::double)
nullif(s, u)
nullif(d, e)
greatest(i, j)
least(i, j)
greatest(d, e)
least(d, e, 1)
greatest(s, u)
least(s, u, NULL)
greatest(i, d)
s || u
s || '-' || u
concat(s, u)
concat(s, NULL, '!')
abs(i)
abs(d)
abs(m)
sign(i)
sign(d)
sign(m)
round(d)
round(d, 1)
round(d, -2)
round(i)
round(i, -1)
round(i, 2)
round(m)
round(m, 1)
round(m, 3)
floor(d)
ceil(d)
ceiling(d)
trunc(d)
floor(i)
floor(m)
ceil(m)
trunc(m)
sqrt(d)
sqrt(j)
ln(d)
log(i)
log10(e)
log2(e)
exp(e)
pow(d, 2)
power(j, 0.5::double)
pow(j, 3)
mod(i, j)
mod(d, 2)
isnan(d)
isinf(d)
isfinite(d)
isnan(i)
lower(s)
upper(s)
upper(u)
length(s)
trim(s)
ltrim(s)
rtrim(s)
trim(s, 'hP ')
trim(s, u)
substr(s, 2)
substr(s, 2, 2)
substr(s, 0)
substr(s, 0, 3)
substr(s, -3)
substr(s, -3, 2)
substr(s, -10, 7)
substr(s, 2, -1)
substr(s, 4, -2)
substr(s, 10)
substr(s, 1, 0)
substr(s, -3, -1)
substr(s, j)
substr(s, j, 2)
substring(s, 2, 3)
substring(s from 2 for 2)
starts_with(s, u)
starts_with(s, 'h')
ends_with(s, 'o')
suffix(s, u)
prefix(s, u)
contains(s, u)
contains(s, '')
position('l' in s)
replace(s, 'l', 'LL')
replace(s, u, '-')
replace(s, '', '-')
epoch_ms(z)
epoch_us(z)
epoch(z)
epoch(y)
epoch_ms(y)
epoch_ms(t)
date_trunc('microsecond', t)
date_trunc('millisecond', t)
date_trunc('second', t)
date_trunc('minute', t)
date_trunc('hour', t)
date_trunc('day', t)
date_trunc('week', t)
date_trunc('month', t)
date_trunc('quarter', t)
date_trunc('year', t)
date_trunc('decade', t)
date_trunc('century', t)
date_trunc('millennium', t)
date_trunc('hour', z)
date_trunc('day', z)
date_trunc('month', y)
date_part('year', t)
date_part('month', t)
date_part('day', t)
date_part('hour', t)
date_part('minute', t)
date_part('second', t)
date_part('millisecond', t)
date_part('microsecond', t)
date_part('epoch', t)
date_part('dow', t)
date_part('isodow', t)
date_part('doy', t)
date_part('week', t)
date_part('isoyear', t)
date_part('quarter', t)
date_part('decade', t)
date_part('century', t)
date_part('millennium', t)
date_part('hour', y)
date_part('hour', z)
extract(year from z)
extract(dow from y)
extract(epoch from t)
year(t)
month(y)
day(z)
hour(t)
minute(t)
second(t)
cast(i as double)
cast(i as varchar)
cast(i as boolean)
cast(i as decimal(5,2))
cast(i as decimal(38,2))
cast(d as bigint)
cast(d as decimal(6,1))
cast(d as boolean)
cast(b as bigint)
cast(b as double)
cast(b as decimal(3,1))
cast(m as double)
cast(m as bigint)
cast(m as boolean)
cast(m as decimal(10,1))
cast(m as decimal(6,3))
cast(n as double)
cast(s as bigint)
try_cast(s as bigint)
cast(u as double)
try_cast(u as double)
cast(u as decimal(3,1))
try_cast(u as bigint)
try_cast(s as boolean)
cast(y as timestamp)
cast(y as timestamptz)
cast(t as date)
cast(t as timestamptz)
cast(z as timestamp)
cast(z as date)
i::double + 1
cast(s || '' as varchar)
cast(cast(i as varchar) as bigint)
cast(cast(d as varchar) as double)
cast(cast(t as varchar) as timestamp)
cast(cast(z as varchar) as timestamptz)
cast(cast(y as varchar) as date)
cast(cast(m as varchar) as decimal(10,2))
2.5::double::bigint
(-2.5)::double::bigint
' 42 '::bigint
'1e3'::bigint
'1.5'::bigint
'-2.5'::bigint
'1_000'::bigint
'1_'::bigint
''::bigint
'9223372036854775808'::bigint
'-9223372036854775808'::bigint
'.5'::bigint
'5.'::bigint
'1e-1'::bigint
'1.49999999999999999999'::bigint
'-'::bigint
'infinity'::double
'-nan'::double
'1e400'::double
'1_0.5'::double
'1e'::double
'.'::double
'1.005'::decimal(5,2)
'1.004999'::decimal(5,2)
'-.5'::decimal(5,2)
'1e2'::decimal(5,2)
'1234.5'::decimal(5,2)
''::decimal(5,2)
'yEs'::boolean
' true'::boolean
'off'::boolean
'2024-1-5'::date
'2024/01/05'::date
' 2024-01-05 '::date
'2024-02-30'::date
'2024-01-05 10:00:00'::date
'2024-01-05T10:00:00.1234567'::timestamp
'2024-01-05 10:00'::timestamp
'2024-01-05 10'::timestamp
'2024-01-05'::timestamp
'2024-01-05 10:00:00+02'::timestamp
'2024-01-05 24:00:00'::timestamp
'2024-01-05 10:00:60'::timestamp
'2024-01-05 10:00:00+02:30'::timestamptz
'2024-01-05 10:00:00 UTC'::timestamptz
1e20::double
1e15::double
1e16::double
0.0001::double
0.00001::double
-0.05::decimal(5,2)
NULL and false
NULL or true
not NULL
NULL is distinct from NULL
1 in (2, NULL)
true and not false
""".strip().splitlines()


def literal(value, kind):
    return "NULL" if value == "NULL" else f"CAST('{value}' AS {kind})"


def main():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    values = [values.split("|") for _, _, values in COLUMNS]
    rows = list(zip(*values, strict=True))
    for at, row in enumerate(rows):
        cells = ", ".join(f"{literal(value, kind)}::{kind} AS {name}" for value, (name, kind, _) in zip(row, COLUMNS))
        columns = ", ".join(f"{name} {kind}" for name, kind, _ in COLUMNS)
        connection.execute(f"CREATE TABLE row{at} ({columns})")
        connection.execute(f"INSERT INTO row{at} SELECT {cells}")
    for name, kind, cells in COLUMNS:
        print(f"{name}\t{kind}\t{cells}")
    print()
    for expression in EXPRESSIONS:
        answers = []
        for at in range(len(rows)):
            try:
                answer = connection.execute(f"SELECT CAST(({expression}) AS varchar) FROM row{at}").fetchone()[0]
                answers.append("NULL" if answer is None else answer.replace("-nan", "nan"))
            except duckdb.Error as error:
                if "Conversion" not in type(error).__name__ and "OutOfRange" not in type(error).__name__ and "InvalidInput" not in type(error).__name__:
                    raise
                answers.append("!")
        print(f"{expression}\t" + "|".join(answers))


main()
