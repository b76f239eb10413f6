//! Sinks that are opened afresh, resumed after a crash, and refused.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

use alert::{Deliverer, Delivery, Mode, Sink, SinkError, SinkKind, SinkSpec};

fn spec(path: impl Into<PathBuf>) -> SinkSpec {
    SinkSpec { name: "alerts".into(), kind: SinkKind::File { path: path.into() }, mode: Mode::ExactlyOnce }
}

fn deliverer() -> Deliverer {
    Deliverer { job: "job".into(), generation: 1 }
}

fn open_fresh(spec: &SinkSpec) -> Result<Box<dyn Sink>, SinkError> {
    alert::open_fresh(spec, &deliverer())
}

fn resume_at_once(spec: &SinkSpec) -> Result<Box<dyn Sink>, SinkError> {
    alert::resume_at_once(spec, &deliverer())
}

fn resume_exactly_once(spec: &SinkSpec, deliveries: &[Delivery]) -> Result<Box<dyn Sink>, SinkError> {
    alert::resume_exactly_once(spec, &deliverer(), deliveries)
}

fn in_new_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ndjson");
    (folder, path)
}

fn refused(result: Result<Box<dyn Sink>, SinkError>) -> SinkError {
    let error = result.err().expect("refused");
    assert!(error.is_refusal(), "{error}");
    assert!(error.hint().is_some());
    error
}

/// What three checkpoints put out, the first of which no longer counts: `old` stands before byte 4.
fn deliveries() -> Vec<Delivery> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        Delivery { number: 1, start: 4, bytes: bytes("one\ntwo\n") },
        Delivery { number: 2, start: 12, bytes: vec![] },
        Delivery { number: 3, start: 12, bytes: bytes("three\n") },
    ]
}

const WHOLE: &str = "old\none\ntwo\nthree\n";

fn check_refused(content: &str, message: &str) {
    let (_folder, path) = in_new_folder();
    fs::write(&path, content).unwrap();
    let error = refused(resume_exactly_once(&spec(&path), &deliveries()));
    assert_eq!(error.to_string().replace(&path.display().to_string(), "FILE"), message);
    assert_eq!(fs::read_to_string(&path).unwrap(), content, "a refused file stays as it is");
}

#[test]
fn a_fresh_file_takes_lines_and_knows_its_length() {
    let (_folder, path) = in_new_folder();
    let mut sink = open_fresh(&spec(&path)).unwrap();
    sink.write(b"one\n").unwrap();
    sink.write(b"two\n").unwrap();
    sink.sync().unwrap();
    assert_eq!(sink.length(), 8);
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
}

#[test]
fn an_empty_file_is_as_good_as_none_and_any_other_is_refused() {
    let (_folder, path) = in_new_folder();
    fs::write(&path, "").unwrap();
    open_fresh(&spec(&path)).unwrap();
    fs::write(&path, "x").unwrap();
    let error = refused(open_fresh(&spec(&path)));
    assert!(matches!(error, SinkError::NotEmpty { length: 1, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn a_tail_torn_at_any_byte_is_completed() {
    for length in 4..=WHOLE.len() {
        let (_folder, path) = in_new_folder();
        fs::write(&path, &WHOLE[..length]).unwrap();
        let mut sink = resume_exactly_once(&spec(&path), &deliveries()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), WHOLE, "torn at {length}");
        assert_eq!(sink.length(), WHOLE.len() as u64);
        sink.write(b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{WHOLE}four\n"));
    }
}

#[test]
fn a_tail_longer_than_what_is_compared_at_a_time_is_completed() {
    let (_folder, path) = in_new_folder();
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    fs::write(&path, &bytes[..200_001]).unwrap();
    let deliveries = [
        Delivery { number: 4, start: 7, bytes: bytes[7..150_000].to_vec() },
        Delivery { number: 5, start: 150_000, bytes: bytes[150_000..].to_vec() },
    ];
    resume_exactly_once(&spec(&path), &deliveries).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_file_that_lost_what_cannot_be_put_out_again_is_refused() {
    check_refused("old", "sink `alerts`: `FILE` has 3 bytes, but 4 were put out before and are lost");
    let (_folder, path) = in_new_folder();
    refused(resume_exactly_once(&spec(&path), &deliveries()));
    assert!(!path.exists(), "a file that is missing is not created");
}

#[test]
fn a_file_with_something_else_in_it_is_refused() {
    check_refused(
        "old\none\nTwo\n",
        "sink `alerts`: `FILE` differs at byte 8 from what the checkpoints put out",
    );
    check_refused("old\none\ntwo\nthree\nX", "sink `alerts`: `FILE` has 19 bytes, but only 18 were put out");
}

#[test]
fn a_file_is_created_if_all_of_it_can_be_put_out_again() {
    let (_folder, path) = in_new_folder();
    let all = [Delivery { number: 6, start: 0, bytes: b"one\n".to_vec() }];
    resume_exactly_once(&spec(&path), &all).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\n");
    let (_folder, path) = in_new_folder();
    assert_eq!(resume_exactly_once(&spec(&path), &[]).unwrap().length(), 0);
}

#[test]
fn checkpoints_that_contradict_one_another_are_refused() {
    let (_folder, path) = in_new_folder();
    let gap = [
        Delivery { number: 7, start: 0, bytes: b"one\n".to_vec() },
        Delivery { number: 8, start: 5, bytes: vec![] },
    ];
    refused(resume_exactly_once(&spec(&path), &gap));
}

#[test]
fn at_once_goes_on_at_the_end() {
    let (_folder, path) = in_new_folder();
    fs::write(&path, "one\n").unwrap();
    let mut sink = resume_at_once(&spec(&path)).unwrap();
    sink.write(b"two\n").unwrap();
    assert_eq!(sink.length(), 8);
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_file_that_has_delivered_at_once_delivers_exactly_once_behind_what_it_holds() {
    let (_folder, path) = in_new_folder();
    fs::write(&path, "one\ntwo\nthr").unwrap();
    let mut sink = alert::resume_after_at_once(&spec(&path), &deliverer(), 3).unwrap();
    assert_eq!((fs::read(&path).unwrap(), sink.length()), (b"one\ntwo\n".to_vec(), 8), "its whole lines");
    sink.deliver(5, b"x\n").unwrap();
    let fence = Delivery { number: 4, start: 8, bytes: vec![] };
    let next = Delivery { number: 5, start: 8, bytes: b"x\n".to_vec() };
    assert_eq!(resume_exactly_once(&spec(&path), &[fence, next]).unwrap().length(), 10);
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nx\n");
}

#[test]
fn at_once_cuts_off_a_line_that_a_dead_process_has_begun_since_it_comes_again() {
    let (_folder, path) = in_new_folder();
    let long = "x".repeat(200_000);
    for (found, kept) in [
        ("one\ntw", "one\n"),
        ("tw", ""),
        ("", ""),
        (&*format!("one\n{long}"), "one\n"),
        (&*format!("{long}\n{{\"a"), &*format!("{long}\n")),
    ] {
        fs::write(&path, found).unwrap();
        let mut sink = resume_at_once(&spec(&path)).unwrap();
        sink.write(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{kept}two\n"));
    }
}

#[test]
fn a_missing_folder_is_named_and_not_created() {
    let (folder, _) = in_new_folder();
    let path = folder.path().join("none/out.ndjson");
    let error = refused(open_fresh(&spec(&path)));
    assert!(matches!(error, SinkError::NoFolder { .. }), "{error}");
    assert!(!folder.path().join("none").exists());
}

#[test]
fn a_folder_is_no_file() {
    let (folder, _) = in_new_folder();
    let message = format!("sink `alerts`: `{}` is a folder", folder.path().display());
    assert_eq!(refused(open_fresh(&spec(folder.path()))).to_string(), message);
    fs::write(folder.path().join("file"), "").unwrap();
    let error = refused(open_fresh(&spec(folder.path().join("file/out"))));
    assert!(matches!(error, SinkError::NoFolder { .. }), "{error}");
}

#[test]
fn a_device_that_is_full_has_no_space_to_wait_for() {
    let mut sink = open_fresh(&spec("/dev/full")).unwrap();
    let error = sink.write(b"one\n").unwrap_err();
    assert!(matches!(error, SinkError::Device { .. }) && !error.is_refusal(), "{error}");
    assert_eq!(error.to_string(), "sink `alerts`: the device `/dev/full` takes no more");
}

#[test]
fn a_checkpoint_knows_a_file_by_its_path_however_that_is_written() {
    let target = |path: &str| spec(path).kind.target();
    assert_eq!(target("./b//./a"), "b/a");
    assert_eq!(target("b/a"), "b/a");
    // A folder that is a link has its parent elsewhere.
    assert_eq!(target("b/../a"), "b/../a");
}

#[test]
fn a_device_takes_lines_whatever_it_holds() {
    for open in [open_fresh, resume_at_once, |spec: &SinkSpec| resume_exactly_once(spec, &deliveries())] {
        let mut sink = open(&spec("/dev/null")).unwrap();
        sink.write(b"one\n").unwrap();
        sink.sync().unwrap();
        assert!(sink.length() >= 4);
    }
}

#[test]
fn a_pipe_delivers_and_says_when_its_reader_is_gone() {
    let (folder, _) = in_new_folder();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let reader = std::thread::spawn({
        let path = path.clone();
        move || read_a_line(&path)
    });
    let mut sink = open_fresh(&spec(&path)).unwrap();
    sink.write(b"one\n").unwrap();
    sink.sync().unwrap();
    assert_eq!(reader.join().unwrap(), "one\n");
    let error = sink.write(b"two\n").unwrap_err();
    assert!(error.is_broken_pipe() && !error.is_refusal(), "{error}");
}

fn read_a_line(path: &Path) -> String {
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(fs::File::open(path).unwrap());
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    line
}
