//! Of the store, on a directory.

use std::fs;

use bytes::Bytes;
use event::{Counts, Watermark};

use crate::{Frame, Kind, Manifest, Operator, Retained, Segment, SegmentBuilder, Store, StoreError, Writer};

fn manifest(number: u32, segment: &Segment) -> Manifest {
    Manifest {
        number,
        generation: 1,
        born: 1,
        peers: 1,
        fence: false,
        follows: number.checked_sub(1),
        committed_at: 0,
        job: "job".into(),
        identity: vec![],
        shards: 8,
        segments: vec![segment.clone()],
        sources: vec![],
        watermark: Watermark(5),
        held: vec![],
        capped: vec![],
        counts: Counts::default(),
        sinks: vec![],
        finished: false,
    }
}

fn segment(store: &Store, name: &str) -> Segment {
    let mut builder = SegmentBuilder::new(Operator::Window, Writer { worker: 0, peers: 1 });
    let parts = vec![Bytes::from(format!("bulk of {name}"))];
    builder.push(3, Frame::new(Kind::State, "state", parts).unwrap());
    let (segment, pieces) = builder.finish(name.to_owned());
    store.write_segment(&segment, &pieces).unwrap();
    segment
}

fn read(store: &Store, segment: &Segment) -> Result<(String, Vec<Bytes>), StoreError> {
    let (offset, chunk) = segment.live().next().unwrap();
    store.read_chunk(1, segment, offset, &chunk, Kind::State)
}

#[test]
fn a_checkpoint_is_committed_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "a");
    store.commit(&manifest(0, &part)).unwrap();
    assert!(matches!(store.commit(&manifest(0, &part)), Err(StoreError::Taken { number: 0, .. })));
    assert_eq!(store.manifest(0).unwrap(), manifest(0, &part));
}

#[test]
fn a_number_whose_checkpoint_was_removed_is_not_free_for_whoever_slept_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "a");
    for number in [4, 5, 6] {
        store.commit(&manifest(number, &part)).unwrap();
    }
    assert!(matches!(store.commit(&manifest(3, &part)), Err(StoreError::Taken { number: 3, .. })));
}

#[test]
fn old_checkpoints_go_and_the_segments_that_newer_ones_share_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shared = segment(&store, "shared");
    let own = segment(&store, "own");
    store.commit(&manifest(0, &own)).unwrap();
    for number in 1..5 {
        store.commit(&manifest(number, &shared)).unwrap();
    }
    let mut retained = store.retained().unwrap();
    store.commit(&manifest(5, &shared)).unwrap();
    store.retain(&mut retained, &manifest(5, &shared)).unwrap();
    assert_eq!(store.numbers().unwrap(), [3, 4, 5]);
    assert_eq!(read(&store, &shared).unwrap().0, "state");
    assert!(!dir.path().join("segments/own").exists());
}

#[test]
fn fences_do_not_push_out_the_checkpoints_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "a");
    let mut retained = Retained::default();
    for number in 0..8 {
        let manifest = Manifest { fence: number >= 3, ..manifest(number, &part) };
        store.commit(&manifest).unwrap();
        store.retain(&mut retained, &manifest).unwrap();
    }
    assert_eq!(store.numbers().unwrap().len(), 8);
    store.commit(&manifest(8, &part)).unwrap();
    store.retain(&mut retained, &manifest(8, &part)).unwrap();
    assert_eq!(store.numbers().unwrap().len(), 8);
}

#[test]
fn a_damaged_cut_off_missing_or_swapped_part_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "part");
    let other = segment(&store, "trap");
    let path = dir.path().join("segments/part");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(read(&store, &part).unwrap_err().to_string().contains("segments/part"));
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(read(&store, &part), Err(StoreError::Part { number: 1, .. })));
    assert!(store.check_segment(1, &part).is_err());
    fs::copy(dir.path().join("segments/trap"), &path).unwrap();
    assert!(matches!(read(&store, &part), Err(StoreError::Damaged { .. })), "whole, but another");
    assert!(read(&store, &other).is_ok());
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(&store, &part), Err(StoreError::Part { .. })));
}

#[test]
fn notes_stay_whole_whatever_is_swept_and_a_damaged_one_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = |topic| store.notes(topic).map(|notes| notes.into_iter().map(|(_, note)| note).collect());
    for note in ["one", "two", "one"] {
        store.note("topic", note.as_bytes()).unwrap();
    }
    fs::write(dir.path().join("notes/topic-1.draft-7"), "half").unwrap();
    store.sweep(&store.survey().unwrap()).unwrap();
    let mut found: Vec<Bytes> = notes("topic").unwrap();
    found.sort();
    assert_eq!(found, ["one", "two"]);
    assert_eq!(notes("top").unwrap(), Vec::<Bytes>::new());
    let (path, _) = store.notes("topic").unwrap().remove(0);
    fs::write(&path, "three").unwrap();
    assert!(notes("topic").unwrap_err().to_string().contains(&path.display().to_string()));
}

#[test]
fn what_dead_runs_left_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "part");
    segment(&store, "orphan");
    store.commit(&manifest(0, &part)).unwrap();
    fs::write(dir.path().join("checkpoints/0000000001.draft-1"), "x").unwrap();
    store.sweep(&store.survey().unwrap()).unwrap();
    let left = |folder| fs::read_dir(dir.path().join(folder)).unwrap().count();
    assert_eq!((left("segments"), left("checkpoints")), (1, 1));
    assert!(read(&store, &part).is_ok());
}

fn fence(number: u32, follows: u32, segment: &Segment) -> Manifest {
    Manifest { fence: true, follows: Some(follows), ..manifest(number, segment) }
}

/// Flips a bit of a manifest.
fn damage(store: &Store, number: u32) {
    let path = store.dir().join(format!("checkpoints/{number:010}"));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

fn files(store: &Store, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(store.dir().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_start_that_slept_before_it_sweeps_leaves_what_a_later_run_is_about_to_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "0000000000-w000-a");
    segment(&store, "0000000001-w000-orphan");
    store.commit(&manifest(0, &part)).unwrap();
    let sleeper = store.survey().unwrap();
    store.commit(&fence(1, 0, &part)).unwrap();
    // Meanwhile the next run fences, sweeps, and has a checkpoint under way.
    let next = store.survey().unwrap();
    store.commit(&fence(2, 0, &part)).unwrap();
    store.sweep(&next).unwrap();
    let fresh = segment(&store, "0000000003-w000-b");
    fs::write(dir.path().join("checkpoints/0000000003.draft-7"), "half").unwrap();

    store.sweep(&sleeper).unwrap();
    assert_eq!(files(&store, "segments"), ["0000000000-w000-a", "0000000003-w000-b"]);
    assert_eq!(files(&store, "checkpoints").last().unwrap(), "0000000003.draft-7");
    store.commit(&manifest(3, &fresh)).unwrap();
    assert!(read(&store, &fresh).is_ok());
}

#[test]
fn starts_that_come_no_further_leave_one_fence_and_nobody_older_can_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let part = segment(&store, "a");
    for number in 0..3 {
        store.commit(&manifest(number, &part)).unwrap();
    }
    for number in 3..53 {
        let survey = store.survey().unwrap();
        store.commit(&fence(number, 2, &part)).unwrap();
        store.sweep(&survey).unwrap();
    }
    assert_eq!(store.numbers().unwrap(), [0, 1, 2, 52]);
    for number in [3, 51, 52] {
        let late = store.commit(&manifest(number, &part));
        assert!(matches!(late, Err(StoreError::Taken { .. })), "{number}: {late:?}");
    }
    assert!(read(&store, &part).is_ok());
}

#[test]
fn a_damaged_manifest_is_in_nobodys_way_and_keeps_all_segments_until_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let parts: Vec<Segment> = (0..8).map(|number| segment(&store, &format!("part-{number}"))).collect();
    for number in 0..3 {
        store.commit(&manifest(number, &parts[number as usize])).unwrap();
    }
    damage(&store, 1);
    segment(&store, "orphan");
    store.sweep(&store.survey().unwrap()).unwrap();
    assert_eq!(store.newest_readable().unwrap().map(|newest| newest.number), Some(2));
    assert_eq!(files(&store, "segments").len(), 9, "any of them may be needed");

    let mut retained = store.retained().unwrap();
    for number in 3..8 {
        let manifest = manifest(number, &parts[number as usize]);
        store.commit(&manifest).unwrap();
        store.retain(&mut retained, &manifest).unwrap();
    }
    assert_eq!(store.numbers().unwrap(), [5, 6, 7]);
    store.sweep(&store.survey().unwrap()).unwrap();
    assert_eq!(files(&store, "segments"), ["part-5", "part-6", "part-7"]);
    damage(&store, 7);
    assert_eq!(store.newest_readable().unwrap().map(|newest| newest.number), Some(6));
    assert!(store.manifest(7).unwrap_err().to_string().contains("--from-scratch"));
}
