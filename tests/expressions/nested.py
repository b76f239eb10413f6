"""Expressions over a mixed table, nested as people write them, and constants; where tidewatch means to differ."""

MIXED = [(name, kind, [None if cell == "NULL" else cell for cell in cells.split("|")]) for name, kind, cells in [
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
    ("z", "timestamptz", "2024-02-29 12:34:56.789012+00|1970-01-01 00:00:00+00|1969-12-31 23:59:59.999999+00"
        "|2024-12-30 01:00:00+01|2000-01-01 06:00:00+00|NULL|1600-03-01 01:02:03+00|2021-01-03 23:00:00.5+00"),
]]

MIXED_CASES = """
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
round(d * 100.0 / nullif(i, 0), 2)
coalesce(s, 'unknown') || '-' || coalesce(i::varchar, '?')
CASE WHEN d IS NULL OR isnan(d) THEN 0.0 WHEN isinf(d) THEN sign(d) * 1e9 ELSE round(d, 3) END
upper(left(trim(s), 1)) || lower(substr(trim(s), 2))
length(regexp_replace(coalesce(s, ''), '[^a-zA-Z]', '', 'g'))
date_trunc('hour', t) + INTERVAL 15 MINUTE * (extract(minute FROM t) // 15)
epoch_ms(z) // 60000 * 60000
(epoch_ms(z) - epoch_ms(z) % 86400000) / 1000
CASE extract(isodow FROM y) WHEN 6 THEN 'sat' WHEN 7 THEN 'sun' ELSE 'work' END
date_part('year', t) || '-Q' || date_part('quarter', t)
strftime(t, '%Y') || '-Q' || quarter(t)::varchar
strftime(date_trunc('week', t), '%G-W%V')
greatest(0, least(100, i))
greatest(0.0, least(1.0, d))
CASE WHEN i BETWEEN -10 AND 10 THEN 'small' WHEN abs(i::double) < 1e6 THEN 'medium' ELSE 'large' END
coalesce(nullif(trim(lower(s)), ''), 'n/a')
s IS NOT NULL AND s <> '' AND s NOT LIKE '%\\_%' ESCAPE '\\'
(i % 7 + 7) % 7
i % 2 = 0 AND d > 0 OR b
NOT (b AND c) = (NOT b OR NOT c)
b IS DISTINCT FROM (c OR i > 5)
CASE WHEN b THEN 'x' ELSE NULL END IS NULL
coalesce(b, c, false)::bigint * 10 + coalesce(i > 0, false)::bigint
ln(1 + abs(d)) / ln(2)
1 / (1 + exp(-(d - 0.5) / 2))
sqrt(pow(d, 2) + pow(coalesce(e, 0.0), 2))
degrees(atan2(coalesce(e, 1.0), d))
round(d::decimal(18,4) * 1.1, 2)
floor(d / 10) * 10
CAST(d AS decimal(18,2)) + m
m * 100 / 3
round(m / 3, 2)
(m * i)::varchar
round((m + n) * 1.19, 2)
CAST(m AS bigint) % 10
m::varchar || ' EUR'
split_part(s, 'l', 1) || '|' || split_part(s, 'l', 2)
regexp_extract(s, '^([a-zA-Z]+)', 1)
regexp_extract(concat('user-', i, '@mail'), '(\\d+)', 1)
concat('user-', i::varchar, '@', lower(s))
regexp_matches(s, '^[A-Z][a-z]+$') AND length(s) > 3
regexp_replace(s, '(\\w)(\\w*)', '\\2\\1ay')
md5(concat_ws(':', s, i::varchar))
substr(md5(coalesce(s, '')), 1, 8)
sha256(s || u)
lpad(hex(abs(i % 256)), 2, '0')
reverse(split_part(reverse(coalesce(s, '')), 'l', 1))
replace(replace(s, ' ', ''), 'x', '')
position('a' IN lower(s)) > 0
strpos(lower(s), 'se') - 1
starts_with(lower(s), 'p') OR ends_with(s, 'e')
s LIKE '%' || u || '%' OR u LIKE '%' || s || '%'
s ILIKE '%A%' AND s NOT ILIKE 'p%'
s SIMILAR TO '(P|p).*'
(s || u) IN ('l', 'hél', 'Pausepause')
CASE WHEN s ~ '^\\d+$' THEN s::bigint ELSE -1 END
TRY_CAST(s AS bigint) + 1
coalesce(TRY_CAST(u AS double), 0) * 2
TRY_CAST(s || '.5' AS double)
(s = '12')::bigint + (u = '1.5')::bigint
if(i IS NULL, 'none', if(i < 0, 'neg', 'pos'))
i::double / nullif(j, 0)::double
(i - j)::double / greatest(abs(i), abs(j), 1)
100.0 * i / (i + j)
round(100.0 * j / nullif(j + 3, 0), 1)
date_diff('day', y, t::date)
date_diff('minute', t, t + INTERVAL '90 seconds')
t - INTERVAL '1 day' < t
epoch(t - t::date)
extract(epoch FROM t - date_trunc('day', t)) / 3600
(t - date_trunc('year', t)) > INTERVAL '30 days'
hour(t) * 60 + minute(t)
t::date = y
y BETWEEN DATE '2020-01-01' AND DATE '2024-12-31'
t >= '2020-01-01' AND t < '2025-01-01'
y + INTERVAL '1 month' - INTERVAL '1 day'
last_day(y) = y
date_trunc('month', y) + INTERVAL '1 month' = date_trunc('month', y + INTERVAL '1 month')
dayofyear(y) / 365.25
make_date(year(y), 1, 1) + 59
(y - DATE '1970-01-01') % 7
z AT TIME ZONE 'Asia/Seoul' AT TIME ZONE 'America/New_York'
extract(hour FROM z AT TIME ZONE 'Asia/Seoul')
(z AT TIME ZONE 'Asia/Seoul')::date
date_trunc('day', z AT TIME ZONE 'Asia/Seoul') AT TIME ZONE 'Asia/Seoul'
strftime(z AT TIME ZONE 'Asia/Seoul', '%H:%M')
hour(z AT TIME ZONE 'Europe/Berlin') BETWEEN 9 AND 17
time_bucket(INTERVAL '5 minutes', z)
time_bucket(INTERVAL '1 week', t::date)
z > t - INTERVAL '1 hour'
age(t, TIMESTAMP '2000-01-01 00:00:00') > INTERVAL '20 years'
CAST(z AS date) - y
to_timestamp(epoch(z) + 3600) - INTERVAL '1 hour' = z
epoch_ms(i * 1000 % 100000000)
strptime(strftime(t, '%Y%m%d%H%M%S'), '%Y%m%d%H%M%S')
CASE WHEN t IS NULL THEN 'never' WHEN t < '2000-01-01' THEN 'old' ELSE strftime(t, '%d %b %Y') END
monthname(y) || ' ' || year(y)::varchar
dayname(t)[:3]
xor(i, j) & 255
(i & 15) << 4 | (j & 15)
bit_count(i & 65535)
~(i & 1)
1 << (abs(j) % 10)
-2 ** 2 + i * 0
2 ** 3 ** 2 + j * 0
i + j * 2 - -j
NOT b OR c AND b
i IN (7, j, NULL)
s > u AND s >= u
s || NULL
NULL || s IS NULL
nullif(nullif(i, 7), -7)
coalesce(NULL, NULL, i, 0)
CASE WHEN NULL THEN 1 ELSE i END
CASE i WHEN j THEN 'same' ELSE 'other' END
CASE WHEN i / j > 1 THEN i ELSE j END
CASE WHEN j = 0 THEN NULL ELSE i % j END
d = e OR (d IS NULL AND e IS NULL)
d <> d
d > 0 IS TRUE
(d > 0) IS NOT FALSE
isnan(d) OR d BETWEEN -1e308 AND 1e308
round(d) = trunc(d)
abs(d - e) < 1e-9
trunc(d, 1) + ceil(d) - floor(d)
d::bigint::varchar
cast(round(d * 1000) AS bigint)
TRY_CAST(d AS bigint) % 10
d % 1
d - trunc(d)
mod(i, 5) + mod(j, 3)
pi() * d ^ 2
cbrt(d) ^ 3
exp(ln(d))
log(10, abs(d) + 1)
log2(abs(j) + 1)
gcd(i, j) * lcm(i % 100, j)
levenshtein(lower(s), 'pause') <= 2
translate(lower(s), 'aeiou', '*****')
concat_ws(', ', nullif(s, ''), nullif(u, ''))
lpad(coalesce(i % 1000, 0)::varchar, 5, '0')
rpad(s, 8, '.') || u
repeat('*', length(s))
s[2:4] || '..'
s[-2:]
left(s, length(s) - 1)
right(s, 2) = right(u, 2)
unicode(s) + ascii(u)
chr(65)
url_encode(s || '=' || u)
ascii(upper(s)) BETWEEN 65 AND 90
upper(s) = s AND lower(s) <> s
trim(BOTH 'x' FROM s)
trim(LEADING ' ' FROM s) || '|'
overlay(s PLACING '**' FROM 2 FOR 1)
substring(s FROM 2)
typeof(i + d) || typeof(s)
CAST(b AS varchar) || CAST(c AS varchar)
b::bigint + c::bigint
(b OR NULL) IS NULL
greatest(s, u, 'm')
least(y, DATE '2000-01-01')
greatest(t, y)
coalesce(y, t::date, DATE '1970-01-01')
y = '2024-02-29'
y IN ('2024-02-29', '1970-01-01')
t BETWEEN y AND y + 1
interval '1 hour' * j + t
t + (i % 100) * INTERVAL '1 second'
t + to_seconds(d % 60)
extract(day FROM (t - TIMESTAMP '2000-01-01 00:00:00'))
date_part('epoch', t - TIMESTAMP '2000-01-01 00:00:00') / 86400
CASE WHEN t - '2000-01-01'::timestamp < INTERVAL '0 days' THEN -1 ELSE 1 END
date_sub('year', y, DATE '2024-02-29')
century(y) * 100 + decade(y) % 10
yearweek(y) % 100 = week(y)
isoyear(y) - year(y)
weekday(y) IN (0, 6)
julian(y) - 2440587.5
era(y) = 1
epoch_ns(t) % 1000
date_trunc('quarter', z)
date_trunc('decade', y)::date
m > 0 AND m < 100 OR m IS NULL
CASE WHEN m >= 2.5 THEN 'big' ELSE 'small' END
m::double / n::double
m::decimal(12,4) - n
abs(m) + 0.005
sign(m) * ceil(abs(m))
nullif(m, 0) / n
m = 2.50
m BETWEEN n AND 100
m IN (1.55, 2.5)
least(m, n, 1)
coalesce(m, 0.0)
round(m, 1) = m
m / 4
m * 0.5 + n
m + 1
m * 1000 - 1
m - n * 2
m / n > 1
m + i % 100
m % 2
m < 5 OR n > 0.5
m + d
cast(m as decimal(5,1)) + cast(n as decimal(5,3))
cast('1.005' as decimal(10,2)) + m
cast(1.005 as decimal(10,2)) * m
m::decimal(12,2) * 100::decimal(5,0)
CASE WHEN m > 1 THEN m ELSE 0 END
CASE WHEN b THEN m ELSE n END
CASE WHEN b THEN i ELSE m END
CASE WHEN b THEN i ELSE d END
CASE WHEN b THEN y ELSE t END
coalesce(m, n)
coalesce(m, i)
greatest(m, i % 10)
nullif(m, n)
m IN (n, 1.55)
m = n + 0.05
sqrt(m * m)
ln(m + 3)
power(m, 2)
trunc(m * 1.5)
round(m * n, 3)
round(n, 2) + m
ceil(m) + floor(n)
abs(m) * sign(n)
least(m, 1.5)
m BETWEEN -1.5 AND 1.5
i::varchar || m::varchar
d::varchar || 'x'
(d * 1e10)::varchar
(d / 1e10)::varchar
(d::decimal(38,4))::varchar
i::double::varchar
(i + 0.0)::bigint = i
round(i / 7, 3)
round(i, -3) + 0
i // 7 * 7 + i % 7 = i
abs(i % 100) ** 0.5
CASE WHEN i % 2 = 1 THEN 'odd' WHEN i % 2 = -1 THEN 'neg odd' ELSE 'even' END
CASE WHEN s = 'Pause' AND i > 0 THEN 1 WHEN s IS NULL THEN 2 WHEN s LIKE '%é%' THEN 3 ELSE 4 END
coalesce(s, u, CASE WHEN b THEN 'b' END, 'z')
concat(s, '/', u, '/', y::varchar)
concat_ws('-', y::varchar, nullif(u, 'x'), NULL, s)
upper(coalesce(s, u)) LIKE 'P%'
lower(s) IN ('pause', 'resume', 'x')
trim(s) || ':' || length(trim(s))::varchar
replace(lower(s), 'é', 'e')
substr(s, length(s) - 1)
substr(s, strpos(s, 'l') + 1)
left(s, strpos(s || 'l', 'l') - 1)
regexp_replace(lower(trim(s)), '[^a-z0-9]+', '_', 'g')
regexp_extract(y::varchar, '(\\d{4})-(\\d{2})', 2)::bigint
regexp_matches(s || '@' || u, '^[^@]+@[^@]+$')
regexp_full_match(i::varchar, '-?\\d{1,3}')
split_part(y::varchar, '-', 2) || '/' || split_part(y::varchar, '-', 1)
lpad(month(y)::varchar, 2, '0') || lpad(day(y)::varchar, 2, '0')
s < u OR (s IS NULL) <> (u IS NULL)
s BETWEEN 'a' AND 'z' AND length(s) BETWEEN 1 AND 5
md5(s) = md5(u) OR sha1(s) < sha1(u)
ascii(s) - ascii(lower(s))
(length(s) - length(replace(s, 's', '')))
reverse(s) = s
repeat(u, 3) LIKE '%' || u || u || '%'
y - INTERVAL 1 YEAR
(y + INTERVAL 1 DAY)::date
y + INTERVAL '1' DAY
y - INTERVAL '36' HOUR
t + INTERVAL '1 week' - INTERVAL '7 days' = t
t + INTERVAL '-1 month'
date_trunc('month', t)::date
date_trunc('month', t) = date_trunc('month', y)
date_trunc('minute', t + INTERVAL '30 seconds')
date_trunc('day', t) + INTERVAL '1 day' - INTERVAL '1 microsecond'
extract(epoch FROM z)::bigint
extract(epoch FROM date_trunc('day', z))
extract(millisecond FROM t) + extract(microsecond FROM t)
extract(second FROM t) + extract(millisecond FROM t) % 1000 / 1000
date_part('day', y) = date_part('day', last_day(y))
date_diff('month', y, DATE '2025-01-01')
date_diff('year', t, '2025-06-01')
date_diff('second', t, t + INTERVAL '1 hour')
date_diff('day', y, z::date) + date_diff('hour', z, t::timestamptz)
datediff('week', y, y + 20)
date_sub('day', t, t + INTERVAL '47 hours')
date_sub('quarter', y, DATE '2024-12-31')
age(t, t - INTERVAL '40 days') = INTERVAL '1 month 9 days'
CAST(age(t, TIMESTAMP '1999-12-31 12:00:00') AS varchar)
CAST(t - TIMESTAMP '1999-12-31 12:00:00' AS varchar)
epoch(age(t, TIMESTAMP '1999-12-31 12:00:00'))
epoch_ms(t) - epoch_ms(date_trunc('day', t))
epoch_us(t) % 1000000
to_timestamp(epoch(t))::timestamp = t
make_date(year(y), month(y), least(day(y), 28))
make_timestamp(year(t), month(t), day(t), 12, 30, 0.0)
strftime(t, '%A, %d %B %Y, %I:%M %p')
strftime(z, '%Y-%m-%dT%H:%M:%S.%fZ')
strptime(y::varchar, '%Y-%m-%d')::date = y
strptime(year(y)::varchar || '-01', '%Y-%m')
time_bucket(INTERVAL '6 hours', t) + INTERVAL '6 hours' > t
time_bucket(INTERVAL '90 seconds', t)
time_bucket(INTERVAL '1 month', y)
time_bucket(INTERVAL '1 quarter', t)
hour(t) // 6
CASE WHEN hour(t) < 6 THEN 'night' WHEN hour(t) < 12 THEN 'morning' WHEN hour(t) < 18 THEN 'noon' ELSE 'evening' END
dayofweek(y) = 0 OR dayofweek(y) = 6
week(y) + 53 * isoyear(y)
quarter(y) * 3 - month(y)
y > '2000-01-01'::date AND t::date <= y
t::varchar LIKE '2024-%'
(t::varchar)[:10]
z::varchar || '|' || t::varchar
y::varchar || 'T' || strftime(t, '%H:%M')
z AT TIME ZONE 'UTC' = t
(t AT TIME ZONE 'Asia/Seoul') < z
t AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo' - INTERVAL '9 hours' = t
extract(timezone FROM z)
isodow(z AT TIME ZONE 'America/Los_Angeles')
z BETWEEN '2000-01-01' AND '2024-12-31 12:00:00'
z > '2020-01-01 00:00:00+09'
y IS NOT DISTINCT FROM t::date
b AND i > 0 OR NOT c AND d < 0
(b OR c) IS UNKNOWN
CASE WHEN b IS NOT TRUE AND c IS NOT TRUE THEN 'neither' END
b::bigint * i
b = (i > 0)
(i > 0) = (d > 0)
coalesce(b, NOT c)
if(b AND c, s, u)
nullif(b, c)
b < c OR b > c
NOT (i > 0 AND j > 0)
i BETWEEN j AND j + 5
i BETWEEN 10 AND 0
i NOT BETWEEN j - 10 AND j + 10
i IN (1, 2, 3) OR j IN (2, NULL)
(i + j) * (i - j)
i * 1.0 / j
i % 10 + j % 10
i / j / 2
-i + +j - -1
- - i
i - - j
i & 7 | j & 1
(i | j) - (i & j)
xor(i, j) = (i | j) - (i & j)
i >> 2 << 2
bit_count(i) + bit_count(~i)
hex(i) || bin(j)
to_base(abs(j), 3)
d * 0
d - d
d / 0 > 0
-d / 0
0 / d
d = d
d > e OR d < e OR d = e
d + e = e + d
d BETWEEN e AND d
greatest(d, e, 0)
least(d, NULL, e)
round(d, 0) = round(d)
round(-d, 1)
round(d * 1000) / 1000
floor(-d)
ceil(d / 2) * 2
trunc(-d)
d::bigint
TRY_CAST(d AS integer)
isfinite(d) AND d > 0
coalesce(nullif(d, 'nan'::double), 0)
sin(d) ** 2 + cos(d) ** 2
atan2(d, e) * 180 / pi()
exp(d / 1000)
sqrt(d * d)
log(abs(d) + 1) + log(2, abs(e) + 2)
sign(d) * abs(d) = d
mod(d, 1) + floor(d)
d // 1
fmod(d, 3)
d ^ 2 = d * d
i BETWEEN 100 AND 10 // (i - 7)
i IN (7, 10 // (i - 7), 1000)
i NOT IN (7, 10 // (i - 7), NULL)
CASE WHEN i = 7 OR 10 // (i - 7) > 0 THEN 1 ELSE 2 END
""".strip().splitlines()

CONSTANT = """
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
1 || 'a'
concat('a', 1)
'5' < 6
'5' * 2
true = 1
if(1, 'a', 'b')
NOT 5
2147483647::integer + 1::integer
round(2.5, x::integer)
hash('a')
printf('%d-%s', 1, 'a')
format('{}', 1)
len([1, 2, 3])
2 + 3 & 1
2 * 3 ^ 2
-2 ^ 2
2 ^ 3 ^ 2
1 << 2 + 1
1 + 1 = 2 IS NULL
'ab' LIKE 'a' || '%'
5 | 2 & 1
'a' || 'b' = 'ab'
- 3 ** 2
~1 + 1
10 // 3 * 2
10 - 3 // 2
2 BETWEEN 1 AND 3 = true
6 / 3 % 2
4 & 6 | 1
NOT NULL IS NULL
interval '1 day' + timestamp '2024-01-01' - interval '1 hour'
CAST(interval '1 day 25:03:04.5' AS varchar)
CAST(interval '1 year 2 months 3 days -04:05:06' AS varchar)
CAST(interval '1 month ago' AS varchar)
CAST(interval '10' AS varchar)
CAST(interval '1.5 days' AS varchar)
CAST(interval '1.5 months' AS varchar)
CAST(interval '1d 2h 3m 4s 5ms 6us' AS varchar)
CAST(interval '1 day' * 2.5 AS varchar)
CAST(interval '1 month' * 0.5 AS varchar)
CAST(interval '1 hour' - interval '1 day' AS varchar)
CAST(-interval '1 hour' AS varchar)
CAST(interval '1 hour' / 3 AS varchar)
CAST('1 day' AS interval) = interval '24 hours'
interval '1 month' = interval '30 days'
interval '1 month' > interval '29 days 23 hours'
interval '1 day' BETWEEN interval '23 hours' AND interval '25 hours'
interval '1 day' IN (interval '24 hours')
extract(hour FROM interval '25 hours')
epoch(interval '1 year 1 month 1 day')
epoch_ms(interval '1 month')
date_part('quarter', interval '5 months')
year(interval '13 months')
timestamp '2024-03-10 02:30:00' at time zone 'America/New_York'
timestamp '2024-11-03 01:30:00' at time zone 'America/New_York'
strptime('2024-05-07 13:07:05.123', '%Y-%m-%d %H:%M:%S.%f')
strptime('07 may 2024', '%d %b %Y')
strptime('Tue, 7 May 2024 01:02:03 PM', '%a, %-d %B %Y %I:%M:%S %p')
strptime('69/5/7', '%y/%m/%d')
strptime('68/5/7', '%y/%m/%d')
strptime('2024-05-07 13:07:05+02:00', '%Y-%m-%d %H:%M:%S%z')
strptime('2024-05-07 13:07:05 +0230', '%Y-%m-%d %H:%M:%S %z')
strptime('2024-05-07 13:07:05 Asia/Seoul', '%Y-%m-%d %H:%M:%S %Z')
strptime('2024 129', '%Y %j')
strptime('2024-W19-2', '%G-W%V-%u')
strptime('2024-02-30', '%Y-%m-%d')
strptime('2024-05-07 24', '%Y-%m-%d %H')
strptime('2024-05-07 12 AM', '%Y-%m-%d %I %p')
strptime('20240507', '%Y%m%d')
strptime('13:07', '%H:%M')
strptime('2024-05-07   13:07:05', '%Y-%m-%d %H:%M:%S')
try_strptime('2024-13-07', '%Y-%m-%d')
make_timestamp(2024, 1, 2, 24, 0, 0)
make_timestamp(2024, 1, 2, 3, 4, 59.9999999)
make_timestamptz(2024, 1, 2, 3, 4, 5.5, 'Asia/Seoul')
make_date(2024, 2, 30)
make_date(19000)
to_timestamp(1700000000)
regexp_matches('a', '(')
regexp_matches('abab', '(ab)\\1')
regexp_matches('abc', '(?=b)')
regexp_matches('abc', '(?P<x>b)')
regexp_matches('a{,2}', 'a{,2}')
regexp_matches('a', '\\141')
regexp_matches('a', '\\x{61}')
regexp_matches('abc', 'a++')
regexp_extract('aaa', '(?U)a+')
regexp_extract('ab', 'a|ab')
regexp_replace('hello', '(l)', '[\\2]')
regexp_replace('hello', '(l)', '\\x')
levenshtein('kitten', 'sitting')
date_diff('century', date '2000-12-31', date '2001-01-01')
date_sub('month', timestamp '2024-01-31', timestamp '2024-02-29')
date_sub('year', timestamp '2024-02-29', timestamp '2025-02-28')
time_bucket(interval '2 months', timestamp '1999-04-01 00:17:00')
time_bucket(interval '10 minutes', timestamp '2024-01-01 00:17:00', timestamp '2024-01-01 00:03:00')
time_bucket(interval '1 month', timestamp '1999-05-01 20:17:00', interval '3 days')
time_bucket(interval '1 month 1 day', timestamp '1999-05-01 20:17:00')
'0044-03-15 (BC)'::date
CAST(NULL AS bigint) + 1
1_000 + 1
$$it's$$ || 'x'
5 ISNULL
NULL NOTNULL
'a' ISNULL OR 'a' NOTNULL
'abc' ~* 'B'
'abc' !~* 'B'
'2024-01-01 10:00:00 Asia/Seoul'::timestamptz
'2024-07-01 10:00:00 America/New_York'::timestamptz
TIMESTAMPTZ '2024-07-01 10:00:00 Nowhere/Else'
1e400
9223372036854775808
CASE WHEN 1 THEN 2 END
'abc' GLOB 'a*'
(1, 2) = (1, 2)
0.1 + 0.2 = 0.3
typeof(1)
coalesce(NULL, NULL, 3)
""".strip().splitlines()

# The reasons stand in docs/sql.md too.
SECONDS = "DuckDB adds the seconds and microseconds of an instant before 1970 as doubles; ours is the nearest double"
LONG = "DuckDB refuses places and counts beyond 32 bits; ours are those of a bigint"
ROOT = "DuckDB's cube root is off by one in the last place; ours is the nearest double"
EXACT = "DuckDB keeps 18 digits of a product of short decimals; ours has all"
CAST = "numbers and texts are not cast into each other in silence"
BOOLEANS = "numbers and booleans are not cast into each other in silence"
INTEGERS = "a smaller whole number is a bigint as soon as it is made"
DIGITS = "the digits of round are constant, since the type of a decimal depends on them"
HASH = "DuckDB's hash changes from version to version"
PRINTF = "texts are joined with || and numbers rounded with round"
LISTS = "there are no lists, structs, blobs and times of day"
FOREVER = "DuckDB's largest timestamp means infinity; ours is a time as any other"

DIFFERENT = {
    "epoch(z)": SECONDS,
    "date_part('epoch', z)": SECONDS,
    "extract(epoch FROM z)": SECONDS,
    "left('héllo', i)": LONG,
    "substr('héllo', i)": LONG,
    "substr('héllo', i, 2)": LONG,
    "substr('héllo', 2, i)": LONG,
    "'héllo'[i]": LONG,
    "cbrt(i)": ROOT,
    "cbrt(d)": ROOT,
    "m * m": EXACT,
    "m * m * m": EXACT,
    "sqrt(m * m)": EXACT,
    "make_timestamp(i)": FOREVER,
    "cbrt(d) ^ 3": ROOT,
    "date_part('year', t) || '-Q' || date_part('quarter', t)": CAST,
    "regexp_extract(concat('user-', i, '@mail'), '(\\d+)', 1)": CAST,
    "1 || 'a'": CAST,
    "concat('a', 1)": CAST,
    "'5' < 6": CAST,
    "'5' * 2": CAST,
    "true = 1": BOOLEANS,
    "if(1, 'a', 'b')": BOOLEANS,
    "NOT 5": BOOLEANS,
    "2147483647::integer + 1::integer": INTEGERS,
    "round(2.5, x::integer)": DIGITS,
    "hash('a')": HASH,
    "1e400": "DuckDB reads a literal that is too large as infinity; here it is a mistake",
    "9223372036854775808": INTEGERS,
    "typeof(1)": INTEGERS,
    "CASE WHEN 1 THEN 2 END": BOOLEANS,
    "'abc' GLOB 'a*'": "patterns are those of LIKE and regular expressions",
    "(1, 2) = (1, 2)": LISTS,
    "printf('%d-%s', 1, 'a')": PRINTF,
    "format('{}', 1)": PRINTF,
    "len([1, 2, 3])": LISTS,
}
