//! SIGTERM and Ctrl-C: the first asks the job to drain, a second Ctrl-C leaves at once.
//!
//! A terminal sends Ctrl-C to the supervisor and to the process that it supervises. Only the supervisor
//! counts it, and passes on that the job is to drain; the other one does not hear it.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataflow::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Exit code of a program that the second Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

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
    let control = Arc::clone(control);
    let mut interrupts = 0;
    watch(&[SIGINT, SIGTERM], move |signal| {
        interrupts += u32::from(signal == SIGINT);
        if interrupts >= 2 {
            process::exit(i32::from(INTERRUPTED));
        }
        control.drain();
    })
}

/// Asks the job of a supervised process to drain when SIGTERM comes; Ctrl-C is its supervisor's affair.
///
/// # Errors
/// If the system refuses the handlers or the thread.
pub(crate) fn drain_on_termination(control: &Arc<Control>) -> io::Result<Watch> {
    signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))?;
    let control = Arc::clone(control);
    watch(&[SIGTERM], move |_| control.drain())
}

/// Hands on each signal: whether it is a Ctrl-C.
///
/// # Errors
/// If the system refuses the handlers or the thread.
pub(crate) fn hand_on(mut take: impl FnMut(bool) + Send + 'static) -> io::Result<Watch> {
    watch(&[SIGINT, SIGTERM], move |signal| take(signal == SIGINT))
}

fn watch(which: &[i32], take: impl FnMut(i32) + Send + 'static) -> io::Result<Watch> {
    let mut signals = Signals::new(which)?;
    let handle = signals.handle();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(take))?;
    Ok(Watch(handle))
}
