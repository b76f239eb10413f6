//! Several files as the partitions of one source: a list of them, what is in a directory, what fits a pattern.
//!
//! Their order is that of the list, and of their names within a directory or pattern. Names that begin with a dot are
//! passed over in both, as those of files that are not ready yet.
//!
//! Directories and patterns may be watched: files that come while the job runs, or came while it did not, get the next
//! numbers in the order of their names ([`Watch`]). So a file keeps its number whatever comes and goes, and its name is
//! all that it is known by. What cannot be listed or read of them is said, and tried again, while the rest is read; where
//! nobody looks a second time ([`partitions`], [`passed_now`]) it is refused.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::numbering::Numbering;
use super::passed::passed;
use super::position::Position;
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
/// written then or later, in microseconds since 1970, and those that are named and older are passed over.
pub(super) fn partitions(paths: &[PathBuf], since: Option<i64>) -> Result<Vec<PartitionInfo>, IngestError> {
    let files = whole_list(list(paths, since, Nothing::Refused)?)?;
    let info = |(path, number): (&PathBuf, u32)| {
        let info = whole::partition(path, number)?;
        Ok(if since.is_none_or(|since| is_written(path, since)) { info } else { passed(info) })
    };
    files.iter().zip(0..).map(info).collect()
}

/// The files that there are by now, all passed over, as a look would number them. One whose name is no text has no number;
/// a look will say so.
pub(super) fn passed_now(paths: &[PathBuf]) -> Result<Vec<PartitionInfo>, IngestError> {
    let mut files = whole_list(list(paths, None, Nothing::Fine)?)?;
    files.sort();
    let names = files.iter().filter_map(|path| path.to_str());
    let info = |(name, number): (&str, u32)| PartitionInfo {
        id: name.to_owned(),
        number,
        series: number,
        start: Position::passed(),
        parents: Vec::new(),
    };
    Ok(names.zip(0..).map(info).collect())
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
        let Listed { files: mut come, left_out } = list(&self.paths, self.since, Nothing::Fine)?;
        self.left_out = left_out;
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

/// What a listing gave.
#[derive(Debug, Default)]
struct Listed {
    files: Vec<PathBuf>,
    /// What was met first at a place that could not be listed or looked at.
    left_out: Option<IngestError>,
}

impl Listed {
    fn leave_out(&mut self, path: &Path, source: io::Error) {
        let name = path.display().to_string();
        self.left_out.get_or_insert(IngestError::Read { name, source });
    }

    /// Takes in what a directory or pattern has.
    fn extend(&mut self, more: Listed) {
        self.files.extend(more.files);
        self.left_out = self.left_out.take().or(more.left_out);
    }
}

/// The files of a listing that has met nothing it could not look at.
fn whole_list(Listed { files, left_out }: Listed) -> Result<Vec<PathBuf>, IngestError> {
    left_out.map_or(Ok(files), Err)
}

/// The files that paths mean, each once.
fn list(paths: &[PathBuf], since: Option<i64>, nothing: Nothing) -> Result<Listed, IngestError> {
    let mut all = Listed::default();
    for path in paths {
        let found = if is_folder(path) {
            ready(inside(path), since)
        } else if is_pattern(path) {
            ready(matching(path)?, since)
        } else {
            Listed { files: vec![path.clone()], left_out: None }
        };
        if found.files.is_empty() && found.left_out.is_none() && nothing == Nothing::Refused {
            return Err(IngestError::NoFiles { path: path.clone() });
        }
        all.extend(found);
    }
    let mut sorted = all.files.clone();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(IngestError::Twice { path: pair[0].clone() }),
        None => Ok(all),
    }
}

/// What is in a directory.
fn inside(folder: &Path) -> Listed {
    let mut found = Listed::default();
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.for_each(|entry| match entry {
            Ok(entry) => found.files.push(entry.path()),
            Err(source) => found.leave_out(folder, source),
        }),
        Err(source) => found.leave_out(folder, source),
    }
    found
}

/// What fits a pattern, but for what is in directories that cannot be listed.
fn matching(pattern: &Path) -> Result<Listed, IngestError> {
    let text = pattern.to_str().ok_or_else(|| IngestError::NotText { path: pattern.to_owned() })?;
    let refused = |reason: String| IngestError::Pattern { path: pattern.to_owned(), reason };
    let mut found = Listed::default();
    for path in glob::glob(text).map_err(|error| refused(error.to_string()))? {
        match path {
            Ok(path) => found.files.push(path),
            Err(error) => {
                let place = error.path().to_owned();
                found.leave_out(&place, error.into());
            }
        }
    }
    Ok(found)
}

/// The plain files among them that were written since a time, in the order of their names.
fn ready(mut listed: Listed, since: Option<i64>) -> Listed {
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let names = std::mem::take(&mut listed.files);
    for path in names.into_iter().filter(|path| !is_hidden(path)) {
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() && since.is_none_or(|since| written(&found) >= since) => {
                listed.files.push(path);
            }
            Ok(_) => {}
            // Taken away since it was listed, or a link to what is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => listed.leave_out(&path, error),
        }
    }
    listed.files.sort();
    listed
}

/// Whether a file was last written at that time or later; what is gone by now was not.
pub(super) fn is_written(path: &Path, since: i64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| written(&found) >= since)
}

/// When a file was last written, in microseconds since 1970.
fn written(found: &Metadata) -> i64 {
    found.mtime().saturating_mul(1_000_000).saturating_add(found.mtime_nsec() / 1_000)
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
        let listed = list(&paths, None, Nothing::Refused).and_then(whole_list);
        let files = listed.map(|files| files.iter().map(short).collect());
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
        let count = |path: &str, since| {
            list(&[folder.path().join(path)], Some(since), Nothing::Fine).unwrap().files.len()
        };
        let since = [100_000_000, 100_000_001, 200_000_000, 200_000_001];
        assert_eq!(since.map(|since| count("", since)), [2, 1, 1, 0]);
        assert_eq!(since.map(|since| count("*", since)), [2, 1, 1, 0]);
        let named = ["old", "new"].map(|name| folder.path().join(name));
        let is_passed = |since| {
            let infos = partitions(&named, since).unwrap();
            infos.iter().map(|info| info.start.is_passed()).collect::<Vec<_>>()
        };
        assert_eq!(is_passed(None), [false, false]);
        assert_eq!(
            since.map(|since| is_passed(Some(since))),
            [[false, false], [true, false], [true, false], [true, true]]
        );
    }

    #[test]
    fn what_is_there_by_now_is_passed_over_with_the_numbers_that_a_look_gives() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "{}\n").unwrap();
        let paths = [folder.path().to_owned()];
        assert_eq!(passed_now(&paths).unwrap(), [], "an empty directory");
        ["m", "k", ".z"].iter().for_each(|name| put(name));
        let infos = passed_now(&paths).unwrap();
        let looked = Watch::new(&paths, None, &[]).look().unwrap();
        let known = |infos: &[PartitionInfo]| -> Vec<(String, u32)> {
            infos.iter().map(|info| (info.id.clone(), info.number)).collect()
        };
        assert!(infos.iter().all(|info| info.start.is_passed()) && infos.len() == 2);
        assert_eq!(known(&infos), known(&looked));
        put("a");
        let later = Watch::new(&paths, None, &infos).look().unwrap();
        assert_eq!(known(&later), [(folder.path().join("a").display().to_string(), 2)]);
        assert!(!later[0].start.is_passed());
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_spoken_of_and_the_others_are_read_meanwhile() {
        use nix::unistd::{Uid, setfsuid};
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        allow(folder.path(), 0o755);
        let shut = folder.path().join("b");
        for name in ["a", "b", "c"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("x"), "{}\n").unwrap();
        }
        allow(&shut, 0o000);
        // Rights are not asked of the superuser: this thread looks as somebody else.
        setfsuid(Uid::from_raw(65_534));
        let pattern = [folder.path().join("*/x*")];
        let both = [folder.path().join("b/"), folder.path().join("c")];
        let refused = [&pattern[..], &both].map(|paths| {
            [partitions(paths, None), passed_now(paths)].map(|found| found.unwrap_err().to_string())
        });
        let mut watch = Watch::new(&pattern, None, &[]);
        let mut look = || {
            let found = watch.look().unwrap();
            let found: Vec<String> = found.into_iter().map(|info| info.id).collect();
            (found, watch.left_out().map(|error| error.to_string()))
        };
        let first = [look(), look()];
        setfsuid(Uid::effective());
        allow(&shut, 0o755);
        let name = |name: &str| folder.path().join(name).display().to_string();
        let words = Some(format!("cannot read {}: ", name("b")));
        let [(found, said), (nothing, again)] = first;
        assert_eq!((found, nothing), (vec![name("a/x"), name("c/x")], Vec::new()));
        for said in [said, again].into_iter().chain(refused.into_iter().flatten().map(Some)) {
            let shown = said
                .clone()
                .unwrap_or_default()
                .replace(&format!("{}/:", name("b")), &format!("{}:", name("b")));
            assert!(words.as_ref().is_some_and(|words| shown.starts_with(words)), "{shown}");
        }
        assert_eq!(look(), (vec![name("b/x")], None));
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
