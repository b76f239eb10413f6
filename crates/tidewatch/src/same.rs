//! Whether two paths lead to the same file, however each of them is written.

use std::path::{Component, Path, PathBuf};

/// Whether both lead to one file, which need not be there yet. A file with two hard links has two places.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

/// Where a path leads: what of it is there without its links, and the rest as it is written.
fn place(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = whole.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, mut place)) = there else { return whole };
    for component in whole.strip_prefix(part).unwrap_or(&whole).components() {
        match component {
            Component::ParentDir => drop(place.pop()),
            other => place.push(other),
        }
    }
    place
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
        assert!(is_same_file(Path::new("out"), Path::new("./out")));
        assert!(is_same_file(&std::env::current_dir().expect("a folder").join("out"), Path::new("out")));
        assert!(!is_same_file(Path::new("out"), Path::new("out2")));
    }
}
