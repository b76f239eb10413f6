//! What each input contributed to the score of a forest, in the words of Kinesis Data Analytics' SQL: an object of JSON.
//!
//! `{"pauses":{"DIRECTION":"HIGH","STRENGTH":"0.7121","ATTRIBUTION_SCORE":"1.9034"}, ..}`; numbers are texts of four digits there
//! too. The strength is the difference of what the input contributed by being high and by being low.

use std::fmt::Write;

use crate::forest::Attribution;

/// The object; nothing where nothing was attributed.
pub(crate) fn in_words(names: &[String], attribution: &Attribution, directions: bool) -> String {
    if attribution.low.len() != names.len() {
        return String::new();
    }
    let mut words = String::from("{");
    let sides = attribution.low.iter().zip(&attribution.high);
    for (place, (name, (low, high))) in names.iter().zip(sides).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // The text of an expression may be of several lines.
        let name = name.replace(|c: char| c.is_control(), " ").replace('\\', "\\\\").replace('"', "\\\"");
        let direction = match directions {
            true => {
                let side = if high >= low { "HIGH" } else { "LOW" };
                format!(r#""DIRECTION":"{side}","STRENGTH":"{:.4}","#, (high - low).abs())
            }
            false => String::new(),
        };
        // A string takes every write.
        let _ = write!(words, r#"{comma}"{name}":{{{direction}"ATTRIBUTION_SCORE":"{:.4}"}}"#, low + high);
    }
    words.push('}');
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_has_its_share_and_the_side_that_it_is_odd_on() {
        let names = ["pauses".to_owned(), "a \"b\"".to_owned()];
        let attribution = Attribution { low: vec![0.5, 0.125], high: vec![2.0, 0.0] };
        let expected = concat!(
            r#"{"pauses":{"DIRECTION":"HIGH","STRENGTH":"1.5000","ATTRIBUTION_SCORE":"2.5000"},"#,
            r#""a \"b\"":{"DIRECTION":"LOW","STRENGTH":"0.1250","ATTRIBUTION_SCORE":"0.1250"}}"#
        );
        assert_eq!(in_words(&names, &attribution, true), expected);
        let plain = r#"{"pauses":{"ATTRIBUTION_SCORE":"2.5000"},"a \"b\"":{"ATTRIBUTION_SCORE":"0.1250"}}"#;
        assert_eq!(in_words(&names, &attribution, false), plain);
        assert_eq!(in_words(&names, &Attribution::default(), true), "");
    }
}
