//! What `path` of a source names: files on a disk, or objects of a bucket.

use std::path::PathBuf;

use checkpoint::Bucket;

use super::place::Sources;
use super::section::{Read, Reader, Section};
use super::state::read_bucket;
use super::target::not_built;
use super::tree::Node;
use super::value::{bad_value, strings};

/// What is to be read.
pub(super) enum Named {
    /// Files, directories and patterns.
    Files(Vec<PathBuf>),
    /// Objects of one bucket, by their keys.
    Objects(Bucket, Vec<String>),
}

/// Reads `path`: a path or an address, or a list of either.
pub(super) fn named(sources: &Sources, node: &Node) -> Read<Named> {
    let mut paths = strings(sources, node)?;
    let addresses: Vec<_> = paths.iter().map(|path| Bucket::parse_object(path)).collect();
    if addresses.iter().all(Option::is_none) {
        return Ok(Named::Files(paths.drain(..).map(PathBuf::from).collect()));
    }
    if !cfg!(feature = "s3") {
        return Err(not_built("s3", node.place.clone()));
    }
    let wrong = |words: String| bad_value(node, words).with_help("write `path = \"s3://BUCKET/FOLDER/\"`");
    let (mut bucket, mut keys): (Option<Bucket>, _) = (None, Vec::new());
    for address in addresses {
        let Some(address) = address else {
            return Err(wrong("files and objects are read by sources of their own".to_owned()));
        };
        let (found, key) = address.map_err(wrong)?;
        if bucket.as_ref().is_some_and(|bucket| bucket.name != found.name) {
            return Err(wrong("objects of several buckets are read by sources of their own".to_owned()));
        }
        if key.rsplit_once('/').is_some_and(|(folder, _)| folder.contains(['*', '?', '['])) {
            return Err(wrong(format!("`{key}` has a pattern before its last part")));
        }
        bucket.get_or_insert(found);
        keys.push(key);
    }
    bucket.map(|bucket| Named::Objects(bucket, keys)).ok_or_else(|| wrong("no address".to_owned()))
}

/// Reads where the server of a bucket is.
pub(super) fn read_server(section: &mut Section, reader: &mut Reader, named: Named) -> Named {
    match named {
        Named::Objects(bucket, keys) => Named::Objects(read_bucket(section, reader, bucket), keys),
        files @ Named::Files(_) => files,
    }
}
