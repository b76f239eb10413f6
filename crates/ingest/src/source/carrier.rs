//! What a thread of its own fetches for a partition, and a queue with a bound between the two.
//!
//! A partition is polled by a worker that must not wait; what takes longer than a disk is done here. Whoever drops a
//! carrier ends its thread, once that has something to give.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use super::Waker;
use crate::IngestError;

/// Stack of such a thread: there may be many.
const STACK_BYTES: usize = 512 << 10;

enum Given<T> {
    Item(T),
    Failed(IngestError),
    /// Said by the thread, so that one that falls is not taken for one that is done.
    End,
}

/// What came of a look into the queue.
pub(super) enum Taken<T> {
    /// The next item.
    Item(T),
    /// Nothing by now.
    Nothing,
    /// All was given.
    End,
}

/// The end of the queue from which a partition takes.
pub(super) struct Carrier<T> {
    name: String,
    given: Receiver<Given<T>>,
}

/// The end into which the thread gives.
pub(super) struct Giver<T> {
    sender: SyncSender<Given<T>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Carrier<T> {
    /// Starts a thread for what is called `name`, with room for so many items, and calls the waker for each.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn spawn(
        name: &str,
        items_max: usize,
        waker: Option<Waker>,
        work: impl FnOnce(&Giver<T>) -> Result<(), IngestError> + Send + 'static,
    ) -> Result<Self, IngestError> {
        let (sender, given) = sync_channel(items_max);
        let giver = Giver { sender, waker };
        let run = move || {
            let last = match work(&giver) {
                Ok(()) => Given::End,
                Err(error) => Given::Failed(error),
            };
            giver.send(last);
        };
        thread::Builder::new()
            .name("objects".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(run)
            .map_err(|source| IngestError::Read { name: name.to_owned(), source })?;
        Ok(Carrier { name: name.to_owned(), given })
    }

    /// Takes the next item, if there is one.
    ///
    /// # Errors
    /// What the thread has met.
    pub(super) fn take(&self) -> Result<Taken<T>, IngestError> {
        match self.given.try_recv() {
            Ok(Given::Item(item)) => Ok(Taken::Item(item)),
            Ok(Given::End) => Ok(Taken::End),
            Ok(Given::Failed(error)) => Err(error),
            Err(TryRecvError::Empty) => Ok(Taken::Nothing),
            Err(TryRecvError::Disconnected) => Err(IngestError::Read {
                name: self.name.clone(),
                source: io::Error::other("the thread that reads it has died"),
            }),
        }
    }
}

impl<T> Giver<T> {
    /// Gives an item, once there is room; says whether anybody wants more.
    pub(super) fn give(&self, item: T) -> bool {
        self.send(Given::Item(item))
    }

    fn send(&self, given: Given<T>) -> bool {
        let is_wanted = self.sender.send(given).is_ok();
        if let Some(waker) = &self.waker {
            waker();
        }
        is_wanted
    }
}
