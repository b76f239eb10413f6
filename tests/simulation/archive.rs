//! Archives of jobs whose partitions sleep, wake, come and go, through crashes: read again by a real run, they give what
//! the simulated one gave.

use dataflow::{Cluster, Control};
use ingest::SourceSpec;

use super::sleep::{Births, Sleepers, is_at_once, run_sleepers_archiving};
use super::*;

const ARCHIVE_SEEDS: u64 = 40;

/// Runs a job on an archive, without a state, and gives what its sinks got.
fn replay(job: Job, archive: &std::path::Path, folder: &std::path::Path) -> Vec<Vec<u8>> {
    let kind = SourceKind::Archive { address: archive.display().to_string(), of: None };
    let sources = vec![SourceSpec { kind, ..job.sources[0].clone() }];
    let paths: Vec<_> = job.sinks.iter().map(|sink| folder.join(&sink.name)).collect();
    let sinks = job.sinks.iter().zip(&paths).map(|(sink, path)| SinkSpec {
        name: sink.name.clone(),
        kind: SinkKind::File { path: path.clone() },
        mode: Mode::AtOnce,
    });
    let sinks = sinks.collect();
    let job = Arc::new(Job { sources, sinks, state: None, archive: None, idle_after: None, ..job });
    let cluster = Cluster { workers: 2, process: 0, hosts: Vec::new() };
    let port = dataflow::listen(&job, &cluster).expect("nobody to listen to");
    let summary = dataflow::run(job, cluster, port, Arc::new(Control::default())).expect("a good end");
    assert!(summary.finished);
    paths.iter().map(|path| std::fs::read(path).unwrap_or_default()).collect()
}

/// What is wrong with the replay of a seed.
fn check(seed: u64, births: &Births, plant: Option<Plant>) -> Option<String> {
    let run = run_sleepers_archiving(seed, births, plant);
    if run.finding.is_some() {
        return run.finding;
    }
    compare(&run, Sleepers::new(seed, births.clone()).job)
}

/// How the replay of what a run has archived differs from what that has put out, if it does.
fn compare(run: &Run, job: Job) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    for (name, bytes) in &run.archived {
        let path = archive.join("events").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("write");
    }
    let found = replay(job, &archive, folder.path());
    let names = ["rows", "alerts", "quarantine"];
    let same = names.iter().zip(found.iter().zip(&run.outputs)).try_for_each(|(name, (found, expected))| {
        prefix(name, found, expected)?;
        prefix(name, expected, found)
    });
    same.err().map(|words| format!("the replay differs: {words}"))
}

/// The first of the seeds whose replay is wrong, and what is.
fn find(births: impl Fn(u64) -> Births + Sync, plant: Option<Plant>) -> Option<(u64, String)> {
    on_all_cores(ARCHIVE_SEEDS, |half| {
        // Of those whose outputs are written once.
        let seed = 2 * half;
        assert!(!is_at_once(seed));
        check(seed, &births(seed), plant).map(|finding| format!("seed {seed}: {finding}"))
    })
}

#[test]
fn a_replay_of_partitions_that_slept_gives_what_the_live_run_gave() {
    assert_eq!(find(|_| Births::default(), None), None);
}

#[test]
fn a_replay_of_partitions_that_came_and_went_gives_what_the_live_run_gave() {
    assert_eq!(find(Births::new, None), None);
}

#[test]
fn the_default_seeds_find_every_mistake_that_is_planted_in_the_archive() {
    for plant in Plant::OF_ARCHIVE {
        let found = find(Births::new, Some(plant));
        println!("{plant:?}: {found:?}");
        assert!(found.is_some(), "{ARCHIVE_SEEDS} seeds do not find {plant:?}");
    }
}

#[test]
fn every_operation_of_a_run_that_archives_may_fail_once_and_its_replay_is_the_same() {
    let with_archive = || {
        let mut case = Case::new(1);
        let job = Arc::into_inner(case.job).expect("nobody else has it");
        case.job = Arc::new(Job { archive: Some("/archive".to_owned()), ..job });
        case
    };
    let case = with_archive();
    let whole = watch(&quiet(1, &case), &case);
    assert_eq!(whole.finding, None);
    assert!(whole.archived.len() > 5, "{} files", whole.archived.len());
    for full in [false, true] {
        let failed = on_all_cores(whole.operations, |operation| {
            let scenario = Scenario { fails_at: Some((operation + 1, full)), ..quiet(1, &case) };
            let run = watch(&scenario, &case);
            let differs = || {
                let job = Arc::into_inner(with_archive().job).expect("nobody else has it");
                compare(&run, job)
            };
            run.finding.clone().or_else(differs).map(|finding| format!("full: {full}: {finding}"))
        });
        assert_eq!(failed, None, "operation and what is wrong");
    }
}
