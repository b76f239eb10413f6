//! Takes in who connects before this process can answer: while it waits for its state, for space or for the
//! processes with lower numbers.
//!
//! Left to the system, such connections would pile up long after their other ends have given up, until it lets
//! nobody in any more, and a process that lives would look like one that is gone. Whoever is still there when the
//! door opens is met then.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::GREETING;
use super::accept::PENDING;

/// Between two looks for visitors.
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody who has connected and was not answered yet.
pub(super) struct Visitor {
    pub(super) socket: TcpStream,
    pub(super) from: SocketAddr,
    came: Instant,
}

/// Where visitors wait, at most [`PENDING`] of them.
pub(super) struct Porch {
    listener: TcpListener,
    open: Arc<AtomicBool>,
    keeper: Option<JoinHandle<VecDeque<Visitor>>>,
}

impl Porch {
    /// Begins to take visitors in.
    pub(super) fn new(listener: TcpListener) -> io::Result<Porch> {
        listener.set_nonblocking(true)?;
        let open = Arc::new(AtomicBool::new(true));
        let (own, is_open) = (listener.try_clone()?, Arc::clone(&open));
        let keep = move || keep(&own, &is_open);
        let keeper = thread::Builder::new().name("mesh:porch".to_owned()).spawn(keep)?;
        Ok(Porch { listener, open, keeper: Some(keeper) })
    }

    /// Those who wait, oldest first. From now on the caller accepts.
    pub(super) fn close(&mut self) -> VecDeque<Visitor> {
        self.open.store(false, Ordering::Relaxed);
        self.keeper.take().and_then(|keeper| keeper.join().ok()).unwrap_or_default()
    }

    pub(super) fn listener(&self) -> &TcpListener {
        &self.listener
    }
}

impl Drop for Porch {
    /// Waits for its thread, which holds the port.
    fn drop(&mut self) {
        drop(self.close());
    }
}

fn keep(listener: &TcpListener, is_open: &AtomicBool) -> VecDeque<Visitor> {
    let mut visitors = VecDeque::new();
    while is_open.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((socket, from)) => {
                if visitors.len() >= PENDING {
                    visitors.pop_front();
                }
                visitors.push_back(Visitor { socket, from, came: Instant::now() });
            }
            // That there is nobody, or what the one who accepts after this will find as well.
            Err(_) => thread::sleep(PAUSE),
        }
        // Theirs is the same patience.
        visitors.retain(|visitor: &Visitor| visitor.came.elapsed() < GREETING);
    }
    visitors
}
