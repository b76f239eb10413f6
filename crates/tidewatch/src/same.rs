//! Whether two paths lead to the same file, however each of them is written; and what is no file at all.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// Links that are followed on one way: as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Whether both lead to one file, which need not be there yet. A file with two hard links has two places.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

/// Whether a device or a pipe is there now. It takes whatever comes, from several writers too.
pub(crate) fn is_device_or_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket()
    })
}

/// Where a path leads: each link on the way is followed, also one to what is not there yet.
fn place(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    // The next one comes last.
    let mut left = reversed(&whole);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            place.pop();
            continue;
        }
        place.push(&part);
        if links < LINKS_MAX
            && let Ok(target) = place.read_link()
        {
            links += 1;
            place.pop();
            left.extend(reversed(&target));
        }
    }
    place
}

/// The parts of a path from its end to its beginning; `/` is one.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_however_its_path_is_written_and_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir(at("b")).expect("create");
        std::fs::write(at("b/there"), "").expect("write");
        std::os::unix::fs::symlink("b", at("link")).expect("link");
        for name in ["there", "not-yet", "no-folder/x"] {
            let plain = at(&format!("b/{name}"));
            for other in ["b/./", "./b/", "b//", "b/../b/", "link/"] {
                assert!(is_same_file(&plain, &at(&format!("{other}{name}"))), "{other}{name}");
            }
            assert!(!is_same_file(&plain, &at(name)), "{name}");
        }
        for (link, target) in [("dangling", "b/not-yet"), ("twice", "dangling"), ("b/up", "../b/not-yet")] {
            std::os::unix::fs::symlink(target, at(link)).expect("link");
            assert!(is_same_file(&at("b/not-yet"), &at(link)), "{link}");
        }
        std::os::unix::fs::symlink("round", at("round")).expect("link");
        assert!(is_same_file(&at("round"), &at("round")) && !is_same_file(&at("round"), &at("b/there")));
        assert!(is_same_file(Path::new("out"), Path::new("./out")));
        assert!(is_same_file(&std::env::current_dir().expect("a folder").join("out"), Path::new("out")));
        assert!(!is_same_file(Path::new("out"), Path::new("out2")));
    }

    #[test]
    fn a_device_or_a_pipe_is_known_by_what_it_is_and_not_by_where_it_lies() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        assert!(is_device_or_pipe(&pipe) && is_device_or_pipe(Path::new("/dev/null")));
        for no in ["/dev/shm/not-there", "/dev", "/dev/shm"] {
            assert!(!is_device_or_pipe(Path::new(no)), "{no}");
        }
        assert!(!is_device_or_pipe(folder.path()));
    }
}
