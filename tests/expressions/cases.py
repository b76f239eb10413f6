"""The tables of edge values, and the expressions over each. An expression is as tidewatch takes it; a pair holds
what DuckDB is asked instead, where it wants an INTEGER and has no cast to one."""
import itertools

BIGINT = [None, "0", "1", "-1", "2", "7", "-7", "10", "63", "64", "255", "1000000007", "9007199254740993",
          "9223372036854775807", "-9223372036854775808"]
DOUBLE = [None, "0.0", "-0.0", "1.0", "-1.0", "0.5", "1.5", "2.5", "-2.5", "0.1", "3.14159", "123456.789", "1e15",
          "1e16", "9007199254740993", "9.3e18", "1e300", "-1e300", "1e-7", "5e-324", "1.7976931348623157e308", "nan",
          "inf", "-inf"]
VARCHAR = [None, "", " ", "a", "A", "abc", "héllo", "Straße", "ÀÉ ij", "日本語", "😀x", "%_a", "a\nb", "  pad ", "12",
           "-1.5", "1e3", "true", "2024-02-29", "NaN", "it's", "\\", "a.b-c d", "x,y,,z", "İ", "2024-02-29 12:34:56.5"]
BOOLEAN = [None, "true", "false"]
DECIMAL = [None, "0.00", "0.01", "-0.01", "0.05", "1.00", "1.55", "-1.55", "2.50", "-2.50", "99999999.99",
           "-99999999.99"]
DATE = [None, "1970-01-01", "1969-12-31", "2024-02-29", "2023-02-28", "2000-12-31", "2001-01-01", "1900-03-01",
        "2024-12-30", "2021-01-03", "0001-01-01", "9999-12-31", "1582-10-15"]
TIMESTAMP = [None, "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2024-02-29 12:34:56.789012",
             "2023-02-28 23:59:59", "2000-12-31 00:00:00.5", "2001-01-01 06:07:08.009", "1900-03-01 01:02:03",
             "2024-12-30 13:00:00", "2021-01-03 23:00:00.000001", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999",
             "2024-03-31 01:30:00", "2024-10-27 01:30:00", "1945-09-08 00:00:00", "1988-05-08 02:30:00"]
TIMESTAMPTZ = [None if cell is None else cell + "+00" for cell in TIMESTAMP]
ZONES = ["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
PARTS = ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
         "century", "millennium", "isoyear", "dow", "isodow", "doy", "yearweek", "era", "julian", "epoch"]
PERIODS = PARTS[:14]


def pairs(left, right):
    crossed = list(itertools.product(left, right))
    return [a for a, _ in crossed], [b for _, b in crossed]


def each(templates, values):
    return [template.format(value) for template in templates for value in values]


DOUBLES_TO_DOUBLE = """sin cos tan cot asin acos atan sinh cosh tanh asinh acosh atanh sqrt cbrt exp ln log log2 log10 degrees
radians even floor ceil ceiling trunc round abs""".split()

OF_BIGINT = [f"{f}(i)" for f in DOUBLES_TO_DOUBLE] + """
-i|+i|~i|@i|i + 1|i - 1|i * 2|i * -1|i / 2|i // 2|i % 3|i % -3|2 // i|10 % i|1 / i|i ** 2|i ^ 0.5|i & 7|i | 8|i << 1|1 << i|i >> 1
-8 >> i|xor(i, 5)|bit_count(i)|sign(i)|isnan(i)|isfinite(i)|isinf(i)|round(i, 1)|round(i, -1)|round(i, -2)|round(i, -19)
trunc(i, -1)|gcd(i, 12)|lcm(i, 3)|greatest(i, 3)|least(i, 3)|greatest(i, NULL)|least(i, 2.5)|i = 7|i <> 7|i < 7|i <= 7|i > 7|i >= 7
i = 7.0|i < 2.5|i IS NULL|i IS NOT NULL|i IS DISTINCT FROM 7|i IS NOT DISTINCT FROM NULL|i BETWEEN 0 AND 10|i NOT BETWEEN -1 AND 7
i IN (7, 10)|i NOT IN (7, NULL)|i IN (1, 2, 7, 10, 64)|CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN 'minus' ELSE 'none' END
CASE i WHEN 7 THEN 'seven' WHEN NULL THEN 'null' END|coalesce(i, 0)|ifnull(i, -1)|nullif(i, 7)|if(i > 1, i, 0)|i::double|i::varchar
i::boolean|i::decimal(38,0)|i::decimal(20,2)|i::decimal(5,0)|i::integer|i::smallint|i::tinyint|TRY_CAST(i AS integer)|CAST(i AS bigint)
hex(i)|bin(i)|to_hex(i)|epoch_ms(i)|make_timestamp(i)|make_timestamp_ms(i)|to_timestamp(i)|format_bytes(i)|formatReadableDecimalSize(i)
i + 0.5|i * 1.5|i - i|i * i|i % 2 = 0|i // 0|i % 0|i / 0|NOT i = 7|i IS NULL OR i > 0|i > 0 AND i < 100|pow(i, 2)|pow(2, i)|power(i, 0.5)
log(2, i)|atan2(i, 2)|fmod(i, 3)|mod(i, 4)|repeat('ab', i % 4)|left('héllo', i)|right('héllo', i)|substr('héllo', i)|substr('héllo', i, 2)
substr('héllo', 2, i)|split_part('a,b,c', ',', i)|'héllo'[i]|'héllo'[i:]|'héllo'[:i]|date '2024-01-31' + (i % 1000)::integer
overlay('abcdef', 'XX', i)|overlay('abcdef', 'XX', 2, i)|typeof(i)|epoch(to_seconds(i % 1000))|to_days(i % 1000) = interval '7 days'
timestamp '2024-01-31 10:00:00' + to_months(i % 1000)|timestamp '2024-01-31 10:00:00' - to_minutes(i % 1000)|CAST(to_minutes(i % 1000) AS varchar)
CAST(to_days(i % 1000) + to_seconds(i % 100) AS varchar)|CAST(to_months(i % 1000) AS varchar)
""".strip().replace("\n", "|").split("|") + [
    ("chr(i)", "chr(i::integer)"), ("factorial(i % 21)", "factorial((i % 21)::integer)"),
    ("lpad('héllo', i % 100, 'xy')", "lpad('héllo', (i % 100)::integer, 'xy')"),
    ("rpad('héllo', i % 100, 'xy')", "rpad('héllo', (i % 100)::integer, 'xy')"), ("to_base(i, 36)", "to_base(i, 36)"),
    ("to_base(i, 2, 10)", "to_base(i, 2, 10)"),
]
OF_BIGINT = ["i | 8" if case == "i " else case for case in OF_BIGINT if case != " 8"]

TWO_BIGINTS = """i + j|i - j|i * j|i / j|i // j|i % j|i & j|xor(i, j)|i << j|i >> j|i = j|i <> j|i < j|i <= j|i > j|i >= j|gcd(i, j)|lcm(i, j)
greatest(i, j)|least(i, j)|i IS DISTINCT FROM j|i IS NOT DISTINCT FROM j|coalesce(i, j)|nullif(i, j)|pow(i, j)|atan2(i, j)|i BETWEEN j AND 10
i IN (j, 7)|NOT (i < j)|i + j > 0|mod(i, j)|log(i, j)""".replace("\n", "|").split("|")

OF_DOUBLE = [f"{f}(d)" for f in DOUBLES_TO_DOUBLE] + """
-d;+d;@d;d + 1;d - 1;d * 2;d / 2;d / 0;d // 2;d % 2;d % -0.7;d ** 2;d ^ 0.5;2 ** d;sign(d);signbit(d);isnan(d);isinf(d);isfinite(d);round(d, 1)
round(d, 2);round(d, -2);round(d, 20);round(d, -320);trunc(d, 1);trunc(d, -2);round_even(d, 0);round_even(d, 1);d = 0;d <> 0;d < 1;d <= 1;d > 1
d >= 1;d = 'nan'::double;d > 'inf'::double;d IS NULL;d IS DISTINCT FROM 'nan'::double;d BETWEEN 0 AND 10;d IN (0, 1, 2.5);d NOT IN (0, NULL)
coalesce(d, 0);nullif(d, 0);greatest(d, 1);least(d, 1);greatest(d, 'nan'::double);CASE WHEN d > 1 THEN d ELSE -d END;if(isnan(d), 0, d)
d::bigint;TRY_CAST(d AS bigint);d::varchar;d::boolean;d::decimal(10,2);TRY_CAST(d AS decimal(10,2));d::decimal(38,10);d::decimal(18,3);d::integer;d::smallint
to_timestamp(d);pow(d, 2);pow(d, 0.5);pow(2, d);power(d, -1);atan2(d, 1);log(2, d);log(d, 10);fmod(d, 0.7);mod(d, 2);nextafter(d, 1);d + NULL
CAST(CAST(d AS varchar) AS double) = d;(d + 1) / (d - 1);CASE d WHEN 0 THEN 'zero' WHEN 'nan'::double THEN 'nan' END;epoch(to_seconds(d % 1000))
degrees(radians(d));d * d - d / d;abs(d) < 1e10;round(d * 100) / 100;typeof(d);sqrt(abs(d));ln(d + 1);exp(-d);1 / (1 + exp(-d));pi() * d
CAST(to_seconds(d % 1000) AS varchar)""".replace("\n", ";").strip(";").split(";")

TWO_DOUBLES = """d + e;d - e;d * e;d / e;d // e;d % e;d = e;d <> e;d < e;d <= e;d > e;d >= e;pow(d, e);atan2(d, e);greatest(d, e);least(d, e);fmod(d, e)
d IS DISTINCT FROM e;d IS NOT DISTINCT FROM e;nullif(d, e);coalesce(d, e);log(d, e);nextafter(d, e);d BETWEEN e AND 10;d IN (e, 1);d ** e""".replace("\n", ";").split(";")

OF_VARCHAR = """lower(s);upper(s);lcase(s);ucase(s);length(s);len(s);char_length(s);character_length(s);strlen(s);bit_length(s);trim(s);ltrim(s);rtrim(s);trim(s, 'a ')
ltrim(s, 'Sa');rtrim(s, 'x c');reverse(s);s || s;s || 'x';'<' || s || '>';concat(s, 'x', NULL);concat_ws('-', s, 'b', s);concat_ws(s, 'a', 'b');ascii(s);unicode(s);ord(s)
hex(s);to_hex(s);bin(s);md5(s);sha1(s);sha256(s);url_encode(s);url_decode(s);regexp_escape(s);left(s, 2);left(s, -2);right(s, 2);right(s, -2);left(s, 0);substr(s, 2)
substr(s, 2, 2);substr(s, -2);substr(s, -2, 1);substr(s, 0);substr(s, 0, 2);substr(s, 1, -1);substring(s FROM 2 FOR 3);substring(s, 2);lpad(s, 6, '*');rpad(s, 6, 'é');lpad(s, 2, 'x')
lpad(s, 0, 'x');repeat(s, 2);repeat(s, 0);repeat(s, -1);replace(s, 'a', 'bb');replace(s, '', 'x');replace(s, s, 'x');translate(s, 'aé', 'xy');translate(s, 'abc', 'x');split_part(s, ',', 2)
split_part(s, ',', -1);split_part(s, '', 1);split_part(s, ' ', 1);starts_with(s, 'a');ends_with(s, 'c');prefix(s, 'h');suffix(s, 'o');contains(s, 'b');contains(s, '');position('a' IN s);strpos(s, 'é')
instr(s, 'b');strpos(s, '');overlay(s PLACING 'XX' FROM 2 FOR 1);overlay(s PLACING 'é' FROM 3);s[1];s[2:3];s[-1];s[-2:];s[:2];s[0];s ^@ 'a';s LIKE 'a%';s LIKE '%a';s LIKE '%b%';s LIKE '_';s LIKE '__%'
s LIKE '';s LIKE 'a_c';s NOT LIKE 'a%';s LIKE '%\\%' ESCAPE '\\';s LIKE '$%$_%' ESCAPE '$';s ILIKE 'A%';s ILIKE '%É%';s ILIKE 'straße';s NOT ILIKE '_b_';s LIKE NULL;s LIKE s;s ILIKE upper(s);s SIMILAR TO '[a-z]+'
s NOT SIMILAR TO 'a.*';s SIMILAR TO 'a|abc';s ~ 'b';s ~ '^a';s !~ 'a';regexp_matches(s, 'a');regexp_matches(s, '^.$');regexp_matches(s, '\\d');regexp_matches(s, '\\w+');regexp_matches(s, '^\\s*$');regexp_matches(s, '[[:alpha:]]')
regexp_matches(s, '[^a-z]');regexp_matches(s, '\\bb');regexp_matches(s, 'A', 'i');regexp_matches(s, 'a.b');regexp_matches(s, 'a.b', 's');regexp_matches(s, '.', 'l');regexp_matches(s, 'é|日');regexp_matches(s, '(?i)É');regexp_matches(s, '\\pL')
regexp_matches(s, '\\p{Han}');regexp_matches(s, '^$');regexp_matches(s, '');regexp_matches(s, '[&&]');regexp_matches(s, '[]a]');regexp_matches(s, '[\\w.-]+@');regexp_matches(s, 'x{,2}');regexp_matches(s, '\\Qa.b\\E');regexp_full_match(s, '[a-zA-Z]+')
regexp_full_match(s, '.*');regexp_full_match(s, '');regexp_full_match(s, 'a|abc');regexp_extract(s, '[a-z]+');regexp_extract(s, '(\\w)(\\w)', 2);regexp_extract(s, '(a)|(b)', 2);regexp_extract(s, '(\\d+)-(\\d+)', 1);regexp_extract(s, 'z', 0);regexp_extract(s, 'a', 3)
regexp_extract(s, '[A-Z]', 0, 'i');regexp_replace(s, 'a', 'X');regexp_replace(s, '[aeiou]', '*', 'g');regexp_replace(s, '(\\w)(\\w)', '\\2\\1', 'g');regexp_replace(s, '', '-', 'g');regexp_replace(s, '\\s+', ' ', 'g');regexp_replace(s, 'A', 'b', 'gi')
regexp_replace(s, '^', '>');regexp_replace(s, '.', '\\\\', 'g');levenshtein(s, 'abc');damerau_levenshtein(s, 'bac');jaccard(s, 'abc');hamming(s, 'abc');mismatches(s, 'xyz');s = 'a';s <> 'a';s < 'b';s >= 'héllo';s = '';s IN ('a', '', 'abc');s NOT IN ('a', NULL)
s IN ('a', 'b', 'c', 'd', 'abc', '');s BETWEEN 'A' AND 'b';s IS NULL;s IS DISTINCT FROM 'a';coalesce(s, 'none');nullif(s, '');nullif(s, 'a');greatest(s, 'b');least(s, 'b');CASE s WHEN 'a' THEN 1 WHEN '' THEN 2 ELSE 3 END
CASE WHEN length(s) > 3 THEN left(s, 3) || '..' ELSE s END;s::bigint;TRY_CAST(s AS bigint);TRY_CAST(s AS double);s::double;TRY_CAST(s AS boolean);s::boolean;TRY_CAST(s AS decimal(5,1));TRY_CAST(s AS date);TRY_CAST(s AS timestamp);TRY_CAST(s AS timestamptz)
s::date;TRY_CAST(s AS integer);CAST(s AS varchar);lower(trim(s)) = 'pad';upper(left(s, 1)) || lower(substr(s, 2));length(replace(s, ' ', ''));coalesce(nullif(trim(s), ''), 'empty');strptime(s, '%Y-%m-%d');try_strptime(s, '%Y-%m-%d')
try_strptime(s, '%Y-%m-%d %H:%M:%S.%f');typeof(s);editdist3(s, 'ab');s > 'a' AND length(s) < 4;if(s = '', NULL, s);TRY_CAST(s AS bigint) IS NULL""".replace("\n", ";").split(";")

TWO_VARCHARS = """s || u;concat(s, u);concat_ws(u, s, s);s = u;s <> u;s < u;s >= u;s LIKE u;s ILIKE u;s LIKE '%' || u || '%';starts_with(s, u);ends_with(s, u);contains(s, u);strpos(s, u);replace(s, u, '-');split_part(s, u, 1);split_part(s, u, -1)
trim(s, u);ltrim(s, u);rtrim(s, u);levenshtein(s, u);damerau_levenshtein(s, u);jaccard(s, u);hamming(s, u);greatest(s, u);least(s, u);nullif(s, u);coalesce(s, u);s IS DISTINCT FROM u;s IN (u, 'a');translate(s, u, 'x');s ^@ u;regexp_matches(s, regexp_escape(u))
regexp_replace(s, regexp_escape(u), '-', 'g');regexp_extract(s, regexp_escape(u));s BETWEEN u AND 'z';lpad(s, 5, u);rpad(s, 5, u);regexp_full_match(s, u);s ~ u""".replace("\n", ";").split(";")

OF_BOOLEAN = """b AND c;b OR c;NOT b;b = c;b <> c;b < c;b IS TRUE;b IS NOT TRUE;b IS FALSE;b IS NOT FALSE;b IS UNKNOWN;b IS NOT UNKNOWN;b IS NULL;b IS DISTINCT FROM c;b IS NOT DISTINCT FROM c;coalesce(b, c);nullif(b, c);if(b, 1, 2);CASE WHEN b THEN 'x' WHEN c THEN 'y' ELSE 'z' END
CASE b WHEN TRUE THEN 1 WHEN FALSE THEN 0 END;b::bigint;b::integer;b::varchar;b::double;b::decimal(3,1);b AND NOT c OR b IS NULL;(b OR c) AND NOT (b AND c);greatest(b, c);least(b, c);b IN (c, TRUE);b BETWEEN c AND TRUE;NOT b = c;b AND NULL;b OR NULL;typeof(b);b = TRUE;TRY_CAST(b AS bigint)""".replace("\n", ";").split(";")

OF_DECIMAL = """-m;+m;abs(m);@m;sign(m);m + 1;m - 1;m * 2;m / 2;m % 2;m // 2;m + 0.5;m * 1.5;m + n;m - n;m * n;m / n;m % n;m = n;m < n;m >= 1;m = 1.55;m > 1;m IS NULL;m BETWEEN 0 AND 2;m IN (1, 2);round(m);round(m, 1);round(m, 3);round(m, -1);trunc(m);trunc(m, 1);floor(m);ceil(m);ceiling(m);sqrt(m)
m::bigint;m::double;m::varchar;m::boolean;m::decimal(10,1);m::decimal(4,2);TRY_CAST(m AS decimal(4,2));m::decimal(20,4);m::integer;greatest(m, n);least(m, 1);coalesce(m, 0);nullif(m, 1);CASE WHEN m > 0 THEN m ELSE -m END;m IS DISTINCT FROM n;ln(m);pow(m, 2);m * m;m * m * m;isnan(m);(m + n) * 2;typeof(m + n);typeof(m * n);m ** 2;round(m * 1.19, 2);if(m > 0, m, 0)""".replace("\n", ";").split(";")

OF_TIME = each(["date_part('{}', {{0}})", "extract({} FROM {{0}})"], PARTS) + each(["date_trunc('{}', {{0}})"], PERIODS) + each(
    ["{}({{0}})"], """year quarter month week weekofyear yearweek day dayofmonth dayofweek weekday isodow isoyear dayofyear hour minute second millisecond
microsecond decade century millennium era julian dayname monthname last_day epoch epoch_ms epoch_us epoch_ns""".split()) + """
strftime({0}, '%Y-%m-%d %H:%M:%S.%f');strftime({0}, '%a %A %b %B %d %-d %m %-m %y %Y');strftime({0}, '%H %-H %I %-I %p %M %-M %S %-S %f %g %n');strftime({0}, '%j %-j %U %W %V %G %u %w');strftime({0}, '%c | %x | %X %%');strftime({0}, '%z[%Z]');strftime('%Y', {0})
{0} + INTERVAL '1 day';{0} - INTERVAL '1 month';{0} + INTERVAL '1 year 2 months 3 days 04:05:06.7';{0} - INTERVAL '90 minutes';INTERVAL 1 HOUR + {0};{0} + INTERVAL 2 WEEKS;{0} + to_days(3);{0} + 2 * INTERVAL '1 hour'
{0} IS NULL;{0} = {0};{0}::varchar;{0}::date;{0}::timestamp;{0}::timestamptz;TRY_CAST({0} AS date);{0} AT TIME ZONE 'Asia/Seoul';timezone('Europe/Berlin', {0});{0} < '2024-01-01';{0} >= '1970-01-01';{0} BETWEEN '2000-01-01' AND '2030-01-01';{0} IN ('1970-01-01', '2024-02-29')
{0} < DATE '2024-01-01';{0} < TIMESTAMP '2024-01-01 00:00:00';{0} > TIMESTAMPTZ '2024-01-01 00:00:00+00';{0} = DATE '1970-01-01';coalesce({0}, '2024-01-01');greatest({0}, '2020-01-01');nullif({0}, '1970-01-01')
CASE WHEN date_part('dow', {0}) IN (0, 6) THEN 'weekend' ELSE 'weekday' END;extract(hour FROM {0}) BETWEEN 9 AND 17;date_trunc('month', {0}) + INTERVAL '1 month' - INTERVAL '1 day';typeof({0});isfinite(epoch({0}))
date_diff('day', {0}, DATE '2024-03-01');date_diff('month', DATE '2000-01-31', {0});date_diff('year', '2000-06-01', {0});date_sub('month', {0}, TIMESTAMP '2024-03-31 12:00:00');date_diff('hour', {0}, TIMESTAMP '2024-01-01 00:30:00');date_diff('week', {0}, DATE '2024-01-01')
date_add({0}, INTERVAL '1 day');CAST({0} - TIMESTAMP '2000-01-01 12:00:00' AS varchar);epoch({0} - TIMESTAMP '2000-01-01 12:00:00');{0} - TIMESTAMP '2000-01-01 12:00:00' > INTERVAL '1 day';extract(day FROM ({0} - TIMESTAMP '2000-01-01 12:00:00'))
CAST(age({0}, TIMESTAMP '2000-02-29 12:00:00') AS varchar);CAST(age(TIMESTAMP '2024-03-31 00:00:00', {0}) AS varchar);({0} - TIMESTAMP '2000-01-01 12:00:00') IS NULL;date_part('hour', {0} - TIMESTAMP '2000-01-01 12:00:00')
time_bucket(INTERVAL '15 minutes', {0});time_bucket(INTERVAL '1 day', {0});time_bucket(INTERVAL '1 week', {0});time_bucket(INTERVAL '1 month', {0});time_bucket(INTERVAL '3 months', {0});time_bucket(INTERVAL '1 year', {0});time_bucket(INTERVAL '10 days', {0});time_bucket(INTERVAL '1 hour', {0}, INTERVAL '5 minutes')
strftime(date_trunc('week', {0}), '%d.%m.%Y');date_part('year', {0}) * 100 + date_part('month', {0});year({0}) % 4 = 0;dayname({0}) || ', ' || day({0})::varchar;to_timestamp(epoch({0})) = {0};epoch_ms(epoch_ms({0}))""".strip().replace("\n", ";").split(";")


def of_time(column):
    return [case.format(column) for case in OF_TIME]


ZONED = each(["z AT TIME ZONE '{}'", "timezone('{}', t)", "date_trunc('day', z AT TIME ZONE '{}')", "extract(hour FROM z AT TIME ZONE '{}')", "(t AT TIME ZONE '{}') AT TIME ZONE 'UTC'",
              "time_bucket(INTERVAL '1 day', z, '{}')", "strftime(z AT TIME ZONE '{}', '%Y-%m-%d %H:%M')"], ZONES) + [
    "z AT TIME ZONE NULL", "t AT TIME ZONE 'asia/seoul'", "(date_trunc('day', z AT TIME ZONE 'Asia/Seoul')) AT TIME ZONE 'Asia/Seoul'", "z = t", "z < t + INTERVAL '1 hour'", "z - INTERVAL '9 hours'",
    "date_diff('day', z AT TIME ZONE 'UTC', z AT TIME ZONE 'Asia/Seoul')", "z::date = (z AT TIME ZONE 'America/New_York')::date", "isodow(z AT TIME ZONE 'Asia/Seoul')"]

TWO_TIMES = each(["date_diff('{}', t, v)", "date_sub('{}', t, v)"], ["microsecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century"]) + """
CAST(t - v AS varchar);CAST(age(t, v) AS varchar);epoch(t - v);epoch_ms(t - v);t - v > INTERVAL '1 day';t < v;t = v;greatest(t, v);least(t, v);t BETWEEN v - INTERVAL '1 year' AND v;t - v = INTERVAL '0 days';extract(hour FROM t - v);t::date - v::date;(t - v) IS NULL
t - v BETWEEN INTERVAL '-1 day' AND INTERVAL '1 day';coalesce(t, v);t - v IS DISTINCT FROM v - t;CAST(-(t - v) AS varchar);v + (t - v) = t;CASE WHEN t > v THEN 'later' ELSE 'not later' END
CAST(CASE WHEN t > v THEN t - v ELSE v - t END AS varchar);v + CASE WHEN t > v THEN INTERVAL '1 month' WHEN t < v THEN t - v END;CASE t - v WHEN INTERVAL '0 days' THEN 'same' WHEN v - t THEN 'never' ELSE 'other' END;epoch(coalesce(t - v, INTERVAL '1 day'))
CAST(coalesce(NULL, t - v, v - t) AS varchar);CAST(ifnull(age(t, v), INTERVAL '1 day') AS varchar);CAST(nullif(t - v, INTERVAL '0 days') AS varchar);CAST(nullif(INTERVAL '30 days', INTERVAL '1 month') AS varchar);t - v IN (INTERVAL '0 days', v - t, INTERVAL '1 day');t - v NOT IN (INTERVAL '0 days', NULL);v + if(t > v, t - v, INTERVAL '1 day');t - v NOT BETWEEN INTERVAL '0 days' AND age(t, v);coalesce(t - v, v - t) > INTERVAL '1 day';CAST(greatest(t - v, v - t) AS varchar);CAST(least(t - v, NULL, INTERVAL '1 day', v - t) AS varchar)""".strip().replace("\n", ";").split(";")

OF_DATE = of_time("y") + """y + 1;y - 1;1 + y;y - DATE '2024-01-01';make_date(year(y), month(y), 1);y + INTERVAL '12 hours';date_diff('day', y, y + 7);last_day(y) - y;y::timestamp + INTERVAL '1 second';make_timestamp(year(y), month(y), day(y), 1, 2, 3.5);y AT TIME ZONE 'UTC'""".split(";")

from nested import CONSTANT, DIFFERENT, MIXED, MIXED_CASES  # noqa: E402

SMALL_BIGINT = [None, "0", "1", "-1", "2", "-7", "64", "9223372036854775807", "-9223372036854775808"]
SMALL_DOUBLE = [None, "0.0", "-0.0", "1.0", "-2.5", "0.5", "1e300", "5e-324", "nan", "inf", "-inf"]
SMALL_VARCHAR = [None, "", "a", "ab", "héllo", "é", "%", "a,b", "Ab"]
SMALL_TIME = [None, "1970-01-01 00:00:00", "2024-02-29 12:34:56.789012", "2023-03-31 00:00:00", "1999-12-31 23:59:59.999999", "2024-01-31 06:00:00", "1900-03-01 01:02:03"]

TABLES = [
    ("bigint", [("i", "bigint", BIGINT)], OF_BIGINT),
    ("bigints", [("i", "bigint", pairs(SMALL_BIGINT, SMALL_BIGINT)[0]), ("j", "bigint", pairs(SMALL_BIGINT, SMALL_BIGINT)[1])], TWO_BIGINTS),
    ("double", [("d", "double", DOUBLE)], OF_DOUBLE),
    ("doubles", [("d", "double", pairs(SMALL_DOUBLE, SMALL_DOUBLE)[0]), ("e", "double", pairs(SMALL_DOUBLE, SMALL_DOUBLE)[1])], TWO_DOUBLES),
    ("varchar", [("s", "varchar", VARCHAR)], OF_VARCHAR),
    ("varchars", [("s", "varchar", pairs(SMALL_VARCHAR, SMALL_VARCHAR)[0]), ("u", "varchar", pairs(SMALL_VARCHAR, SMALL_VARCHAR)[1])],
     [(case, case.replace("regexp_full_match(s, u)", "regexp_full_match(s, u)")) for case in TWO_VARCHARS]),
    ("boolean", [("b", "boolean", pairs(BOOLEAN, BOOLEAN)[0]), ("c", "boolean", pairs(BOOLEAN, BOOLEAN)[1])], OF_BOOLEAN),
    ("decimal", [("m", "decimal(10,2)", DECIMAL), ("n", "decimal(6,4)", ["1.0000", "0.0000", "0.5000", "-0.2500", "99.9999", "1.5500", None, "2.5000", "2.5000", "-0.0001", "-99.9999", "3.0000"])], OF_DECIMAL),
    ("date", [("y", "date", DATE)], OF_DATE),
    ("timestamp", [("t", "timestamp", TIMESTAMP)], of_time("t")),
    ("timestamptz", [("z", "timestamptz", TIMESTAMPTZ), ("t", "timestamp", TIMESTAMP)], of_time("z") + ZONED),
    ("times", [("t", "timestamp", pairs(SMALL_TIME, SMALL_TIME)[0]), ("v", "timestamp", pairs(SMALL_TIME, SMALL_TIME)[1])], TWO_TIMES),
    ("mixed", MIXED, MIXED_CASES),
    ("constant", [("x", "bigint", ["0"])], CONSTANT),
]
