//! The one thread that drives all connections of a process.

use std::sync::OnceLock;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};

use crate::Trouble;

/// The runtime of the process: one thread, started when it is first asked for.
///
/// # Errors
/// If the thread cannot be started.
pub fn runtime() -> Result<Handle, Trouble> {
    static RUNTIME: OnceLock<Result<Handle, String>> = OnceLock::new();
    let start = || -> io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("aws".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(handle)
    };
    let runtime = RUNTIME.get_or_init(|| start().map_err(|error| error.to_string()));
    runtime.clone().map_err(|words| Trouble::Refused(format!("its thread cannot be started: {words}")))
}

/// Waits for something on the runtime of the process. Not to be called on its thread.
///
/// # Errors
/// As [`runtime`], or if the work was given up because it panicked.
pub fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Trouble> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        let done = work.await;
        // Nobody waits any more: then nobody needs it.
        let _ = sender.send(done);
    });
    receiver.recv().map_err(|_| Trouble::Refused("a request was given up".to_owned()))
}
