//! What the processes of a job have come to since the command was given: whether one that ended with an error
//! may do better next time.

use super::link::Ending;

/// What they have come to.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Whether any has read something.
    has_read: bool,
    /// Whether any has met, or found, the other processes of the job.
    has_met: bool,
    /// Whether any has fenced the state: the next goes on from there, whatever the command says.
    has_begun: bool,
}

impl Past {
    pub(super) fn reads(&mut self) {
        self.has_read = true;
    }

    /// Whether any has read something, for which all processes of the job are needed.
    pub(super) fn has_read(&self) -> bool {
        self.has_read
    }

    pub(super) fn begins(&mut self) {
        self.has_begun = true;
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes note of how a process ended by itself, with an error. Returns whether the next may do better:
    /// what has never worked will not, unless another process was to blame, which may be well again.
    pub(super) fn may_pass(&mut self, ending: Option<Ending>) -> bool {
        self.has_met |= ending == Some(Ending::Bereft);
        match ending {
            Some(Ending::Hopeless | Ending::Forsaken) => false,
            Some(Ending::Bereft) => true,
            Some(Ending::Alone) => self.has_met || self.has_read,
            _ => self.has_read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_before_anything_was_read_is_not_repeated_and_what_fails_later_is() {
        let mut past = Past::default();
        for ending in [None, Some(Ending::Failed), Some(Ending::Panicked), Some(Ending::Alone)] {
            assert!(!past.may_pass(ending), "{ending:?}");
        }
        past.reads();
        for ending in [None, Some(Ending::Failed), Some(Ending::Panicked), Some(Ending::Alone)] {
            assert!(past.may_pass(ending), "{ending:?}");
        }
        assert!(!past.may_pass(Some(Ending::Hopeless)));
        assert!(!past.may_pass(Some(Ending::Forsaken)), "it was waited for long enough");
    }

    #[test]
    fn other_processes_that_were_there_once_are_waited_for_again_and_again() {
        let mut past = Past::default();
        assert!(past.may_pass(Some(Ending::Bereft)));
        assert!(past.may_pass(Some(Ending::Alone)));
        assert!(!past.may_pass(Some(Ending::Failed)), "that is no other's fault");
    }
}
