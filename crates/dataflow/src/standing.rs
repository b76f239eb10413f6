//! How far the partitions of all workers are: from what each worker says of its own at its ticks to the global
//! watermark, the same on every worker.
//!
//! Marks are applied epoch by epoch, so that what they come to does not depend on which came first. A partition of
//! which nothing comes may *sleep*: the others then go on without it. One that finds records again *wakes* in some
//! epoch: from that epoch on it counts with the larger of its own watermark and the global one just before that
//! epoch, which its own worker does not know yet. So it says no more than that it wakes; everybody works out with
//! what it counts, and it sends its records, with that as their `seen`, once it has heard ([`Heard`]).

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use event::{Epoch, Place, Watermark};
use serde::{Deserialize, Serialize};
use timely::scheduling::Activator;

use crate::member::Member;

/// What a worker says of its partitions at a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The least of the places where those go on that are awake; the end if none is.
    pub(crate) awake: Place,
    /// Whether some sleep.
    pub(crate) sleeps: bool,
    /// The greatest watermark of those that sleep or are finished.
    pub(crate) greatest: Watermark,
    /// Those that wake and have not heard yet: since when, and their own least watermark.
    pub(crate) waking: BTreeMap<Epoch, Watermark>,
    /// The least watermark before of those of which no checkpoint says yet that they fell asleep or woke, and of
    /// those that sleep. A restart may find them otherwise: what rests on their decision may not be put out before
    /// the commit.
    pub(crate) undecided: Option<Watermark>,
    /// Partitions that come and go; mostly none do.
    pub(crate) births: Option<Box<Births>>,
}

/// Partitions that come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Births {
    /// Those that are at their end, while what goes on from them is not read yet: they hold the watermark where they
    /// ended.
    pub(crate) closed: BTreeMap<u32, Watermark>,
    /// Those that are read, of which somebody waits to hear that.
    pub(crate) opened: BTreeSet<u32>,
    /// Those that were found while the job runs and that nobody is known to read.
    pub(crate) found: BTreeMap<u32, Member>,
    /// Found ones since which all partitions have come to the end that they had then.
    pub(crate) passed: BTreeSet<u32>,
}

impl Births {
    fn is_empty(&self) -> bool {
        *self == Births::default()
    }

    /// Whether some join now that are not read yet. Those that go on from others wait for these, and hold nothing up.
    fn is_joining(&self) -> bool {
        let joins =
            |ordinal: &u32| self.found.get(ordinal).is_some_and(|member| member.info.parents.is_empty());
        self.passed.iter().any(|ordinal| joins(ordinal) && !self.opened.contains(ordinal))
    }

    /// What all workers say of births. Only what each of them has passed counts as passed.
    fn of_all(standings: &[Standing]) -> Births {
        let mut all = Births::default();
        for births in standings.iter().filter_map(|standing| standing.births.as_deref()) {
            all.closed.extend(&births.closed);
            all.opened.extend(&births.opened);
            all.found.extend(births.found.iter().map(|(ordinal, member)| (*ordinal, member.clone())));
        }
        let passed = |ordinal: &u32| {
            let said = |standing: &Standing| {
                standing.births.as_ref().is_some_and(|births| births.passed.contains(ordinal))
            };
            standings.iter().all(said)
        };
        all.passed = all.found.keys().copied().filter(|ordinal| passed(ordinal)).collect();
        all
    }
}

impl Standing {
    /// A worker without partitions, or of which all are finished.
    pub(crate) fn finished() -> Self {
        let (awake, greatest) = (Place::END, Watermark::NONE);
        let waking = BTreeMap::new();
        Standing { awake, sleeps: false, greatest, waking, undecided: None, births: None }
    }

    /// What workers say that have not said anything yet. One that reads nothing holds nothing back.
    pub(crate) fn first_of(workers: usize, reads: impl Fn(usize) -> bool) -> Vec<Self> {
        let first = |worker| if reads(worker) { Self::unknown() } else { Self::finished() };
        (0..workers).map(first).collect()
    }

    /// A worker that has partitions and has not said anything yet.
    fn unknown() -> Self {
        Standing { awake: Place::first_at(Watermark::NONE), ..Standing::finished() }
    }

    /// Adds a partition that is awake.
    pub(crate) fn add_awake(&mut self, place: Place) {
        self.awake = self.awake.min(place);
    }

    /// Adds one that sleeps.
    pub(crate) fn add_asleep(&mut self, watermark: Watermark) {
        self.sleeps = true;
        self.greatest = self.greatest.max(watermark);
    }

    /// Adds one that is finished.
    pub(crate) fn add_finished(&mut self, watermark: Watermark) {
        self.greatest = self.greatest.max(watermark);
    }

    /// Adds one that wakes.
    pub(crate) fn add_waking(&mut self, since: Epoch, watermark: Watermark) {
        let least = self.waking.entry(since).or_insert(watermark);
        *least = watermark.min(*least);
    }

    /// Adds what is to be said of partitions that come and go.
    pub(crate) fn add_births(&mut self, births: Births) {
        self.births = (!births.is_empty()).then(|| Box::new(births));
    }

    /// Adds the watermark of one whose decision is in no checkpoint.
    pub(crate) fn add_undecided(&mut self, before: Watermark) {
        self.undecided = Some(self.undecided.map_or(before, |least| least.min(before)));
    }
}

/// How far all workers are.
#[derive(Debug, Clone)]
pub(crate) struct Global {
    standings: Vec<Standing>,
    place: Place,
    /// For each epoch in which partitions woke that may not have heard yet, the watermark just before.
    bases: BTreeMap<Epoch, Watermark>,
    births: Births,
}

impl Global {
    /// What workers say before they have said anything, where the watermark has come to `reached` before.
    pub(crate) fn new(standings: Vec<Standing>, reached: Watermark) -> Self {
        let (bases, births) = (BTreeMap::new(), Births::default());
        Global { standings, place: Place::first_at(reached), bases, births }
    }

    /// Applies what workers have said at an epoch: the number of each, and how far it is. Epochs ascend.
    pub(crate) fn apply(&mut self, epoch: Epoch, said: impl IntoIterator<Item = (u32, Standing)>) {
        let before = self.place.seen;
        for (worker, standing) in said {
            if standing.waking.contains_key(&epoch) {
                self.bases.insert(epoch, before);
            }
            self.standings[worker as usize] = standing;
        }
        let standings = &self.standings;
        self.bases.retain(|epoch, _| standings.iter().any(|standing| standing.waking.contains_key(epoch)));
        if !self.births.is_empty() || standings.iter().any(|standing| standing.births.is_some()) {
            self.births = Births::of_all(standings);
        }
        // Whoever joins first may not run ahead of those that join together with it.
        if self.births.is_joining() {
            return;
        }
        // It never falls: a worker's first mark after a restart may be behind what was reached before.
        self.place = self.place.max(self.least());
    }

    fn least(&self) -> Place {
        let awake = self.standings.iter().map(|standing| standing.awake).min().unwrap_or(Place::END);
        let waking = self.standings.iter().flat_map(|standing| &standing.waking);
        let base = |epoch| self.bases.get(epoch).copied().unwrap_or(self.place.seen);
        let waking = waking.map(|(epoch, own)| base(epoch).max(*own)).min();
        let sleeps = self.standings.iter().any(|standing| standing.sleeps);
        match waking {
            None if !sleeps => awake,
            // Where none is awake that comes further, the end is not reached while some may wake.
            None if awake == Place::END => {
                let greatest = self.standings.iter().map(|standing| standing.greatest).max();
                Place::first_at(greatest.unwrap_or(Watermark::NONE))
            }
            // Whoever wakes may come with the `seen` that the others have, and stand before them.
            None => Place::first_at(awake.seen),
            Some(waking) => Place::first_at(awake.seen.min(waking)),
        }
    }

    /// Before which place no record is still to come; its `seen` is the global watermark.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// How far event time has come by what was read: where all are finished the watermark is behind everything, and
    /// this is the greatest that any of them had.
    pub(crate) fn reached(&self) -> Watermark {
        if self.place != Place::END {
            return self.place.seen;
        }
        self.standings.iter().map(|standing| standing.greatest).max().unwrap_or(Watermark::NONE)
    }

    /// Up to which place what is put out rests on no decision that a restart may make otherwise.
    pub(crate) fn decided(&self) -> Place {
        let undecided = self.standings.iter().filter_map(|standing| standing.undecided).min();
        undecided.map_or(self.place, |before| self.place.min(Place::first_at(before)))
    }

    fn bases(&self) -> &BTreeMap<Epoch, Watermark> {
        &self.bases
    }

    /// What all workers say of partitions that come and go.
    pub(crate) fn births(&self) -> &Births {
        &self.births
    }
}

/// What the reading operator of a worker learns from its windows, which hear of all workers.
#[derive(Default)]
pub(crate) struct Heard {
    /// The newest epoch of which anything was heard from any worker.
    newest: Cell<Epoch>,
    /// The global watermark, as far as it is known here.
    watermark: Cell<Option<Watermark>>,
    bases: RefCell<BTreeMap<Epoch, Watermark>>,
    births: RefCell<Births>,
    /// Who waits for the watermark to move.
    reader: RefCell<Option<Rc<Activator>>>,
}

impl Heard {
    pub(crate) fn new(first: Epoch) -> Self {
        Heard { newest: Cell::new(first), ..Heard::default() }
    }

    pub(crate) fn newest(&self) -> Epoch {
        self.newest.get()
    }

    /// Notes that some worker has come to an epoch.
    pub(crate) fn hear_of(&self, epoch: Epoch) {
        self.newest.set(self.newest.get().max(epoch));
    }

    /// Notes how far all are.
    pub(crate) fn learn(&self, global: &Global) {
        self.watermark.set(Some(global.place().seen));
        if *self.bases.borrow() != *global.bases() {
            self.bases.borrow_mut().clone_from(global.bases());
        }
        if *self.births.borrow() != *global.births() {
            self.births.borrow_mut().clone_from(global.births());
        }
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.activate();
        }
    }

    /// Has the reader run again when something was learned.
    pub(crate) fn wait(&self, reader: &Rc<Activator>) {
        self.reader.borrow_mut().get_or_insert_with(|| Rc::clone(reader));
    }

    /// The global watermark, as far as it is known here.
    pub(crate) fn watermark(&self) -> Watermark {
        self.watermark.get().unwrap_or(Watermark::NONE)
    }

    /// Whether a partition that has come so far is to wait for the others: it is further ahead of the global watermark
    /// than it may be. The slowest of those that are awake never is, once this worker has heard of it. Nobody waits while
    /// one that is at its end holds the watermark: what goes on from it may have to wait for whoever would wait here.
    pub(crate) fn is_left_behind_by(&self, own: Watermark, drift_max: Option<i64>) -> bool {
        drift_max.is_some_and(|drift_max| own.0.saturating_sub(self.watermark().0) > drift_max)
            && self.births.borrow().closed.is_empty()
    }

    /// What all workers say of partitions that come and go.
    pub(crate) fn births(&self) -> Ref<'_, Births> {
        self.births.borrow()
    }

    /// The global watermark just before an epoch in which a partition of this worker woke.
    pub(crate) fn before(&self, epoch: Epoch) -> Option<Watermark> {
        self.bases.borrow().get(&epoch).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seen: i64, series: u32) -> Place {
        Place { seen: Watermark(seen), series, offset: 7 }
    }

    /// Workers at epochs, one step a line: `0: awake 30, asleep 20, waking 5@2`, where the epoch is that of the line;
    /// gives the global watermark after each epoch.
    fn check(workers: usize, steps: &[(u64, &str)], expected: &[i64]) {
        let mut global = Global::new(vec![Standing::unknown(); workers], Watermark::NONE);
        let mut found = Vec::new();
        for (epoch, step) in steps {
            let said = step.split(';').map(|words| {
                let (worker, words) = words.split_once(':').unwrap();
                let mut standing = Standing::finished();
                for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    let (what, value) = word.split_once(' ').unwrap();
                    let number = |text: &str| text.parse::<i64>().unwrap();
                    match what {
                        "awake" => standing.add_awake(at(number(value), 3)),
                        "finished" => standing.add_finished(Watermark(number(value))),
                        "asleep" => standing.add_asleep(Watermark(number(value))),
                        _ => {
                            let (own, since) = value.split_once('@').unwrap();
                            standing.add_waking(Epoch(number(since) as u64), Watermark(number(own)));
                        }
                    }
                }
                (worker.trim().parse().unwrap(), standing)
            });
            global.apply(Epoch(*epoch), said);
            found.push(global.place().seen.0);
        }
        assert_eq!(found, expected, "{steps:?}");
    }

    const END: i64 = i64::MAX;

    #[test]
    fn those_that_are_awake_decide_while_others_sleep() {
        check(2, &[(1, "0: awake 10; 1: awake 20"), (2, "0: asleep 10"), (3, "1: awake 30")], &[10, 20, 30]);
        check(2, &[(1, "0: awake 10"), (2, "1: awake 20, asleep 5")], &[i64::MIN, 10]);
    }

    #[test]
    fn whoever_wakes_counts_from_that_epoch_with_what_was_reached_just_before_it() {
        let asleep = (1, "0: asleep 10; 1: awake 40");
        // It wakes in epoch 3 and hears nothing until 5: what others do in between does not move its place.
        let steps = [asleep, (2, "1: awake 50"), (3, "0: waking 10@3; 1: awake 60"), (4, "1: awake 70")];
        check(2, &steps, &[40, 50, 50, 50]);
        let own = [asleep, (3, "0: waking 45@3; 1: awake 60"), (4, "0: awake 45"), (5, "0: awake 55")];
        check(2, &own, &[40, 45, 45, 55]);
        // The last one that is awake falls asleep while another wakes.
        check(2, &[asleep, (2, "0: waking 10@2; 1: asleep 90"), (3, "0: awake 41")], &[40, 40, 41]);
    }

    #[test]
    fn where_all_sleep_the_greatest_watermark_counts_and_the_end_only_where_all_are_finished() {
        let steps = [
            (1, "0: awake 10; 1: asleep 30"),
            (2, "0: asleep 10"),
            (3, "1: finished 30"),
            (4, "0: finished 10"),
        ];
        check(2, &steps, &[10, 30, 30, END]);
        // One that has ended since the last mark had come so far nevertheless.
        check(2, &[(1, "0: asleep 10; 1: awake 20"), (2, "1: finished 70")], &[20, 70]);
        check(
            2,
            &[(1, "0: asleep 10; 1: asleep 30"), (2, "0: waking 10@2"), (3, "0: awake 35")],
            &[30, 30, 35],
        );
    }

    #[test]
    fn it_stays_until_all_are_read_that_join_together() {
        let member = |number: u32| {
            let (id, start) = (number.to_string(), ingest::Position::stdin(0));
            let info = ingest::PartitionInfo { id, number, series: number, start, parents: Vec::new() };
            Member::new(0, info).unwrap()
        };
        let all = Births { found: [6, 7].map(|number| (number, member(number))).into(), ..Births::default() };
        let passed = Births { passed: [6, 7].into(), ..all };
        let mut global = Global::new(vec![Standing::unknown(); 2], Watermark::NONE);
        let said = |seen: i64, births: &Births| {
            let mut standing = Standing::finished();
            standing.add_awake(at(seen, 3));
            standing.add_births(births.clone());
            standing
        };
        global.apply(Epoch(1), [(0, said(10, &passed)), (1, said(20, &Births::default()))]);
        assert_eq!(global.place().seen, Watermark(10), "the other worker has not passed them");
        let others = Births { passed: [6, 7].into(), ..Births::default() };
        global.apply(Epoch(2), [(0, said(50, &passed)), (1, said(60, &others))]);
        let one = Births { opened: [6].into(), ..passed.clone() };
        global.apply(Epoch(3), [(0, said(70, &one)), (1, said(80, &others))]);
        assert_eq!(global.place().seen, Watermark(10), "7 is not read by now");
        global.apply(Epoch(4), [(1, said(80, &Births { opened: [7].into(), ..others }))]);
        assert_eq!(global.place().seen, Watermark(70));
    }

    #[test]
    fn it_never_falls_after_a_restart_either() {
        let mut global = Global::new(vec![Standing::unknown()], Watermark(50));
        let mut standing = Standing::finished();
        standing.add_awake(at(20, 0));
        global.apply(Epoch(9), [(0, standing)]);
        assert_eq!(global.place(), Place::first_at(Watermark(50)));
    }

    #[test]
    fn where_one_sleeps_no_record_of_the_same_seen_is_passed() {
        let mut global = Global::new(vec![Standing::unknown(), Standing::unknown()], Watermark::NONE);
        let standing = |awake: Option<Place>, asleep: Option<i64>| {
            let mut standing = Standing::finished();
            awake.into_iter().for_each(|place| standing.add_awake(place));
            asleep.into_iter().for_each(|seen| standing.add_asleep(Watermark(seen)));
            standing
        };
        global.apply(Epoch(1), [(0, standing(Some(at(10, 1)), None)), (1, standing(Some(at(10, 2)), None))]);
        assert_eq!(global.place(), at(10, 1));
        // What was passed stays passed.
        global.apply(Epoch(2), [(0, standing(None, Some(10)))]);
        assert_eq!(global.place(), at(10, 1));
        global.apply(Epoch(3), [(1, standing(Some(at(11, 2)), None))]);
        assert_eq!(global.place(), Place::first_at(Watermark(11)));
        global.apply(Epoch(4), [(0, Standing::finished())]);
        assert_eq!(global.place(), at(11, 2));
    }

    #[test]
    fn a_partition_waits_only_while_it_is_further_ahead_than_it_may_be() {
        let heard = Heard::new(Epoch(1));
        let waits = |own: i64| heard.is_left_behind_by(Watermark(own), Some(10));
        assert!(
            waits(0) && !heard.is_left_behind_by(Watermark::NONE, Some(10)),
            "nothing is known of the others"
        );
        let mut global = Global::new(Standing::first_of(2, |_| true), Watermark::NONE);
        let standing = |seen: i64| {
            let mut standing = Standing::finished();
            standing.add_awake(at(seen, 0));
            standing
        };
        global.apply(Epoch(1), [(0, standing(100)), (1, standing(130))]);
        heard.learn(&global);
        assert!(!waits(100) && !waits(110) && waits(111) && waits(130));
        assert!(!heard.is_left_behind_by(Watermark(130), None), "there is no bound");
        // Whoever has ended, or sleeps, is not waited for.
        let mut asleep = Standing::finished();
        asleep.add_asleep(Watermark(100));
        global.apply(Epoch(2), [(0, asleep)]);
        heard.learn(&global);
        assert!(!waits(140) && waits(141));
    }

    #[test]
    fn what_rests_on_a_decision_that_no_checkpoint_holds_is_not_decided() {
        let mut global = Global::new(vec![Standing::unknown(), Standing::unknown()], Watermark::NONE);
        let mut one = Standing::finished();
        one.add_asleep(Watermark(10));
        one.add_undecided(Watermark(10));
        let mut other = Standing::finished();
        other.add_awake(at(40, 1));
        global.apply(Epoch(1), [(0, one.clone()), (1, other)]);
        assert_eq!((global.place().seen, global.decided()), (Watermark(40), Place::first_at(Watermark(10))));
        global.apply(Epoch(2), [(0, Standing::finished())]);
        assert_eq!(global.decided(), at(40, 1));
    }
}
