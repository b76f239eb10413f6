//! Whether a partition sleeps: of which nothing has come for so long that the others go on without it.
//!
//! Decisions by the clock are written down: a checkpoint says who sleeps, and until it does, what rests on a decision
//! is known to ([`Standing::undecided`]). One that wakes sleeps on in the checkpoint until its records are sent.

use std::time::Instant;

use event::{Epoch, Place, Watermark};
use ingest::Idleness;

use crate::intake::Beginning;
use crate::standing::Standing;

/// The sleep of one partition.
#[derive(Debug)]
pub(crate) struct Sleep {
    /// Without it the partition never falls asleep.
    idleness: Option<Idleness>,
    state: State,
    /// The interval of the last decision that no checkpoint is known to hold, and the watermark before the first.
    undecided: Option<(u32, Watermark)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Awake,
    Asleep,
    /// Since that epoch; it is not known yet from where it counts.
    Waking(Epoch),
}

impl Sleep {
    /// A partition as a checkpoint has it, or one that joins.
    pub(crate) fn new(idleness: Option<Idleness>, beginning: Beginning) -> Self {
        let state = match beginning {
            Beginning::Awake => State::Awake,
            Beginning::Asleep => State::Asleep,
            Beginning::Joins(epoch) => State::Waking(epoch),
        };
        let mut sleep = Sleep { idleness, state, undecided: None };
        if let Beginning::Joins(epoch) = beginning {
            sleep.decide(epoch.interval(), Watermark::NONE);
        }
        sleep
    }

    /// Whether a checkpoint is to say that it sleeps.
    pub(crate) fn sleeps(&self) -> bool {
        self.state != State::Awake
    }

    /// The epoch in which it woke, if it has not heard yet from where it counts.
    pub(crate) fn waking(&self) -> Option<Epoch> {
        if let State::Waking(since) = self.state { Some(since) } else { None }
    }

    /// Nothing is there now, and all was read. Returns whether it falls asleep over that, in that interval.
    pub(crate) fn nothing_came(&mut self, now: Instant, interval: u32, own: Watermark) -> bool {
        let is_idle = self.idleness.as_mut().is_some_and(|idleness| idleness.is_idle_at(now));
        let falls = is_idle && self.state == State::Awake;
        if falls {
            self.state = State::Asleep;
            self.decide(interval, own);
        }
        falls
    }

    /// Records came, in that epoch. Returns whether it slept, so that they must wait.
    pub(crate) fn records_came(&mut self, epoch: Epoch, own: Watermark) -> bool {
        self.idleness.iter_mut().for_each(Idleness::came);
        let slept = self.state == State::Asleep;
        if slept {
            self.state = State::Waking(epoch);
            self.decide(epoch.interval(), own);
        }
        slept
    }

    /// It is known from where it counts: its records are sent, in that interval.
    pub(crate) fn is_awake(&mut self, interval: u32, own: Watermark) {
        self.state = State::Awake;
        self.decide(interval, own);
    }

    fn decide(&mut self, interval: u32, own: Watermark) {
        let before = self.undecided.map_or(own, |(_, before)| before.min(own));
        self.undecided = Some((interval, before));
    }

    /// All intervals before that one are committed.
    pub(crate) fn committed_before(&mut self, interval: u32) {
        self.undecided.take_if(|(decided, _)| *decided < interval);
    }

    /// The interval of the last decision that no checkpoint is known to hold.
    pub(crate) fn undecided_in(&self) -> Option<u32> {
        self.undecided.map(|(interval, _)| interval)
    }

    /// Adds the partition, which goes on at that place, to what its worker says.
    pub(crate) fn stand(&self, place: Place, standing: &mut Standing) {
        match self.state {
            State::Awake => standing.add_awake(place),
            State::Asleep => standing.add_asleep(place.seen),
            State::Waking(since) => standing.add_waking(since, place.seen),
        }
        // Asleep in a checkpoint, it may wake at any moment after that.
        let asleep = self.sleeps().then_some(place.seen);
        asleep.into_iter().for_each(|own| standing.add_undecided(own));
        self.add_undecided(standing);
    }

    /// Adds the partition, which has ended with that watermark.
    pub(crate) fn stand_at_end(&self, own: Watermark, standing: &mut Standing) {
        standing.add_finished(own);
        self.add_undecided(standing);
    }

    fn add_undecided(&self, standing: &mut Standing) {
        self.undecided.into_iter().for_each(|(_, before)| standing.add_undecided(before));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn standing(sleep: &Sleep, seen: i64) -> Standing {
        let mut standing = Standing::finished();
        sleep.stand(Place::first_at(Watermark(seen)), &mut standing);
        standing
    }

    #[test]
    fn a_decision_stays_undecided_until_a_checkpoint_holds_it() {
        let mut sleep = Sleep::new(Idleness::new(Duration::from_secs(1)), Beginning::Awake);
        let start = Instant::now();
        assert!(!sleep.nothing_came(start, 4, Watermark(10)));
        assert_eq!(standing(&sleep, 10).undecided, None);
        assert!(sleep.nothing_came(start + Duration::from_secs(2), 4, Watermark(10)));
        assert!(!sleep.nothing_came(start + Duration::from_secs(3), 5, Watermark(10)), "it sleeps already");
        sleep.committed_before(4);
        assert_eq!(sleep.undecided_in(), Some(4));
        sleep.committed_before(5);
        assert_eq!((sleep.undecided_in(), standing(&sleep, 10).undecided), (None, Some(Watermark(10))));

        let epoch = Epoch::first_of(6);
        assert!(sleep.records_came(epoch, Watermark(10)) && sleep.sleeps());
        assert_eq!(standing(&sleep, 10).waking, [(epoch, Watermark(10))].into());
        // The checkpoint of interval 6 has it asleep: its records are sent in 7.
        sleep.is_awake(7, Watermark(10));
        sleep.committed_before(7);
        assert_eq!(standing(&sleep, 90).undecided, Some(Watermark(10)));
        sleep.committed_before(8);
        assert_eq!(standing(&sleep, 90).undecided, None);
        assert!(!sleep.records_came(epoch, Watermark(90)), "it is awake");
    }

    #[test]
    fn whoever_may_not_sleep_waits_for_ever() {
        let mut sleep = Sleep::new(None, Beginning::Awake);
        let start = Instant::now();
        assert!(!sleep.nothing_came(start, 1, Watermark(1)));
        assert!(!sleep.nothing_came(start + Duration::from_secs(3_600), 1, Watermark(1)));
    }
}
