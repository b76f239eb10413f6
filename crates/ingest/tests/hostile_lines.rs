//! Lines that a stranger may send: each is read, is rejected for its reason, or is no record.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use event::{DataType, Decoded, Reason};
use ingest::{DecodeSpec, Decoder, FieldSpec, Piece, TimeSpec, TimeUnit};

/// A decoder of a key `user`, a `count`, a `score`, a flag, and a name inside an object.
fn spec() -> DecodeSpec {
    let inner = FieldSpec {
        path: vec!["device".to_owned(), "os.name".to_owned()],
        ..FieldSpec::new("os", DataType::Varchar).dictionary()
    };
    DecodeSpec::new(
        vec![
            FieldSpec::new("user", DataType::Varchar).required(),
            FieldSpec::new("count", DataType::Bigint),
            FieldSpec::new("score", DataType::Double),
            FieldSpec::new("flag", DataType::Boolean),
            inner,
        ],
        TimeSpec::new(&["ts"], TimeUnit::Millis),
    )
}

fn decode(spec: &DecodeSpec, bytes: &[u8]) -> Decoded {
    let (decoded, rest) = Decoder::new(spec.clone()).decode(Piece::new(bytes.to_vec(), 0), usize::MAX);
    assert!(rest.is_none());
    let batch = &decoded.records.batch;
    assert_eq!(batch.rows(), decoded.records.times.len());
    assert_eq!(batch.rows(), decoded.records.offsets.len());
    decoded
}

/// A value in words.
fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        arrow_schema::DataType::Utf8 => format!("{:?}", column.as_string::<i32>().value(row)),
        arrow_schema::DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        arrow_schema::DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        arrow_schema::DataType::Boolean => column.as_boolean().value(row).to_string(),
        arrow_schema::DataType::Date32 => column.as_primitive::<Date32Type>().value(row).to_string(),
        arrow_schema::DataType::Decimal128(..) => {
            column.as_primitive::<Decimal128Type>().value(row).to_string()
        }
        arrow_schema::DataType::Timestamp(..) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        _ => {
            let dictionary = column.as_any_dictionary();
            format!("{:?}", dictionary.values().as_string::<i32>().value(dictionary.normalized_keys()[row]))
        }
    }
}

/// What became of each record, in order: its values, or the code of its reason.
fn outcomes(decoded: &Decoded) -> Vec<String> {
    let columns = decoded.records.batch.columns();
    let row = |row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" ");
    let mut all: Vec<String> = (0..decoded.records.batch.rows()).map(row).collect();
    for (inserted, record) in decoded.rejected.iter().enumerate() {
        assert!(!record.detail.is_empty());
        all.insert(record.before + inserted, record.reason.code().to_owned());
    }
    all
}

/// Checks a line alone, among good ones, without a newline, and with what the decoder learned before.
fn check(line: impl AsRef<[u8]>, expected: &str) {
    const GOOD: &str = r#"{"user":"good","ts":1700000000000,"count":1}"#;
    let line = line.as_ref();
    let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    let expected: Vec<String> = if expected.is_empty() { vec![] } else { vec![expected.to_owned()] };
    assert_eq!(outcomes(&decode(&spec(), line)), expected, "{shown}, alone");
    for end in ["\n", "\r\n", " \t\r\n"] {
        let good = ["\"good\" 1 NULL NULL NULL".to_owned()];
        let around = [GOOD.as_bytes(), b"\n", line, end.as_bytes(), line, end.as_bytes(), GOOD.as_bytes()];
        let found = outcomes(&decode(&spec(), &around.concat()));
        let expected = [&good[..], &expected, &expected, &good].concat();
        assert_eq!(found, expected, "{shown}, between others");
    }
}

fn with(members: &str) -> String {
    format!(r#"{{"user":"u","ts":1700000000000{members}}}"#)
}

#[test]
fn fields_come_in_any_order_among_any_others() {
    check(with(""), r#""u" NULL NULL NULL NULL"#);
    check(with(r#","count":3,"score":2.5,"flag":true"#), r#""u" 3 2.5 true NULL"#);
    check(
        r#"{"x":[1,{"user":"no"}],"flag":false,"y":{"count":1,"ts":0},"score":7,"ts":1700000000000,"z":null,"user":"u","count":-4}"#,
        r#""u" -4 7.0 false NULL"#,
    );
    check(r#" { "ts" : 1700000000000 , "user" :	"u" , "count" : 5 } "#, r#""u" 5 NULL NULL NULL"#);
    check(with(r#","count":null,"score":null,"flag":null,"device":null"#), r#""u" NULL NULL NULL NULL"#);
}

#[test]
fn a_name_inside_another_object_is_not_the_field() {
    check(with(r#","device":{"os.name":"ios"}"#), r#""u" NULL NULL NULL "ios""#);
    check(with(r#","device":{"a":{"os.name":"no"},"os.name":"ios","z":[]}"#), r#""u" NULL NULL NULL "ios""#);
    check(with(r#","device":{"os":{"name":"no"}}"#), r#""u" NULL NULL NULL NULL"#);
    check(with(r#","device":[{"os.name":"no"}]"#), r#""u" NULL NULL NULL NULL"#);
    check(with(r#","device":"os.name""#), r#""u" NULL NULL NULL NULL"#);
    check(with(r#","os.name":"no","os":"no","a":{"device":{"os.name":"no"}}"#), r#""u" NULL NULL NULL NULL"#);
    check(with(r#","device":{}"#), r#""u" NULL NULL NULL NULL"#);
}

#[test]
fn names_and_strings_are_compared_after_their_escapes_and_never_changed() {
    check(r#"{"\u0075ser":"u","t\u0073":1700000000000}"#, r#""u" NULL NULL NULL NULL"#);
    check(
        r#"{"user":"\u0061\n\"\\\/é\ud83d\ude00","ts":1700000000000}"#,
        r#""a\n\"\\/é😀" NULL NULL NULL NULL"#,
    );
    check(r#"{"user":"  A b ","ts":1700000000000}"#, r#""  A b " NULL NULL NULL NULL"#);
    check(r#"{"user":"","ts":1700000000000}"#, r#""" NULL NULL NULL NULL"#);
    check(r#"{"user":"\u0000","ts":1700000000000}"#, r#""\0" NULL NULL NULL NULL"#);
    check(r#"{"User":"u","ts":1700000000000}"#, "missing");
    check(r#"{"user ":"u","ts":1700000000000}"#, "missing");
    let long = "ünïcode ".repeat(100);
    check(format!(r#"{{"user":"{long}","ts":1700000000000}}"#), &format!("{long:?} NULL NULL NULL NULL"));
    check(with(r#","device":{"os.name":"\u0069os"}"#), r#""u" NULL NULL NULL "ios""#);
    check(with(r#","device":{"os.name":"a\u0000"}"#), r#""u" NULL NULL NULL "a\0""#);
}

#[test]
fn the_key_and_the_time_are_required() {
    for line in [
        r#"{"ts":1700000000000}"#,
        r#"{"user":null,"ts":1700000000000}"#,
        r#"{"user":"u"}"#,
        r#"{"user":"u","ts":null}"#,
        "{}",
        r#"{"a":{"user":"u","ts":1700000000000}}"#,
    ] {
        check(line, "missing");
    }
}

#[test]
fn a_value_that_is_not_of_the_type_does_not_fit() {
    for member in [
        r#","count":1.0"#,
        r#","count":1e3"#,
        r#","count":"1""#,
        r#","count":true"#,
        r#","count":9223372036854775808"#,
        r#","count":[1]"#,
        r#","count":{}"#,
        r#","count":NaN"#,
        r#","score":"1""#,
        r#","score":1e999"#,
        r#","score":-1e999"#,
        r#","score":NaN"#,
        r#","score":Infinity"#,
        r#","score":-Infinity"#,
        r#","score":false"#,
        r#","flag":1"#,
        r#","flag":"true""#,
        r#","device":{"os.name":1}"#,
        r#","device":{"os.name":{}}"#,
    ] {
        check(with(member), "type");
    }
    check(r#"{"user":1,"ts":1700000000000}"#, "type");
    check(r#"{"user":["u"],"ts":1700000000000}"#, "type");
    check(r#"{"user":"u","ts":"1700000000000"}"#, "type");
    check(r#"{"user":"u","ts":1700000000000.0}"#, "type");
    check(r#"{"user":"u","ts":true}"#, "type");
    check(r#"{"user":"u","ts":92233720368547758080}"#, "type");
}

#[test]
fn numbers_are_exact_or_correctly_rounded() {
    check(with(r#","count":-9223372036854775808"#), r#""u" -9223372036854775808 NULL NULL NULL"#);
    check(with(r#","count":9223372036854775807"#), r#""u" 9223372036854775807 NULL NULL NULL"#);
    check(with(r#","count":-0"#), r#""u" 0 NULL NULL NULL"#);
    check(with(r#","score":9007199254740993"#), r#""u" NULL 9007199254740992.0 NULL NULL"#);
    check(with(r#","score":-0"#), r#""u" NULL -0.0 NULL NULL"#);
    check(with(r#","score":0.1"#), r#""u" NULL 0.1 NULL NULL"#);
    check(with(r#","score":1E-400"#), r#""u" NULL 0.0 NULL NULL"#);
    check(with(r#","score":123456.789e+3"#), r#""u" NULL 123456789.0 NULL NULL"#);
    check(with(r#","score":2.2250738585072011e-308"#), r#""u" NULL 2.225073858507201e-308 NULL NULL"#);
}

#[test]
fn a_time_outside_the_range_does_not_fit() {
    for time in ["631151999999", "4102444800000", "253402300799000", "-1", "0", "9223372036854775807"] {
        check(format!(r#"{{"user":"u","ts":{time}}}"#), "time_range");
    }
    check(r#"{"user":"u","ts":631152000000}"#, r#""u" NULL NULL NULL NULL"#);
    check(r#"{"user":"u","ts":4102444799999}"#, r#""u" NULL NULL NULL NULL"#);
}

#[test]
fn a_line_that_is_not_one_whole_object_does_not_fit_even_if_the_fields_could_be_read() {
    let whole = with("");
    for end in ["x", "{}", ",", "}", "]", "1", "\"", "null", &format!(" {whole}"), "\0", "\u{a0}"] {
        check(format!("{whole}{end}"), "malformed");
    }
    for cut in 1..whole.len() {
        // A cut through the digits of the time leaves another time, which is looked at first.
        let is_in_time = (whole.len() - 13..whole.len() - 1).contains(&cut);
        check(&whole[..cut], if is_in_time { "time_range" } else { "malformed" });
    }
    for bad in [
        r#","count":01"#,
        r#","count":+1"#,
        r#","count":-"#,
        r#","count":1."#,
        r#","count":.5"#,
        r#","score":1e"#,
        r#","score":1.5.5"#,
        r#","score":0x10"#,
        r#","score":nil"#,
        r#","x":tru"#,
        r#","x":truely"#,
        r#","x":NaN"#,
        r#","x":1 2"#,
        r#","x":'a'"#,
        r#","x":"#,
        r#","x""#,
        r#",x:1"#,
        r#","x" 1"#,
        r#","x"::1"#,
        ",",
        r#",,"x":1"#,
        r#" "x":1"#,
        r#";"x":1"#,
        r#","x":[1,2"#,
        r#","x":{"a":[}"#,
        r#","x":]"#,
        r#","x":1]"#,
        r#","\q":1"#,
        "\"a\tb\":1",
    ] {
        check(with(bad), "malformed");
    }
    for line in ["[]", "1", "null", "\"user\"", "garbage", "<user>", "{,}", "{\"a\"}", "[{}]"] {
        check(line, "malformed");
    }
    check(format!("[{whole}]"), "malformed");
    check(format!("{whole}\r{whole}"), "malformed");
}

#[test]
fn strings_that_are_no_text_do_not_fit() {
    for user in [r"\ud83d", r"\ude00", r"\ud83d\u0041", r"\x", r"\u12", "a\tb", "a\u{1}", r"\", "\u{0}"] {
        check(format!(r#"{{"user":"{user}","ts":1700000000000}}"#), "malformed");
    }
    for bytes in
        [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80", b"long enough \x80"]
    {
        let line = |name: &str| {
            let before = format!("{{\"ts\":1700000000000,\"user\":\"u\",\"{name}\":\"");
            [before.as_bytes(), bytes, b"\"}"].concat()
        };
        check([&b"{\"ts\":1700000000000,\"user\":\""[..], bytes, b"\"}"].concat(), "malformed");
        check(line("other"), r#""u" NULL NULL NULL NULL"#);
        let inner = [&b"{\"ts\":1700000000000,\"user\":\"u\",\"device\":{\"os.name\":\""[..], bytes, b"\"}}"]
            .concat();
        check(inner, "malformed");
    }
}

#[test]
fn a_needed_name_stands_once_in_its_object() {
    check(with(r#","user":"v""#), "duplicate_name");
    check(with(r#","user":"u""#), "duplicate_name");
    check(with(r#","ts":1700000000000"#), "duplicate_name");
    check(with(r#","count":null,"count":1"#), "duplicate_name");
    check(with(r#","c\u006funt":1,"count":1"#), "duplicate_name");
    check(with(r#","device":1,"device":{}"#), "duplicate_name");
    check(with(r#","device":{"os.name":"a","os.name":"a"}"#), "duplicate_name");
    check(with(r#","x":1,"x":2,"y":{"user":1,"user":2}"#), r#""u" NULL NULL NULL NULL"#);
}

#[test]
fn nesting_is_read_up_to_the_limit() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let width = open.matches(['[', '{']).count();
        let nested = |levels: usize| {
            let times = levels / width;
            with(&format!(r#","x":{}1{}"#, open.repeat(times), close.repeat(times)))
        };
        check(nested(98), r#""u" NULL NULL NULL NULL"#);
        check(nested(100), "too_deep");
        check(nested(100_000), "too_deep");
    }
    check(with(&format!(r#","x":{}1{}"#, "[".repeat(99), "]".repeat(99))), r#""u" NULL NULL NULL NULL"#);
    check(with(&format!(r#","x":{}"#, "[".repeat(200_000))), "too_deep");
    let deep = DecodeSpec { depth_max: 2, ..spec() };
    let inner = with(r#","device":{"os.name":"ios","x":{}}"#);
    assert_eq!(outcomes(&decode(&deep, inner.as_bytes())), ["too_deep"]);
    let flat = DecodeSpec { depth_max: 1, ..spec() };
    assert_eq!(outcomes(&decode(&flat, with(r#","device":{}"#).as_bytes())), ["too_deep"]);
}

/// What each record says of its partition (`-` for nothing), or the code of its reason.
fn punctuations(spec: &DecodeSpec, lines: &[&str]) -> Vec<String> {
    let decoded = decode(spec, lines.join("\n").as_bytes());
    let said = decoded.records.punctuations.iter().map(|said| match *said {
        i64::MIN => "-".to_owned(),
        said => said.to_string(),
    });
    let mut all: Vec<String> = said.collect();
    for (inserted, record) in decoded.rejected.iter().enumerate() {
        all.insert(record.before + inserted, record.reason.code().to_owned());
    }
    all
}

#[test]
fn what_a_record_says_of_its_partition_is_an_instant_of_the_range_or_nothing() {
    let punctuated = |path: &[&str], unit| DecodeSpec {
        punctuation: Some(TimeSpec::new(path, unit)),
        ..DecodeSpec::new(
            vec![FieldSpec::new("n", DataType::Bigint)],
            TimeSpec::new(&["ts"], TimeUnit::Millis),
        )
    };
    let ms = |members: &str| format!("{{\"ts\":1700000000000{members}}}");
    let lines = [
        ms(r#","wm":1700000000001"#),
        ms(""),
        ms(r#","wm":null,"n":1"#),
        ms(r#","wm": null "#),
        ms(r#","wm":1699999999999,"n":2"#),
        ms(r#","wm":"soon""#),
        ms(r#","wm":253402300799000"#),
        ms(r#","wm":1700000000001,"wm":1700000000002"#),
        ms(r#","wm":null,"wm":1700000000002"#),
        ms(r#","wm":nul"#),
        ms(r#","n":3"#),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = [
        "1700000000001000",
        "-",
        "-",
        "-",
        "1699999999999000",
        "type",
        "time_range",
        "duplicate_name",
        "duplicate_name",
        "malformed",
        "-",
    ];
    assert_eq!(punctuations(&punctuated(&["wm"], TimeUnit::Millis), &lines), expected);
    let inner = punctuated(&["meta", "wm"], TimeUnit::Rfc3339);
    let lines = [
        r#"{"ts":1700000000000,"meta":{"wm":"2023-11-14T22:13:20Z"}}"#,
        r#"{"meta":{"wm":null},"ts":1700000000000}"#,
        r#"{"meta":{},"ts":1700000000000}"#,
        r#"{"meta":{"wm":"yesterday"},"ts":1700000000000}"#,
    ];
    assert_eq!(punctuations(&inner, &lines), ["1700000000000000", "-", "-", "type"]);
    // The event time may be what it says.
    let same = punctuated(&["ts"], TimeUnit::Millis);
    assert_eq!(punctuations(&same, &[&ms(""), r#"{"ts":null}"#]), ["1700000000000000", "missing"]);
    assert_eq!(punctuations(&spec(), &[r#"{"user":"u","ts":1700000000000}"#]), [""; 0], "nobody asks");
}

#[test]
fn long_records_are_read_up_to_the_limit() {
    let long = |bytes: usize| with(&format!(r#","x":"{}""#, "y".repeat(bytes)));
    check(long(256 * 1024), r#""u" NULL NULL NULL NULL"#);
    check(long(1 << 20), "too_long");
    check("z".repeat((1 << 20) + 1), "too_long");
    let exact = long((1 << 20) - long(0).len());
    for end in ["", "\n", "\r\n"] {
        let found = outcomes(&decode(&spec(), format!("{exact}{end}").as_bytes()));
        assert_eq!(found, [r#""u" NULL NULL NULL NULL"#], "a line end does not count");
    }
}

#[test]
fn blank_lines_are_no_records() {
    for line in ["", " ", "\t \r", "\r"] {
        check(line, "");
    }
    let decoded = decode(&spec(), b"\n\n  \n\r\n");
    assert!(outcomes(&decoded).is_empty());
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_of_a_file_only() {
    let line = with("");
    let decoded = decode(&spec(), format!("\u{feff}{line}\n\u{feff}{line}\n").as_bytes());
    assert_eq!(outcomes(&decoded), [r#""u" NULL NULL NULL NULL"#, "malformed"]);
    assert_eq!(decoded.records.offsets, [0]);
    assert_eq!(decoded.rejected[0].offset, line.len() as u64 + 4);
    assert!(outcomes(&decode(&spec(), "\u{feff}\n".as_bytes())).is_empty());
    assert_eq!(outcomes(&decode(&spec(), "\u{feff}x".as_bytes())), ["malformed"]);
}

#[test]
fn a_rejected_record_has_its_place_and_its_first_bytes() {
    let good = with("");
    let long = format!("{{{}", "x".repeat(3000));
    let text = format!("{good}\r\nbad\r\n\r\n{good}\n{long}\nlast");
    let decoded = decode(&spec(), text.as_bytes());
    let places: Vec<(usize, u64)> = decoded.rejected.iter().map(|r| (r.before, r.offset)).collect();
    let second = good.len() as u64 + 2;
    let third = second + 5 + 2 + good.len() as u64 + 1;
    assert_eq!(places, [(1, second), (2, third), (2, third + 3002)]);
    let raw: Vec<&[u8]> = decoded.rejected.iter().map(|r| &r.raw[..]).collect();
    assert_eq!(raw, [&b"bad"[..], &long.as_bytes()[..1024], b"last"]);
    assert_eq!(decoded.records.raw(0), good.as_bytes());
    assert_eq!(decoded.records.raw(1), good.as_bytes());
}

#[test]
fn a_rejected_record_leaves_nothing_behind() {
    let bad = r#"{"user":"half a row","count":1,"score":2,"flag":true,"device":{"os.name":"x"},"ts":0}"#;
    let text = format!("{bad}\n{}\n{bad}\n{}", with(r#","score":1"#), with(r#","count":null,"flag":true"#));
    let found = outcomes(&decode(&spec(), text.as_bytes()));
    let expected = ["time_range", r#""u" NULL 1.0 NULL NULL"#, "time_range", r#""u" NULL NULL true NULL"#];
    assert_eq!(found, expected);
}

#[test]
fn every_type_has_its_column() {
    let field = |name: &str, data_type| FieldSpec::new(name, data_type);
    let spec = DecodeSpec {
        event_time: true,
        ..DecodeSpec::new(
            vec![
                field("d", DataType::Date),
                field("p", DataType::Decimal { precision: 6, scale: 2 }),
                field("l", DataType::Timestamp),
                field("i", DataType::TimestampTz),
                field("ts", DataType::Bigint),
            ],
            TimeSpec::new(&["ts"], TimeUnit::Millis),
        )
    };
    let line = |members: &str| format!("{{{members},\"ts\":1700000000000}}");
    let read = |members: &str| outcomes(&decode(&spec, line(members).as_bytes())).remove(0);
    let rest = "1700000000000 1700000000000000";
    let all = r#""d":"1970-01-03","p":-12.5,"l":"1970-01-01 00:00:01","i":"1970-01-01T01:00:00+01:00""#;
    assert_eq!(read(all), format!("2 -1250 1000000 0 {rest}"));
    assert_eq!(read(r#""d":null"#), format!("NULL NULL NULL NULL {rest}"));
    for bad in [
        r#""d":"1970-02-30""#,
        r#""d":1"#,
        r#""p":"1""#,
        r#""p":0.001"#,
        r#""p":10000"#,
        r#""l":"1970-01-01""#,
        r#""i":0"#,
    ] {
        assert_eq!(read(bad), "type", "{bad}");
    }
    let decoded = decode(&spec, line(all).as_bytes());
    for (field, column) in decoded.records.batch.schema().fields().iter().zip(decoded.records.batch.columns())
    {
        assert_eq!(*column.data_type(), field.data_type.arrow(), "{}", field.name);
    }
    assert_eq!(decoded.records.batch.schema().fields()[5].name, "event_time");
}

#[test]
fn a_piece_that_is_decoded_in_parts_gives_the_same_records() {
    let text: String = (0..50)
        .map(|i| if i % 7 == 3 { "bad\n".to_owned() } else { with(&format!(r#","count":{i}"#)) + "\n" })
        .collect();
    let whole = outcomes(&decode(&spec(), text.as_bytes()));
    for records_max in [1, 2, 3, 49] {
        let mut decoder = Decoder::new(spec());
        let mut piece = Some(Piece::new(text.clone().into_bytes(), 0));
        let mut parts = Vec::new();
        while let Some(next) = piece {
            let (decoded, rest) = decoder.decode(next, records_max);
            for row in 0..decoded.records.batch.rows() {
                assert_eq!(decoded.records.raw(row)[0], b'{');
            }
            assert!(decoded.rejected.iter().all(|record| record.reason == Reason::Malformed));
            parts.extend(outcomes(&decoded));
            piece = rest;
        }
        assert_eq!(parts, whole);
    }
}
