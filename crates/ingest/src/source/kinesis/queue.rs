//! What was fetched of a shard and not taken yet: a queue with a bound, between the task that fetches and the partition
//! that is polled.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_sdk_kinesis::types::Record;
use tokio::sync::Notify;

use super::super::Waker;
use super::error::KinesisError;

/// Bytes beyond which no more is fetched. What one answer brings, up to 10 MiB, comes on top.
const BYTES_MAX: usize = 4 << 20;

/// One answer, or what ends the shard.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Records, possibly none.
    Records(Batch),
    /// The shard is closed, and all of it was fetched: the shards of these numbers go on from it.
    Closed(Vec<u32>),
    /// It cannot be read on.
    Failed(KinesisError),
}

/// Records of one answer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) standing: Standing,
}

/// What an answer says of the end of the shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// How far it is behind the end, in milliseconds.
    pub(super) behind: Option<i64>,
    /// Whether this was all that there is.
    pub(super) is_end: bool,
    /// When the answer was asked for, by our clock,
    pub(super) asked: Instant,
    /// and by the server's, at least; in milliseconds since 1970.
    pub(super) asked_at: Option<i64>,
}

/// The queue of a shard.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    taken: Notify,
}

#[derive(Default)]
struct State {
    fetched: VecDeque<Fetched>,
    bytes: usize,
    waker: Option<Waker>,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for an answer.
    pub(super) async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            if self.state().bytes < BYTES_MAX {
                return;
            }
            taken.await;
        }
    }

    /// Adds to its end, and wakes whoever polls.
    pub(super) fn push(&self, fetched: Fetched) {
        let waker = {
            let mut state = self.state();
            state.bytes += bytes(&fetched);
            state.fetched.push_back(fetched);
            state.waker.clone()
        };
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Takes what came first.
    pub(super) fn take(&self) -> Option<Fetched> {
        let mut state = self.state();
        let fetched = state.fetched.pop_front()?;
        state.bytes -= bytes(&fetched);
        drop(state);
        self.taken.notify_one();
        Some(fetched)
    }

    pub(super) fn set_waker(&self, waker: Waker) {
        self.state().waker = Some(Arc::clone(&waker));
        // For what came before there was anyone to call.
        waker();
    }
}

fn bytes(fetched: &Fetched) -> usize {
    match fetched {
        Fetched::Records(batch) => batch.records.iter().map(|record| record.data.as_ref().len()).sum(),
        _ => 0,
    }
}
