//! NUL in JSON for PostgreSQL, whose texts cannot hold it: `\u0000` becomes U+FFFD.

use std::borrow::Cow;

/// The same JSON without NUL in its strings.
pub(super) fn replaced(json: Cow<'_, str>) -> Cow<'_, str> {
    if !json.contains("\\u0000") {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = &*json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("\\u0000") {
            out.push('\u{FFFD}');
            rest = behind;
            continue;
        }
        // An escaped backslash starts no escape: both characters at once.
        let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_escape_of_nul_is_replaced_and_not_what_looks_like_one() {
        let check = |json: &str, expected: &str| assert_eq!(replaced(json.into()), expected);
        check(r#"{"a":"x\u0000y\u0000"}"#, "{\"a\":\"x\u{FFFD}y\u{FFFD}\"}");
        check(r#"{"a":"\\u0000"}"#, r#"{"a":"\\u0000"}"#);
        check(r#"{"a":"\\\u0000\\"}"#, "{\"a\":\"\\\\\u{FFFD}\\\\\"}");
        check(r#"{"a":"\"é\\"}"#, r#"{"a":"\"é\\"}"#);
    }
}
