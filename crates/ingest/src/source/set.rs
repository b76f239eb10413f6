//! Several files as the partitions of one source: a list of them, what is in a directory, what fits a pattern.
//!
//! Their order is that of the list, and of their names within a directory or pattern. Names that begin with a dot are
//! passed over in both, as those of files that are not ready yet.

use std::path::{Path, PathBuf};

use super::PartitionInfo;
use super::whole;
use crate::IngestError;

/// Whether paths may mean more than one file, or another number of them the next time.
pub(super) fn is_set(paths: &[PathBuf]) -> bool {
    match paths {
        [path] => path.is_dir() || is_pattern(path),
        _ => true,
    }
}

/// A partition for each file, as they are now.
pub(super) fn partitions(paths: &[PathBuf]) -> Result<Vec<PartitionInfo>, IngestError> {
    let files = files(paths)?;
    files.iter().zip(0..).map(|(path, number)| whole::partition(path, number)).collect()
}

/// The files that paths mean, each once.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, IngestError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(inside(path)?);
        } else if is_pattern(path) {
            files.extend(matching(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let mut sorted = files.clone();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(IngestError::Twice { path: pair[0].clone() }),
        None => Ok(files),
    }
}

/// The files in a directory.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, IngestError> {
    let failed = |source| IngestError::Read { name: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    ready(folder, paths.map_err(failed)?)
}

/// The files that fit a pattern.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, IngestError> {
    let text = pattern.to_str().ok_or_else(|| IngestError::NotText { path: pattern.to_owned() })?;
    let refused = |reason: String| IngestError::Pattern { path: pattern.to_owned(), reason };
    let found = glob::glob(text).map_err(|error| refused(error.to_string()))?;
    let paths: Result<Vec<PathBuf>, _> = found.collect();
    let failed = |error: glob::GlobError| IngestError::Read {
        name: error.path().display().to_string(),
        source: error.into(),
    };
    ready(pattern, paths.map_err(failed)?)
}

/// The plain files among them, in the order of their names.
fn ready(named: &Path, mut paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, IngestError> {
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| !is_hidden(path) && path.is_file());
    paths.sort();
    if paths.is_empty() { Err(IngestError::NoFiles { path: named.to_owned() }) } else { Ok(paths) }
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
        let files = files(&paths).map(|files| files.iter().map(short).collect());
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
}
