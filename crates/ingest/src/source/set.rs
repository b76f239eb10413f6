//! Several files as the partitions of one source: a list of them, what is in a directory, what fits a pattern.
//!
//! Their order is that of the list, and of their names within a directory or pattern. Names that begin with a dot are
//! passed over in both, as those of files that are not ready yet.
//!
//! Directories and patterns may be watched: files that come while the job runs, or came while it did not, get the next
//! numbers in the order of their names ([`Watch`]). So a file keeps its number whatever comes and goes, and its name is
//! all that it is known by.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::numbering::Numbering;
use super::whole;
use super::{Discovery, PartitionInfo};
use crate::IngestError;

/// Whether paths may mean more than one file, or another number of them the next time.
pub(super) fn is_set(paths: &[PathBuf]) -> bool {
    match paths {
        [path] => is_folder(path) || is_pattern(path),
        _ => true,
    }
}

/// Whether each path stands for whatever files are there by now: a directory or a pattern.
pub(super) fn can_be_watched(paths: &[PathBuf]) -> bool {
    paths.iter().all(|path| is_folder(path) || is_pattern(path))
}

/// A partition for each file, as they are now. With `since` those of directories and patterns are meant that were last
/// written then or later, in microseconds since 1970.
pub(super) fn partitions(paths: &[PathBuf], since: Option<i64>) -> Result<Vec<PartitionInfo>, IngestError> {
    let files = files(paths, since, Nothing::Refused)?;
    files.iter().zip(0..).map(|(path, number)| whole::partition(path, number)).collect()
}

/// Looks for files that are not known yet.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    since: Option<i64>,
    numbering: Numbering,
    /// What the last look met at a file, while it gave the others.
    left_out: Option<IngestError>,
}

impl Watch {
    /// Knows these, whether they are still there or not.
    pub(super) fn new(paths: &[PathBuf], since: Option<i64>, known: &[PartitionInfo]) -> Self {
        Watch { paths: paths.to_vec(), since, numbering: Numbering::of(known), left_out: None }
    }
}

impl Discovery for Watch {
    fn look(&mut self) -> Result<Vec<PartitionInfo>, IngestError> {
        self.left_out = None;
        let mut come = files(&self.paths, self.since, Nothing::Fine)?;
        come.retain(|path| path.to_str().is_none_or(|name| !self.numbering.knows(name)));
        come.sort();
        let mut found = Vec::new();
        for path in come {
            match whole::partition(&path, self.numbering.next()) {
                Ok(info) => {
                    self.numbering.add(&info.id);
                    found.push(info);
                }
                // Taken away again since it was listed.
                Err(IngestError::NotFound { .. }) => {}
                // Known are only those that are given: this one is tried again at the next look.
                Err(error) => self.left_out = self.left_out.take().or(Some(error)),
            }
        }
        Ok(found)
    }

    fn left_out(&mut self) -> Option<IngestError> {
        self.left_out.take()
    }
}

/// What it is that a directory or a pattern has no files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nothing {
    /// Some may come.
    Fine,
    /// A mistake, as none will come.
    Refused,
}

/// The files that paths mean, each once.
fn files(paths: &[PathBuf], since: Option<i64>, nothing: Nothing) -> Result<Vec<PathBuf>, IngestError> {
    let mut files = Vec::new();
    for path in paths {
        let found = if is_folder(path) {
            ready(inside(path)?, since)
        } else if is_pattern(path) {
            ready(matching(path)?, since)
        } else {
            vec![path.clone()]
        };
        if found.is_empty() && nothing == Nothing::Refused {
            return Err(IngestError::NoFiles { path: path.clone() });
        }
        files.extend(found);
    }
    let mut sorted = files.clone();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(IngestError::Twice { path: pair[0].clone() }),
        None => Ok(files),
    }
}

/// What is in a directory.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, IngestError> {
    let failed = |source| IngestError::Read { name: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    paths.map_err(failed)
}

/// What fits a pattern.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, IngestError> {
    let text = pattern.to_str().ok_or_else(|| IngestError::NotText { path: pattern.to_owned() })?;
    let refused = |reason: String| IngestError::Pattern { path: pattern.to_owned(), reason };
    let found = glob::glob(text).map_err(|error| refused(error.to_string()))?;
    let paths: Result<Vec<PathBuf>, _> = found.collect();
    let failed = |error: glob::GlobError| IngestError::Read {
        name: error.path().display().to_string(),
        source: error.into(),
    };
    paths.map_err(failed)
}

/// The plain files among them that were written since a time, in the order of their names.
fn ready(mut paths: Vec<PathBuf>, since: Option<i64>) -> Vec<PathBuf> {
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| {
        !is_hidden(path) && path.is_file() && since.is_none_or(|since| is_written(path, since))
    });
    paths.sort();
    paths
}

/// Whether a file was last written at that time or later; what is gone by now was not.
fn is_written(path: &Path, since: i64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| {
        found.mtime().saturating_mul(1_000_000).saturating_add(found.mtime_nsec() / 1_000) >= since
    })
}

/// Whether a path is a directory, or is said to be one by the slash at its end.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Whether a path is a pattern rather than the name of what is there.
fn is_pattern(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.iter().any(|byte| b"*?[".contains(byte)) && !path.exists()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn named(folder: &Path, paths: &[&str]) -> Result<Vec<String>, String> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        let short = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
        let files = files(&paths, None, Nothing::Refused).map(|files| files.iter().map(short).collect());
        files.map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""))
    }

    #[test]
    fn a_list_keeps_its_order_and_a_directory_or_pattern_has_that_of_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("d/inner")).unwrap();
        for name in ["z.csv", "d/b.csv", "d/a.csv", "d/.hidden", "d/inner/x.csv", "w[1].csv"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let named = |paths: &[&str]| named(folder.path(), paths);
        assert_eq!(named(&["z.csv", "d"]).unwrap(), ["z.csv", "d/a.csv", "d/b.csv"]);
        assert_eq!(named(&["d/?.csv"]).unwrap(), ["d/a.csv", "d/b.csv"]);
        assert_eq!(named(&["*.csv"]).unwrap(), ["w[1].csv", "z.csv"]);
        assert_eq!(named(&["w[1].csv"]).unwrap(), ["w[1].csv"], "a file of that name");
        assert_eq!(named(&["d", "d/a.csv"]), Err("d/a.csv is named twice".to_owned()));
        assert_eq!(named(&["*.json"]), Err("no file is there that *.json names".to_owned()));
        assert!(named(&["["]).is_err_and(|words| words.starts_with("[ is no pattern: ")));
        let is_set = |name: &str| is_set(&[folder.path().join(name)]);
        assert!(is_set("d") && is_set("d/*") && !is_set("z.csv") && !is_set("w[1].csv") && !is_set("none"));
    }

    #[test]
    fn with_a_time_files_of_directories_and_patterns_are_meant_that_were_written_since() {
        let folder = tempfile::tempdir().unwrap();
        for (name, seconds) in [("old", 100), ("new", 200)] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        }
        let count =
            |path: &str, since| files(&[folder.path().join(path)], Some(since), Nothing::Fine).unwrap().len();
        let since = [100_000_000, 100_000_001, 200_000_000, 200_000_001];
        assert_eq!(since.map(|since| count("", since)), [2, 1, 1, 0]);
        assert_eq!(since.map(|since| count("*", since)), [2, 1, 1, 0]);
        assert_eq!(count("old", 200_000_000), 1, "it is named");
    }

    #[test]
    fn what_comes_gets_the_next_numbers_in_the_order_of_names_and_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "{}\n").unwrap();
        let paths = [folder.path().to_owned()];
        let look = |watch: &mut Watch| {
            let infos = watch.look().unwrap();
            let short = |info: &PartitionInfo| {
                let name = Path::new(&info.id).file_name().unwrap().to_str().unwrap().to_owned();
                (name, info.number)
            };
            infos.iter().map(short).collect::<Vec<_>>()
        };
        let named = |names: &[(&str, u32)]| -> Vec<(String, u32)> {
            names.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let mut watch = Watch::new(&paths, None, &[]);
        assert_eq!(look(&mut watch), [], "an empty directory");
        ["m", "k", ".z"].iter().for_each(|name| put(name));
        assert_eq!(look(&mut watch), named(&[("k", 0), ("m", 1)]));
        fs::rename(folder.path().join(".z"), folder.path().join("a")).unwrap();
        put("z");
        assert_eq!(look(&mut watch), named(&[("a", 2), ("z", 3)]));
        assert_eq!(look(&mut watch), []);
        // One that has lost a file knows it nevertheless, and may have heard of some only.
        let heard = ["k", "a"].map(|name| folder.path().join(name));
        let known = [whole::partition(&heard[0], 0).unwrap(), whole::partition(&heard[1], 2).unwrap()];
        fs::remove_file(&heard[0]).unwrap();
        let mut again = Watch::new(&paths, None, &known);
        assert_eq!(look(&mut again), named(&[("m", 3), ("z", 4)]));
        put("k");
        assert_eq!(look(&mut again), [], "a name that was seen is not read again");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_spoken_of_at_each_look_and_keeps_no_other_from_being_read() {
        use std::os::unix::ffi::OsStrExt;

        let folder = tempfile::tempdir().unwrap();
        let bad = folder.path().join(std::ffi::OsStr::from_bytes(b"k\xff"));
        let put = |name: &str| fs::write(folder.path().join(name), "{}\n").unwrap();
        let mut watch = Watch::new(&[folder.path().to_owned()], None, &[]);
        let mut look = || {
            let found = watch.look().unwrap();
            let name = |info: &PartitionInfo| info.id.rsplit_once('/').unwrap().1.to_owned();
            let found: Vec<(String, u32)> = found.iter().map(|info| (name(info), info.number)).collect();
            (found, watch.left_out().map(|error| error.to_string()))
        };
        let named = |names: &[(&str, u32)]| -> Vec<(String, u32)> {
            names.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        fs::write(&bad, "{}\n").unwrap();
        ["a", "z"].iter().for_each(|name| put(name));
        let words = Some(format!("the path {} is not valid UTF-8", bad.display()));
        assert_eq!(look(), (named(&[("a", 0), ("z", 1)]), words.clone()));
        assert_eq!(look(), (named(&[]), words.clone()));
        put("b");
        assert_eq!(look(), (named(&[("b", 2)]), words));
        fs::rename(&bad, folder.path().join("k")).unwrap();
        assert_eq!(look(), (named(&[("k", 3)]), None));
    }
}
