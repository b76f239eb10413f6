//! Which files and objects a job reads, by where it is to begin and to end: those that are cut, watched, followed, and those
//! that are passed over.
//!
//! Asked at the first start of a job. What comes of it is in the checkpoint that this start makes before anything is read.

use std::path::{Path, PathBuf};

#[cfg(feature = "s3")]
use bucket::Bucket;

#[cfg(feature = "s3")]
use super::object;
use super::passed::passed;
use super::{End, Format, PartitionInfo, SourceKind, SourceSpec, Start, file, set, tail, unpack};
use crate::IngestError;

/// The partitions of files. Of those that are watched only the ones that are passed over.
pub(super) fn files(
    spec: &SourceSpec,
    paths: &[PathBuf],
    lanes: u32,
) -> Result<Vec<PartitionInfo>, IngestError> {
    match spec.end {
        End::Never if is_watched(spec) => match spec.start {
            Start::Latest => set::passed_now(paths),
            _ => Ok(Vec::new()),
        },
        End::Never => followed(spec, paths),
        End::Latest => {
            let (infos, is_old) = match cut_file(spec) {
                // Its lanes are one file.
                Some(path) => {
                    let is_old = spec.start.time().is_some_and(|since| !set::is_written(path, since));
                    (file::partitions(path, lanes)?, is_old)
                }
                None => (set::partitions(paths, spec.start.time())?, false),
            };
            Ok(all_or_none(infos, is_old || spec.start == Start::Latest))
        }
    }
}

/// The partitions of objects. Of those that are watched only the ones that are passed over.
#[cfg(feature = "s3")]
pub(super) fn objects(
    spec: &SourceSpec,
    bucket: &Bucket,
    keys: &[String],
) -> Result<Vec<PartitionInfo>, IngestError> {
    match (spec.end, spec.start) {
        (End::Never, Start::Latest) => object::passed_now(bucket, keys),
        (End::Never, _) => Ok(Vec::new()),
        (End::Latest, start) => {
            let infos = object::partitions(bucket, keys, spec.start.time())?;
            Ok(all_or_none(infos, start == Start::Latest))
        }
    }
}

/// These, or all of them passed over.
fn all_or_none(infos: Vec<PartitionInfo>, is_none: bool) -> Vec<PartitionInfo> {
    if is_none { infos.into_iter().map(passed).collect() } else { infos }
}

/// The file that is cut into lanes: the only one of a source, plain, of lines.
pub(super) fn cut_file(spec: &SourceSpec) -> Option<&Path> {
    let SourceKind::File { paths, compression, .. } = &spec.kind else { return None };
    let [path] = paths.as_slice() else { return None };
    let is_plain = unpack::Packing::of(*compression, path) == unpack::Packing::None;
    let is_cut = spec.format == Format::Json && spec.end == End::Latest;
    (is_cut && is_plain && !set::is_set(paths)).then_some(path)
}

/// Whether files that come later are read.
pub(super) fn is_watched(spec: &SourceSpec) -> bool {
    spec.end == End::Never && spec.kind.can_be_watched()
}

/// The partitions of files that others still write to: each is named, and plain.
fn followed(spec: &SourceSpec, paths: &[PathBuf]) -> Result<Vec<PartitionInfo>, IngestError> {
    let SourceKind::File { compression, .. } = &spec.kind else { return Ok(Vec::new()) };
    let is_plain = |path: &PathBuf| unpack::Packing::of(*compression, path) == unpack::Packing::None;
    let is_named = |path: &PathBuf| !set::is_set(std::slice::from_ref(path));
    if !paths.iter().all(|path| is_plain(path) && is_named(path)) {
        let must =
            "\"latest\" for packed files, and where directories or patterns stand beside names of files";
        return Err(IngestError::Invalid { setting: "end", name: spec.name.clone(), must });
    }
    if spec.format == Format::Parquet {
        let must = "\"latest\" for a file of Parquet: it is written at once";
        return Err(IngestError::Invalid { setting: "end", name: spec.name.clone(), must });
    }
    let info = |(path, number)| {
        let at_end = || tail::partition_at_end(path, number, spec.format);
        match spec.start {
            Start::Latest => at_end(),
            // The last write of a file is the only time that is known of it: if that is earlier, so is every line. Asked once it is
            // known where it ends: what is written meanwhile lies behind that, or makes it a later one.
            Start::At(since) => match (at_end()?, set::is_written(path, since)) {
                (info, false) => Ok(info),
                (_, true) => tail::partition(path, number),
            },
            Start::Earliest | Start::Checkpoint => tail::partition(path, number),
        }
    };
    paths.iter().map(PathBuf::as_path).zip(0..).map(info).collect()
}
