//! Partitions that fall silent, sleep, and wake, at random moments and through crashes.
//!
//! Which records wake a partition is up to the clock, so the oracle is told: it lifts the watermark of the partition
//! there, and the rest must follow from that alone. What was put out once must stay whatever is decided later.

use std::collections::{BTreeMap, BTreeSet};

use window::SequenceSpec;

use super::*;

const SLEEP_SEEDS: u64 = 240;

pub(super) struct Sleepers {
    pub(super) job: Job,
    oracle: oracle::Job,
    partitions: Vec<(Vec<u8>, Vec<Placed>)>,
    /// Whether every record is a row, in their order, instead of windows that keys share.
    each: bool,
    births: Births,
}

/// Partitions that come and go.
#[derive(Default, Clone)]
pub(super) struct Births {
    /// From which each goes on.
    parents: Vec<Vec<u32>>,
    newcomers: Vec<u32>,
}

impl Births {
    /// A family: 2 splits into 3 and 4, 1 and 3 merge into 5; some are there from the beginning, some come while the
    /// job runs, and so do two strangers, together.
    pub(super) fn new(seed: u64) -> Births {
        let parents = [vec![], vec![], vec![], vec![2], vec![2], vec![1, 3], vec![], vec![]].to_vec();
        let newcomers = [vec![3, 4, 5, 6, 7], vec![5, 6, 7], vec![6, 7], vec![]];
        Births { parents, newcomers: newcomers[seed as usize / 2 % 4].clone() }
    }
}

impl Sleepers {
    pub(super) fn new(seed: u64, births: Births) -> Sleepers {
        let mut random = Random::new(seed ^ 0x51EE_B000);
        let (size, slide) = shape(&mut random);
        let (size, slide) = (size * 1_000_000, slide * 1_000_000);
        let lateness = if seed % 4 == 3 { 15_000_000 } else { 0 };
        let window = WindowSpec::sliding(size, slide).and_then(|window| window.allowing(lateness));
        let mut job = compile(window.expect("a window"), -1e15, None);
        let each = seed % 3 == 1;
        if each {
            job.branches[0].window = Windowing::InOrder(SequenceSpec::each());
        }
        if is_at_once(seed) {
            job.sinks[0].mode = Mode::AtOnce;
        }
        job.idle_after = Some(Duration::from_micros(1_000 + random.below(8_000)));
        job.drift_max = random.chance(0.5).then(|| 1_000_000 + random.below(40_000_000) as i64);
        job.state = Some(StateSpec {
            location: Location::Dir("/simulated".into()),
            checkpoint_every: Duration::from_micros(1_000 + random.below(12_000)),
            shards: 16,
            from: Beginning::Newest,
        });
        job.flow =
            Flow { ticks: 2 + random.below(6) as usize, tick: Duration::from_micros(500), sink_bytes: 4096 };
        let count = PARTITIONS.max(births.parents.len());
        let partitions = (0..count).map(|_| partition(&mut random, 12)).collect();
        let oracle = oracle::Job {
            bound: BOUND,
            windows: oracle::Windows::sliding(size, slide),
            lateness,
            aggregates: aggregates(),
        };
        Sleepers { job, oracle, partitions, each, births }
    }

    fn inputs(&self) -> Vec<Vec<u8>> {
        self.partitions.iter().map(|(bytes, _)| bytes.clone()).collect()
    }

    /// What must have come out if partitions woke there.
    fn expect(mut self, wakings: &[Vec<(u64, i64)>]) -> Case {
        let mut ends: Vec<i64> = Vec::new();
        for (number, (bytes, lines)) in self.partitions.iter_mut().enumerate() {
            let wakings = wakings[number].iter().map(|(at, to)| (*at as usize, *to));
            let wakings: BTreeMap<usize, i64> = wakings.collect();
            let parents = self.births.parents.get(number).into_iter().flatten();
            let mut lifted = parents.map(|parent| ends[*parent as usize]).min().unwrap_or(i64::MIN);
            for placed in lines.iter_mut() {
                lifted = wakings.get(&placed.offset).copied().unwrap_or(i64::MIN).max(lifted);
                placed.lifted = lifted;
                if let Line::Record(record) = &mut placed.line {
                    record.lifted = lifted;
                }
            }
            let newest = records_of(lines).iter().map(|record| record.time - BOUND - 1).max();
            let at_end = wakings.get(&bytes.len()).copied();
            ends.push(lifted.max(newest.unwrap_or(i64::MIN)).max(at_end.unwrap_or(i64::MIN)));
        }
        let each = self.each.then(|| self.each_row());
        let mut case = expect(self.job, self.partitions, &self.oracle, (-1e15, None));
        if let Some((rows, quarantine)) = each {
            case.windowed += case.late;
            (case.late, case.rows, case.quarantine) = (0, rows, quarantine);
        }
        case
    }

    /// Every record that passes as a row, in the order of its place; and what does not fit.
    fn each_row(&self) -> (Vec<u8>, Vec<u8>) {
        let mut rows = Vec::new();
        let records: Vec<Vec<Record>> = self.partitions.iter().map(|(_, lines)| records_of(lines)).collect();
        for (partition, records) in records.iter().enumerate() {
            for (index, (record, seen)) in records.iter().zip(self.oracle.seen(records)).enumerate() {
                if !record.filtered {
                    rows.push((seen, record.time, &record.key, partition, index, &record.values));
                }
            }
        }
        rows.sort_by(|a, b| (a.0, a.1, a.2, a.3, a.4).cmp(&(b.0, b.1, b.2, b.3, b.4)));
        let mut text = String::new();
        for (_, time, key, .., values) in rows {
            let (key, time) = (String::from_utf8_lossy(key), time / 1_000);
            let [Value::Double(v), Value::Int(n), Value::Text(s)] = &values[..] else {
                panic!("three values")
            };
            writeln!(
                text,
                "{{\"user\":\"{key}\",\"window_start\":{time},\"window_end\":{time},\"rows\":1,\"total\":{v:?},\
                 \"most\":{n},\"newest\":\"{s}\",\"texts\":1,\"different\":{v:?}}}"
            )
            .expect("a string");
        }
        let nothing_late = oracle::Outcome::default();
        (text.into_bytes(), quarantine(&self.partitions, &records, &nothing_late, &self.oracle))
    }
}

/// Whether rows are put out when they are due, before their commit: after a crash the same come again, and no others.
pub(super) fn is_at_once(seed: u64) -> bool {
    seed % 2 == 1
}

/// Each line once, in the order of their bytes.
fn set_of_lines(text: &[u8]) -> Vec<u8> {
    let lines: BTreeSet<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.into_iter().flatten().copied().collect()
}

fn records_of(lines: &[Placed]) -> Vec<Record> {
    let records = lines.iter().filter_map(|placed| match &placed.line {
        Line::Record(record) => Some(record.clone()),
        Line::Bad => None,
    });
    records.collect()
}

/// Runs a seed; what is wrong with it is its finding.
fn run_sleepers(seed: u64, births: &Births, plant: Option<Plant>, verbose: bool) -> Run {
    let job = Sleepers::new(seed, births.clone()).job;
    run_job(seed, job, births, plant, verbose)
}

/// The same for a job that archives what it reads.
#[cfg(feature = "archive")]
pub(super) fn run_sleepers_archiving(seed: u64, births: &Births, plant: Option<Plant>) -> Run {
    let job = Sleepers::new(seed, births.clone()).job;
    run_job(seed, Job { archive: Some("/archive".to_owned()), ..job }, births, plant, false)
}

fn run_job(seed: u64, job: Job, births: &Births, plant: Option<Plant>, verbose: bool) -> Run {
    let sleepers = Sleepers::new(seed, births.clone());
    let case = Case {
        job: Arc::new(job),
        inputs: sleepers.inputs(),
        rows: Vec::new(),
        quarantine: Vec::new(),
        alerts: Vec::new(),
        said: 0,
        read: 0,
        filtered: 0,
        bad: 0,
        late: 0,
        windowed: 0,
    };
    let mut last: Vec<Vec<u8>> = Vec::new();
    let mut look = |seen: &[&[u8]]| {
        last.iter().zip(seen).try_for_each(|(last, seen)| prefix("lines that were seen", last, seen))?;
        last = seen.iter().map(|seen| seen.to_vec()).collect();
        Ok(())
    };
    // A sink that takes lines at once would wait for the disk for ever, where nobody else gets a turn.
    let faults = !is_at_once(seed);
    let Births { parents, newcomers } = births.clone();
    let scenario =
        Scenario { silences: true, parents, newcomers, faults, ..scenario(seed, &case, plant, verbose) };
    let mut run = simulate(&scenario, &mut look);
    if run.finding.is_none() {
        let each = sleepers.each;
        let mut case = sleepers.expect(&run.wakings);
        if is_at_once(seed) {
            // The file is written by whoever is there, one that is cut off and not dead yet beside the next one.
            (run.outputs[0], case.rows) = (set_of_lines(&run.outputs[0]), set_of_lines(&case.rows));
        }
        run.finding = judge(&run, &case, each).err();
    }
    run
}

fn judge(run: &Run, case: &Case, each: bool) -> Result<(), String> {
    if !each {
        return check_end(run, case);
    }
    prefix("rows", &case.rows, &run.outputs[0])?;
    prefix("rows", &run.outputs[0], &case.rows)?;
    prefix("quarantine", &without_details(&run.outputs[2]), &case.quarantine)?;
    prefix("quarantine", &case.quarantine, &without_details(&run.outputs[2]))?;
    let counts = (run.counts.read, run.counts.filtered, run.counts.quarantined, run.counts.windowed);
    let expected = (case.read, case.filtered, case.bad, case.windowed);
    if counts == expected { Ok(()) } else { Err(format!("counts {counts:?}, not {expected:?}")) }
}

/// Runs all seeds, and says what they came to: wakings that count, crashes, rescales.
#[allow(clippy::print_stdout)]
fn run_all(births: impl Fn(u64) -> Births + Sync, variable: &str) -> Option<[u64; 3]> {
    if let Some(seed) = setting(variable) {
        let run = run_sleepers(seed, &births(seed), planted(), true);
        run.lines.iter().for_each(|line| println!("{line}"));
        println!("wakings {:?}", run.wakings);
        assert_eq!(run.finding, None, "seed {seed}");
        return None;
    }
    let [wakings, crashes, rescales]: [AtomicU64; 3] = std::array::from_fn(|_| AtomicU64::new(0));
    let found = on_all_cores(sleep_seeds(), |seed| {
        let run = run_sleepers(seed, &births(seed), None, false);
        wakings.fetch_add(run.wakings.iter().map(Vec::len).sum::<usize>() as u64, Ordering::Relaxed);
        crashes.fetch_add(run.crashes, Ordering::Relaxed);
        rescales.fetch_add(run.rescales, Ordering::Relaxed);
        let again = || run_sleepers(seed, &births(seed), None, false).trace;
        let differs = seed % 8 == 0 && run.finding.is_none() && again() != run.trace;
        run.finding.or_else(|| differs.then(|| "two runs of the seed have different traces".to_owned()))
    });
    if let Some((seed, finding)) = found {
        panic!("seed {seed}: {finding}\n{variable}={seed} prints its trace");
    }
    Some([wakings, crashes, rescales].map(AtomicU64::into_inner))
}

fn sleep_seeds() -> u64 {
    setting("TIDEWATCH_SIM_SEEDS").unwrap_or(SLEEP_SEEDS)
}

#[test]
fn partitions_that_sleep_and_wake_put_out_what_the_oracle_does_and_never_take_it_back() {
    let Some([wakings, crashes, rescales]) = run_all(|_| Births::default(), "TIDEWATCH_SIM_SLEEP_SEED")
    else {
        return;
    };
    let seeds = sleep_seeds();
    println!("{seeds} seeds, {wakings} wakings that count, {crashes} crashes, {rescales} rescales");
    assert!(wakings > 5 * seeds && crashes > 2 * seeds, "{wakings} wakings, {crashes} crashes");
}

#[test]
fn partitions_that_go_on_from_others_or_join_put_out_what_the_oracle_does_and_never_take_it_back() {
    let Some([wakings, crashes, rescales]) = run_all(Births::new, "TIDEWATCH_SIM_BIRTHS_SEED") else {
        return;
    };
    let seeds = sleep_seeds();
    println!("{seeds} seeds, {wakings} wakings and joins that count, {crashes} crashes, {rescales} rescales");
    assert!(wakings > 5 * seeds && crashes > 2 * seeds, "{wakings} wakings, {crashes} crashes");
}

#[test]
fn the_default_seeds_find_every_mistake_that_is_planted_in_sleep() {
    for plant in Plant::OF_SLEEP {
        find(plant, |_| Births::default());
    }
}

#[test]
fn the_default_seeds_find_every_mistake_that_is_planted_in_births() {
    for plant in Plant::OF_BIRTHS {
        find(plant, Births::new);
    }
}

#[allow(clippy::print_stdout)]
fn find(plant: Plant, births: impl Fn(u64) -> Births + Sync) {
    let found =
        on_all_cores(SLEEP_SEEDS, |seed| run_sleepers(seed, &births(seed), Some(plant), false).finding);
    let Some((seed, finding)) = found else { panic!("{SLEEP_SEEDS} seeds do not find {plant:?}") };
    println!("{plant:?}: seed {seed}: {}", finding.lines().next().unwrap_or_default());
}
