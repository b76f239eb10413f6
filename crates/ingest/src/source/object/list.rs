//! Which objects a source names, by their keys: single ones, all below a prefix, or those that fit a pattern.

use std::io;

use bucket::{Bucket, Listed};
use glob::{MatchOptions, Pattern};

use super::super::numbering::Numbering;
use super::super::passed::passed;
use super::super::position::{ObjectOrigin, Origin, Position};
use super::super::{Discovery, PartitionInfo};
use super::Server;
use crate::IngestError;

/// The objects that are there now, each a partition, in the order of the keys of the config and of their own. With `since`
/// those of folders and patterns are meant that were last written then or later, in microseconds since 1970, and those that
/// are named and older are passed over.
pub(in super::super) fn partitions(
    bucket: &Bucket,
    keys: &[String],
    since: Option<i64>,
) -> Result<Vec<PartitionInfo>, IngestError> {
    let server = Server::shared(bucket)?;
    let mut infos: Vec<PartitionInfo> = Vec::new();
    for key in keys {
        let listed = named(&server, key, since)?;
        let is_old = |object: &Listed| since.is_some_and(|since| object.modified < since);
        if listed.is_empty() {
            return Err(IngestError::NoFiles { path: server.address(key).into() });
        }
        for object in listed {
            let address = server.address(&object.key);
            if infos.iter().any(|info| info.id == address) {
                return Err(IngestError::Twice { path: address.into() });
            }
            let info = info(address, infos.len() as u32, &object);
            infos.push(if is_old(&object) { passed(info) } else { info });
        }
    }
    Ok(infos)
}

/// The objects that there are by now, all passed over, as a look would number them.
pub(in super::super) fn passed_now(
    bucket: &Bucket,
    keys: &[String],
) -> Result<Vec<PartitionInfo>, IngestError> {
    let found = Looking::new(bucket, keys, None, &[]).look()?;
    Ok(found.into_iter().map(passed).collect())
}

/// Looks for objects that are not known yet.
pub(in super::super) struct Looking {
    bucket: Bucket,
    keys: Vec<String>,
    since: Option<i64>,
    numbering: Numbering,
}

impl Looking {
    /// Knows these, whether they are still there or not.
    pub(in super::super) fn new(
        bucket: &Bucket,
        keys: &[String],
        since: Option<i64>,
        known: &[PartitionInfo],
    ) -> Self {
        Looking { bucket: bucket.clone(), keys: keys.to_vec(), since, numbering: Numbering::of(known) }
    }
}

impl Discovery for Looking {
    fn look(&mut self) -> Result<Vec<PartitionInfo>, IngestError> {
        let server = Server::shared(&self.bucket)?;
        let mut come = Vec::new();
        for key in &self.keys {
            come.extend(named(&server, key, self.since)?);
        }
        // Also of those that are named one by one: when it is written anew it is read.
        come.retain(|object| self.since.is_none_or(|since| object.modified >= since));
        come.sort_by(|one, other| one.key.cmp(&other.key));
        let mut found = Vec::new();
        for object in come {
            let address = server.address(&object.key);
            if !self.numbering.knows(&address) {
                let number = self.numbering.next();
                self.numbering.add(&address);
                found.push(info(address, number, &object));
            }
        }
        Ok(found)
    }
}

fn info(id: String, number: u32, object: &Listed) -> PartitionInfo {
    let origin = ObjectOrigin { length: object.length, e_tag: object.e_tag.clone() };
    let start = Position { offset: 0, origin: Origin::Object(origin) };
    PartitionInfo { id, number, series: number, start, parents: Vec::new() }
}

/// The objects that a key of the config names, possibly none. Of a folder or a pattern those that were written since a time
/// and hold anything: what stores make to show a folder does not.
fn named(server: &Server, key: &str, since: Option<i64>) -> Result<Vec<Listed>, IngestError> {
    let failed = |source: io::Error| IngestError::Read { name: server.address(key), source };
    let (folder, last) = key.rsplit_once('/').unwrap_or(("", key));
    if !last.is_empty() && !is_pattern(last) {
        return match server.client.look_at(key) {
            Ok(object) => Ok(vec![object]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        };
    }
    let pattern = Pattern::new(last).map_err(|error| IngestError::Pattern {
        path: server.address(key).into(),
        reason: error.to_string(),
    })?;
    let mut listed = server.client.list(folder).map_err(failed)?;
    let is_new = |object: &Listed| since.is_none_or(|since| object.modified >= since);
    listed.retain(|object| is_meant(object, folder, &pattern) && is_new(object));
    Ok(listed)
}

/// Whether an object below a folder is one of those that are meant: all of them without a pattern, else those in the
/// folder itself that fit. What begins with a dot is not ready yet, and what has no byte holds no record.
fn is_meant(object: &Listed, folder: &str, pattern: &Pattern) -> bool {
    let key = &object.key;
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
    let name = key.strip_prefix(folder).unwrap_or(key).trim_start_matches('/');
    let is_hidden = name.split('/').any(|part| part.starts_with('.'));
    object.length > 0 && !is_hidden && (pattern.as_str().is_empty() || pattern.matches_with(name, options))
}

/// Whether the last part of a key is a pattern.
fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_means_all_below_it_and_a_pattern_what_fits_beside_it() {
        let is_meant = |folder: &str, pattern: &str, key: &str, length: u64| {
            let object = Listed { key: key.to_owned(), length, e_tag: None, modified: 0 };
            is_meant(&object, folder, &Pattern::new(pattern).unwrap())
        };
        let meant = |folder: &str, pattern: &str, key: &str| is_meant(folder, pattern, key, 1);
        assert!(meant("a", "", "a/b.json") && meant("a", "", "a/dt=1/b.json") && meant("", "", "b.json"));
        assert!(!meant("a", "", "a/.b.json") && !meant("a", "", "a/.tmp/b.json"));
        assert!(meant(".a", "", ".a/b"), "the prefix itself was asked for");
        assert!(meant("a", "*.json", "a/b.json") && meant("a", "[bc].gz", "a/c.gz") && meant("", "?", "b"));
        assert!(!meant("a", "*.json", "a/dt=1/b.json") && !meant("a", "*.json", "a/b.csv"));
        assert!(!meant("a", "*", "a/.b"));
        assert!(meant("a", "", "a/b") && !is_meant("a", "", "a/b", 0), "what shows a folder has no byte");
    }
}
