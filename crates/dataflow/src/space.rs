//! What happens when there is no space: a checkpoint or a sink waits for it, says so once, and the sources wait
//! in turn once too much waits for it.
//!
//! Whatever failed is written again from memory, under another name; nothing whose sync failed is believed.
//! Only a job that is told to stop gives up, after a while. Any other failure ends the run at once. A sink whose
//! receiver is away waits in the same way, and says so itself ([`alert::SinkError::Later`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alert::SinkError;

use crate::job::{Control, RunError};
use crate::worker::Here;
use crate::world::{After, World};

/// How often space is asked for.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a job that was told to stop still waits for space.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does what may need space, and does it again every second while there is none.
///
/// # Errors
/// The last one, if it is another, or the job was told to stop and has waited long enough.
pub fn once_there_is_space<T>(
    control: &Arc<Control>,
    mut what: impl FnMut() -> Result<T, RunError>,
) -> Result<T, RunError> {
    let mut patience = Patience::with(&Arc::default(), control, &World::Real);
    loop {
        match what() {
            Ok(done) => {
                patience.over();
                return Ok(done);
            }
            Err(error) => {
                if let After::Again(delay) = patience.after(error)? {
                    std::thread::sleep(delay);
                }
            }
        }
    }
}

/// Gives a sink what it is to have, and again while its receiver is away. What there is no space for is not waited for.
///
/// # Errors
/// The last one, if it is another, or the job was told to stop and has waited long enough.
pub(crate) fn once_it_is_taken(
    control: &Arc<Control>,
    mut give: impl FnMut() -> Result<(), SinkError>,
) -> Result<(), RunError> {
    let mut patience = Patience::with(&Arc::default(), control, &World::Real);
    loop {
        match give().map_err(RunError::from) {
            Err(error) if error.later().is_some() => {
                if let After::Again(delay) = patience.after(error)? {
                    std::thread::sleep(delay);
                }
            }
            given => return given,
        }
    }
}

/// Who waits for space in a process: what is said is said once.
#[derive(Debug, Default)]
pub(crate) struct Space {
    waiting: Mutex<usize>,
}

impl Space {
    /// Notes that one more waits, or one less. Returns whether that is the first, or the last.
    fn note(&self, begins: bool) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *waiting;
        *waiting = if begins { before + 1 } else { before.saturating_sub(1) };
        before.min(*waiting) == 0
    }
}

/// How one lane waits for space.
pub(crate) struct Patience {
    space: Arc<Space>,
    control: Arc<Control>,
    world: World,
    waits: bool,
    /// Since when the job is told to stop, as far as this lane knows.
    stopping: Option<Instant>,
}

impl Patience {
    /// That of a lane of a worker.
    pub(crate) fn new(here: &Here) -> Self {
        Patience::with(&here.space, &here.control, &here.world)
    }

    pub(crate) fn with(space: &Arc<Space>, control: &Arc<Control>, world: &World) -> Self {
        Patience {
            space: Arc::clone(space),
            control: Arc::clone(control),
            world: world.clone(),
            waits: false,
            stopping: None,
        }
    }

    /// What follows a failure: another attempt if there is no space, or a sink asks for one.
    ///
    /// # Errors
    /// The same, if it is to end the run.
    pub(crate) fn after(&mut self, error: RunError) -> Result<After, RunError> {
        let later = error.later();
        if !error.is_full() && later.is_none() {
            return Err(error);
        }
        if self.control.is_draining() {
            let now = self.world.now();
            let since = *self.stopping.get_or_insert(now);
            if now.saturating_duration_since(since) >= PATIENCE {
                return Err(error);
            }
        }
        if let Some(delay) = later {
            return Ok(After::Again(delay));
        }
        if !std::mem::replace(&mut self.waits, true) && self.space.note(true) {
            self.world.say(&format!(
                "warning: no space to go on: {error}\n\
                 hint: make space; it is tried again every second, and nothing is lost meanwhile"
            ));
        }
        Ok(After::Again(AGAIN))
    }

    /// Notes that what was to be written is written.
    pub(crate) fn over(&mut self) {
        if std::mem::take(&mut self.waits) && self.space.note(false) {
            self.world.say("there is space again: the job goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_said_by_the_first_who_waits_and_taken_back_by_the_last() {
        let space = Space::default();
        let said = [true, true, false, false].map(|begins| space.note(begins));
        assert_eq!(said, [true, false, false, true]);
    }
}
