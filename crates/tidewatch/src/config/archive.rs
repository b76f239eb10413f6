//! `[archive]`: where every record that the job reads is kept.

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Read, Reader, Section};
use super::target::not_built;
use super::tree::Node;
use super::value::{bad_value, filled_string};

/// `[archive]`: Parquet files of all records that were read, by date, which other programs query and a source of
/// `type = "archive"` replays. Needs `[state]`: a file becomes visible with the checkpoint that holds its records.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where the section stands.
    pub place: Place,
    /// `dir`: a directory, or `"s3://BUCKET/PREFIX"`; several processes share it, and no other job does. Free to change
    /// between runs: another place has what is read from then on. In a bucket, address, region and keys of the server come
    /// from the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and their like).
    pub address: String,
}

/// Reads the section, if there is one.
pub(super) fn read_archive(root: &mut Section, reader: &mut Reader, has_state: bool) -> Option<Archive> {
    let mut section = root.section(reader, "archive")?;
    let place = section.place().clone();
    let address = section.required(reader, "dir", "add `dir = \"DIR\"`", |sources, node| {
        read_address(filled_string(sources, node)?, node)
    });
    section.finish(reader);
    if !has_state {
        let message = "an archive needs a state: its files become visible with checkpoints";
        let diagnostic = Diagnostic::new(Code::Conflict, place.clone(), message);
        reader.report(diagnostic.with_help("add `[state]` with `dir = \"DIR\"`"));
    }
    Some(Archive { place, address: address? })
}

/// Checks the address of an archive.
pub(super) fn read_address(text: String, node: &Node) -> Read<String> {
    let built = |feature: &str, is_built: bool| match is_built {
        true => Ok(()),
        false => Err(not_built(feature, node.place.clone())),
    };
    built("archive", cfg!(feature = "archive"))?;
    match checkpoint::Bucket::parse(&text) {
        None => Ok(text),
        Some(bucket) => {
            built("s3", cfg!(feature = "s3"))?;
            bucket.map(|_| text).map_err(|words| {
                bad_value(node, words).with_help("write `dir = \"s3://BUCKET/NAME-OF-THE-ARCHIVE\"`")
            })
        }
    }
}
