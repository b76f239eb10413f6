//! Whether two paths lead to the same file, or two names to the same stream or archive, however each of them is written;
//! and what is no file at all.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use alert::KinesisTarget;
use checkpoint::Bucket;
use glob::{MatchOptions, Pattern};
use ingest::KinesisSpec;

/// Links that are followed on one way: as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Whether both lead to one file, which need not be there yet. A file with two hard links has two places.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

/// Whether a file is one of those that a path of a source means, be it there or not: in that directory, or fitting that
/// pattern. Names that begin with a dot are passed over in both.
pub(crate) fn is_among(file: &Path, of: &Path) -> bool {
    // As `ingest` takes it, a slash at the end makes a directory of what is not there yet.
    let is_said_folder = of.as_os_str().as_encoded_bytes().ends_with(b"/");
    let (file, of) = (place(file), place(of));
    let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let fits = || {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let pattern = of.to_str().and_then(|text| Pattern::new(text).ok());
        pattern.is_some_and(|pattern| pattern.matches_path_with(&file, options))
    };
    !is_hidden && if is_said_folder || of.is_dir() { file.parent() == Some(&of) } else { fits() }
}

/// Whether a stream is written that is read. Of two that are only perhaps the same one, as where the region comes from the
/// environment for one of them, it is said that they are.
pub(crate) fn is_same_stream(written: &KinesisTarget, read: &KinesisSpec) -> bool {
    let a = StreamName::of(&written.stream, written.region.as_deref());
    let b = StreamName::of(&read.stream, read.region.as_deref());
    let may_be = |a: Option<&str>, b: Option<&str>| a.zip(b).is_none_or(|(a, b)| a == b);
    let at = |endpoint: &Option<String>| endpoint.as_ref().map(|at| at.trim_end_matches('/').to_owned());
    a.name == b.name
        && at(&written.endpoint) == at(&read.endpoint)
        && may_be(a.region, b.region)
        && may_be(a.account, b.account)
}

/// What tells a stream apart.
struct StreamName<'a> {
    name: &'a str,
    region: Option<&'a str>,
    account: Option<&'a str>,
}

impl<'a> StreamName<'a> {
    /// Of a name or an ARN: `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`.
    fn of(stream: &'a str, region: Option<&'a str>) -> Self {
        let parts: Vec<&str> = stream.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, _, of, account, name] => StreamName {
                name: name.strip_prefix("stream/").unwrap_or(name),
                region: region.or(Some(*of)),
                account: Some(*account),
            },
            _ => StreamName { name: stream, region, account: None },
        }
    }
}

/// Whether two addresses are those of one archive.
pub(crate) fn is_same_archive(a: &str, b: &str) -> bool {
    match (Bucket::parse(a), Bucket::parse(b)) {
        (None, None) => is_same_file(Path::new(a), Path::new(b)),
        (Some(_), Some(_)) => a.trim_end_matches('/') == b.trim_end_matches('/'),
        _ => false,
    }
}

/// Whether an archive has its files among the objects that a key of a source means, as [`is_below`] says.
pub(crate) fn is_archive_among(archive: &str, read: &Bucket, key: &str) -> bool {
    matches!(Bucket::parse(archive), Some(Ok(written)) if is_below(&written, read, key))
}

/// Whether what is written below the prefix of a bucket can be among the objects that a key of a source means: an object,
/// a folder with a slash at its end, all below which is meant, or a pattern of what is in a folder. Of two servers of
/// which one is not said it is taken that they are the same.
pub(crate) fn is_below(written: &Bucket, read: &Bucket, key: &str) -> bool {
    let at = |bucket: &Bucket| bucket.endpoint.as_ref().map(|at| at.trim_end_matches('/').to_owned());
    let may_be_one = written.name == read.name && at(written).zip(at(read)).is_none_or(|(a, b)| a == b);
    let is_within = |place: &str, folder: &str| {
        let rest = place.strip_prefix(folder);
        folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (folder, last) = key.rsplit_once('/').unwrap_or(("", key));
    let is_all = last.is_empty();
    let read_at = if is_all || last.contains(['*', '?', '[']) { folder } else { key };
    may_be_one && (is_within(read_at, &written.prefix) || is_all && is_within(&written.prefix, folder))
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
    fn a_file_is_among_those_of_a_directory_or_a_pattern_before_it_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("d/inner")).expect("create");
        std::os::unix::fs::symlink("d", at("link")).expect("link");
        let among = |file: &str, of: &str| is_among(&at(file), &at(of));
        assert!(
            among("d/out", "d")
                && among("link/out", "d")
                && among("d/out", "link/.")
                && among("d/a.x", "d/*.x")
        );
        assert!(among("d/inner/a", "*/inner/?") && among("link/a.x", "d/*") && among("d/../d/a", "d"));
        for (file, of) in
            [("out", "d"), ("d/inner/a", "d"), ("d/.out", "d"), ("d/.out", "d/*"), ("d/a.y", "d/*.x")]
        {
            assert!(!among(file, of), "{file} {of}");
        }
        assert!(!among("d/inner/a", "d/*") && !among("d/out", "none"));
        assert!(among("later/out", "later/") && !among("later/.out", "later/"), "a directory that will come");
        assert!(!among("later/out", "later") && !among("later/inner/out", "later/"));
    }

    #[test]
    fn a_stream_is_the_same_by_its_name_or_arn_unless_something_tells_them_apart() {
        let same = |a: (&str, Option<&str>, Option<&str>), b: (&str, Option<&str>, Option<&str>)| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let retry_for = std::time::Duration::ZERO;
            let written =
                KinesisTarget { stream: a.0.into(), region: text(a.1), endpoint: text(a.2), retry_for };
            let read = KinesisSpec {
                stream: b.0.into(),
                region: text(b.1),
                endpoint: text(b.2),
                mode: ingest::KinesisMode::Polling,
                poll_every: retry_for,
                retry_for,
            };
            is_same_stream(&written, &read)
        };
        let arn = |region: &str, account: &str| format!("arn:aws:kinesis:{region}:{account}:stream/s");
        let (eu, us, local) = (Some("eu-west-1"), Some("us-east-1"), Some("http://127.0.0.1:4567"));
        assert!(same(("s", eu, None), ("s", eu, None)) && same(("s", None, None), ("s", eu, None)));
        assert!(same(("s", None, local), ("s", None, Some("http://127.0.0.1:4567/"))));
        assert!(same((&arn("eu-west-1", "1"), None, None), ("s", eu, None)));
        assert!(same((&arn("eu-west-1", "1"), None, None), (&arn("eu-west-1", "1"), None, None)));
        assert!(!same(("s", eu, None), ("t", eu, None)) && !same(("s", eu, None), ("s", us, None)));
        assert!(!same(("s", eu, local), ("s", eu, None)));
        assert!(!same((&arn("eu-west-1", "1"), None, None), ("s", us, None)));
        assert!(!same((&arn("eu-west-1", "1"), None, None), (&arn("eu-west-1", "2"), None, None)));
    }

    #[test]
    fn an_archive_is_the_same_however_its_address_is_written() {
        assert!(is_same_archive("a/b", "./a//b/") && is_same_archive("s3://b/x", "s3://b/x/"));
        assert!(!is_same_archive("a/b", "a/c") && !is_same_archive("s3://b/x", "s3://b/y"));
        assert!(!is_same_archive("s3://b/x", "b/x"));
    }

    #[test]
    fn what_is_written_in_a_bucket_is_among_what_is_read_there_if_one_of_the_places_holds_the_other() {
        let read = |address: &str| Bucket::parse_object(address).expect("s3").expect("an address");
        let among = |written: &str, of: &str| {
            let (bucket, key) = read(of);
            is_archive_among(written, &bucket, &key)
        };
        for of in ["s3://bucket", "s3://bucket/x/", "s3://bucket/x/y/", "s3://bucket/x/y/events/"] {
            assert!(among("s3://bucket/x/y", of), "{of}");
        }
        assert!(among("s3://bucket/x/y", "s3://bucket/x/y/*") && among("s3://bucket/x/", "s3://bucket/x/a"));
        for of in
            ["s3://bucket/x/*", "s3://bucket/x/yz/", "s3://bucket/x/a", "s3://bucket/a/", "s3://other/x/"]
        {
            assert!(!among("s3://bucket/x/y", of), "{of}");
        }
        assert!(!among("x/y", "s3://bucket/x/"), "a directory");
        let at = |bucket: Bucket, endpoint: &str| Bucket { endpoint: Some(endpoint.to_owned()), ..bucket };
        let (bucket, key) = read("s3://bucket/x/");
        let (here, there) = (at(bucket.clone(), "http://127.0.0.1:1/"), at(bucket, "http://127.0.0.1:2"));
        let state = |endpoint| at(Bucket::parse("s3://bucket/x/y").expect("s3").expect("good"), endpoint);
        assert!(is_below(&state("http://127.0.0.1:1"), &here, &key));
        assert!(!is_below(&state("http://127.0.0.1:1"), &there, &key));
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
