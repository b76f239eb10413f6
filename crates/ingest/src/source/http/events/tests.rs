//! Bodies in, lines out, or a refusal as a whole.

use proptest::prelude::*;

use super::*;

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
}

/// The lines of a request, or the status with which it is refused.
fn lines(said: &[(&'static str, &str)], body: &str) -> Result<Vec<String>, u16> {
    let format = Format::of(&headers(said)).map_err(|problem| problem.status.as_u16())?;
    let lines = format.lines(body.as_bytes(), &[]).map_err(|problem| problem.status.as_u16())?;
    let text = String::from_utf8(lines.bytes().to_vec()).expect("text");
    Ok(text.lines().map(str::to_owned).collect())
}

const TYPE: &str = "content-type";
const STRUCTURED: &[(&str, &str)] = &[(TYPE, "application/cloudevents+json; charset=utf-8")];
const BATCH: &[(&str, &str)] = &[(TYPE, "application/cloudevents-batch+json")];

#[test]
fn lines_are_taken_as_they_are_but_for_blank_ones_and_what_ends_them() {
    let body = "\u{feff}{\"a\":1}\r\n\n  \t\n{\"a\": \"x\"} \nnot json\n{\"last\":true}";
    let expected = ["{\"a\":1}", "{\"a\": \"x\"} ", "not json", "{\"last\":true}"].map(str::to_owned);
    for media in ["application/x-ndjson", "Application/X-NDJSON; charset=utf-8", "text/plain"] {
        assert_eq!(lines(&[(TYPE, media)], body), Ok(expected.to_vec()), "{media}");
    }
    assert_eq!(lines(&[], body), Ok(expected.to_vec()));
    assert_eq!(lines(&[], ""), Ok(vec![]));
}

#[test]
fn an_object_or_an_array_of_them_may_stand_on_several_lines() {
    let json = &[(TYPE, "application/json")];
    assert_eq!(lines(json, " {\n \"a\":\r\n 1 }\n"), Ok(vec!["{  \"a\":   1 }".to_owned()]));
    let two = lines(json, "[{\"a\":\n1}, 7 ,\n{\"b\":\"\\n\"}]");
    assert_eq!(two, Ok(vec!["{\"a\": 1}".to_owned(), "7".to_owned(), "{\"b\":\"\\n\"}".to_owned()]));
    assert_eq!(lines(json, "[]"), Ok(vec![]));
    for bad in ["", "{", "[{}", "{}{}", "[{}]x", "{\"a\":1}\n{\"a\":2}", "nonsense"] {
        assert_eq!(lines(json, bad), Err(400), "{bad}");
    }
}

#[test]
fn a_cloud_event_is_its_envelope() {
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"user_id":"u"}}"#;
    assert_eq!(lines(STRUCTURED, event), Ok(vec![event.to_owned()]));
    assert_eq!(lines(BATCH, &format!("[{event},\n{event}]")), Ok(vec![event.to_owned(); 2]));
    for (from, to) in [
        ("\"1.0\"", "\"0.3\""),
        ("\"1.0\"", "1.0"),
        ("\"id\":\"1\"", "\"id\":\"\""),
        ("\"id\":\"1\"", "\"id\":1"),
        ("\"id\":\"1\"", "\"other\":\"1\""),
        ("\"type\"", "\"kind\""),
        ("\"source\"", "\"from\""),
        ("}}", "}"),
    ] {
        let bad = event.replace(from, to);
        assert_eq!(lines(STRUCTURED, &bad), Err(400), "{bad}");
        assert_eq!(
            lines(BATCH, &format!("[{event},{bad}]")),
            Err(400),
            "nothing of a bad batch is taken: {bad}"
        );
    }
    assert_eq!(lines(STRUCTURED, &format!("[{event}]")), Err(400));
    assert_eq!(lines(BATCH, event), Err(400));
}

#[test]
fn a_cloud_event_whose_attributes_are_headers_becomes_the_same_envelope() {
    let said = [
        (TYPE, "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s%20%C3%A9%22"),
        ("ce-type", "t"),
        ("ce-tenant", "x"),
        ("x-other", "y"),
    ];
    let expected = "{\"datacontenttype\":\"application/json\",\"id\":\"1\",\"source\":\"/s é\\\"\",\
                    \"specversion\":\"1.0\",\"tenant\":\"x\",\"type\":\"t\"";
    let with_data = format!("{expected},\"data\":{{ \"user_id\": \"u\" }}}}");
    assert_eq!(lines(&said, "{\n\"user_id\":\n\"u\"\n}"), Ok(vec![with_data]));
    assert_eq!(lines(&said, " "), Ok(vec![format!("{expected}}}")]), "data may be missing");
    assert_eq!(lines(&said, "{} {}"), Err(400));
    assert_eq!(lines(&said, "},\"id\":{"), Err(400), "data cannot break out of its place");
    for (name, value) in [("ce-specversion", "2"), ("ce-id", ""), ("ce-source", "%FF")] {
        let changed = said.map(|(old, text)| (old, if old == name { value } else { text }));
        assert_eq!(lines(&changed, "{}"), Err(400), "{name}: {value}");
    }
    for extra in ["ce-data", "ce-", "ce-a-b", "ce-id"] {
        assert_eq!(lines(&[&said[..], &[(extra, "x")]].concat(), "{}"), Err(400), "{extra}");
    }
    let xml = said.map(|(name, text)| (name, if name == TYPE { "application/xml" } else { text }));
    assert_eq!(lines(&xml, "<a/>"), Err(415));
}

#[test]
fn other_media_are_refused() {
    for media in ["application/xml", "", "application/x-www-form-urlencoded", "application/vnd.x+json"] {
        assert_eq!(lines(&[(TYPE, media)], "{}"), Err(415), "{media}");
    }
}

/// Bodies that nearly are what they say.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("{\"id\":".to_owned()),
        Just("\"a\"".to_owned()),
        Just("}".to_owned()),
        Just(",".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("7e999".to_owned()),
        Just("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}".to_owned()),
        "[ -~]{0,3}",
    ];
    let words = prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![words, prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn whatever_is_sent_is_refused_or_becomes_lines_that_are_lines(
        body in bodies(),
        media in prop::sample::select(vec![
            "application/x-ndjson",
            "application/json",
            "application/cloudevents+json",
            "application/cloudevents-batch+json",
        ]),
        attribute in prop::option::of("[ -~]{0,8}"),
    ) {
        let mut said = vec![(TYPE, media)];
        said.extend(attribute.as_deref().map(|value| ("ce-specversion", value)));
        let Ok(format) = Format::of(&headers(&said)) else { return Ok(()) };
        let fields = [vec!["id".to_owned()]];
        let Ok(lines) = format.lines(&body, &fields) else { return Ok(()) };
        let bytes = lines.bytes();
        prop_assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
        for line in bytes.split(|byte| *byte == b'\n').rev().skip(1) {
            prop_assert!(first_byte(line).is_some(), "no line is blank");
            // What was understood to find it is whole.
            if format != Format::Lines {
                prop_assert!(serde_json::from_slice::<&RawValue>(line).is_ok());
            }
        }
    }
}
