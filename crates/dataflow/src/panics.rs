//! Panics of the threads that run a job end the job with words, instead of leaving the others to wait for them.
//!
//! There is one hook in a process, however many jobs run in it, one after the other or side by side. What panics in a
//! thread that belongs to none of them goes where it went before: a program may catch it.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;

use crate::job::{Control, RunError};
use crate::worker::Outcome;

/// What the names of threads of a run start with: timely's, the mesh's, and those of [`crate::world`].
const NAMES: [&str; 5] = ["timely:", "mesh:", "sink-", "snapshot-", "commit"];

/// A run that may be over.
struct Watched {
    outcome: Weak<Outcome>,
    /// Whether any thread of the process is a part of it.
    whole_process: bool,
}

static RUNS: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

thread_local! {
    /// The run that the thread works for, where that is known.
    static OWN: RefCell<Weak<Outcome>> = const { RefCell::new(Weak::new()) };
}

/// Says that this thread works for that run alone.
pub(crate) fn work_for(outcome: &Arc<Outcome>) {
    OWN.set(Arc::downgrade(outcome));
}

/// Has panics fail a run, for as long as somebody has its outcome.
pub(crate) fn watch(outcome: &Arc<Outcome>, control: &Control) {
    let run = Watched { outcome: Arc::downgrade(outcome), whole_process: control.has_whole_process() };
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    runs.retain(|run| run.outcome.strong_count() > 0);
    runs.push(run);
    drop(runs);
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !heed(info) {
                before(info);
            }
        }));
    });
}

/// Whether the panic is the end of a run, which will say so.
fn heed(info: &PanicHookInfo<'_>) -> bool {
    let is_ours =
        thread::current().name().is_some_and(|name| NAMES.iter().any(|ours| name.starts_with(ours)));
    if let Ok(Some(own)) = OWN.try_with(|own| own.borrow().upgrade()) {
        return fail(&own, info);
    }
    let runs: Vec<Arc<Outcome>> = {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        let heeding = runs.iter().filter(|run| is_ours || run.whole_process);
        heeding.filter_map(|run| run.outcome.upgrade()).collect()
    };
    // Of a thread that serves a sink or another process nobody knows which run it belongs to.
    // All of them are told, whoever heeds it.
    runs.iter().filter(|outcome| fail(outcome, info)).count() > 0
}

/// Ends a run. Always true: the panic is dealt with.
fn fail(outcome: &Outcome, info: &PanicHookInfo<'_>) -> bool {
    if outcome.has_failed() {
        // Threads fall with the one that fell first.
        return true;
    }
    let words = info.payload_as_str().unwrap_or("a thread panicked");
    if words.starts_with("timely communication error") {
        outcome.fail_lost(words);
    } else {
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        outcome.fail(RunError::Panicked(format!("internal error{place}: {words}")));
    }
    true
}
