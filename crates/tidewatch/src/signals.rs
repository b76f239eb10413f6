//! SIGTERM and Ctrl-C: the first asks the job to drain, a second Ctrl-C leaves at once.

use std::io;
use std::process;
use std::sync::Arc;

use dataflow::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Exit code of a program that the second Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Watches for signals until it is dropped.
pub(crate) struct Watch(Handle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Asks the job to drain when a signal comes.
///
/// # Errors
/// If the system refuses the handlers or the thread.
pub(crate) fn drain_on_signals(control: &Arc<Control>) -> io::Result<Watch> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    let control = Arc::clone(control);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut interrupts = 0;
        for signal in signals.forever() {
            interrupts += u32::from(signal == SIGINT);
            if interrupts >= 2 {
                process::exit(INTERRUPTED);
            }
            control.drain();
        }
    })?;
    Ok(Watch(handle))
}
