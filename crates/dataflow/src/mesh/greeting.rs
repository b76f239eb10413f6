//! What processes tell one another before they trust a connection, and who does not belong together.
//!
//! A greeting has a fixed length, so that a stranger cannot announce a long one. Its first twelve bytes stay
//! as they are in every version.

use std::cmp::Ordering;
use std::fmt;

use super::Agreed;

pub(super) const MAGIC: [u8; 8] = *b"tidewtch";
/// Of greeting, handshake and frames; processes of two versions do not join.
pub(super) const VERSION: u32 = 2;
/// Magic and version.
pub(super) const PREFIX: usize = 12;
pub(super) const LENGTH: usize = PREFIX + 8 + 4 * 4 + 8 + 1 + 8 + 4 + NONCE;
const NONCE: usize = 32;

/// What a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Hash of what the bytes between processes rest on: see [`program`].
    pub(super) program: u64,
    pub(super) process: u32,
    pub(super) processes: u32,
    /// Worker threads of each process.
    pub(super) workers: u32,
    /// Milliseconds of silence after which it takes the other for lost: so often it must hear of it.
    pub(super) timeout: u32,
    /// Hash of the job's identity: all must run the same.
    pub(super) cluster: u64,
    /// Unknown to all but process 0 until they have met it.
    pub(super) known: Option<Agreed>,
    /// Chance, so that no answer fits twice.
    pub(super) nonce: [u8; NONCE],
}

/// The program that runs here: numbers and columns go between processes as they lie in its memory.
pub(super) fn program() -> u64 {
    let machine = if cfg!(target_endian = "little") { "little" } else { "big" };
    let text = [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, machine].join("\n");
    event::key_hash(text.as_bytes())
}

/// What the first bytes of a greeting tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Ours,
    OtherVersion(u32),
    Stranger,
}

impl Prefix {
    pub(super) fn of(bytes: &[u8; LENGTH]) -> Prefix {
        match fields(bytes) {
            _ if bytes[..8] != MAGIC => Prefix::Stranger,
            Fields { version: VERSION, .. } => Prefix::Ours,
            Fields { version, .. } => Prefix::OtherVersion(version),
        }
    }
}

impl Greeting {
    pub(super) fn to_bytes(self) -> [u8; LENGTH] {
        let Agreed { generation, checkpoint } = self.known.unwrap_or_default();
        let parts: [&[u8]; 12] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &self.program.to_le_bytes(),
            &self.process.to_le_bytes(),
            &self.processes.to_le_bytes(),
            &self.workers.to_le_bytes(),
            &self.timeout.to_le_bytes(),
            &self.cluster.to_le_bytes(),
            &[u8::from(self.known.is_some())],
            &generation.to_le_bytes(),
            &checkpoint.to_le_bytes(),
            &self.nonce,
        ];
        let mut bytes = [0; LENGTH];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        bytes
    }

    /// Reads a greeting whose prefix is ours.
    pub(super) fn from_bytes(bytes: &[u8; LENGTH]) -> Greeting {
        let Fields {
            program,
            process,
            processes,
            workers,
            timeout,
            cluster,
            known,
            generation,
            checkpoint,
            nonce,
            ..
        } = fields(bytes);
        let known = (known != 0).then_some(Agreed { generation, checkpoint });
        Greeting { program, process, processes, workers, timeout, cluster, known, nonce }
    }

    /// Why a peer does not belong here; `None` if it does.
    pub(super) fn misfit(&self, peer: &Greeting) -> Option<Misfit> {
        let (own, other) = ((self.processes, self.workers), (peer.processes, peer.workers));
        if own != other {
            return Some(Misfit::Shape { process: peer.process, own, other });
        }
        if peer.program != self.program {
            return Some(Misfit::Program { process: peer.process });
        }
        if peer.cluster != self.cluster {
            return Some(Misfit::Job { process: peer.process });
        }
        let (known, theirs) = (self.known?, peer.known?);
        let (process, generations) = (peer.process, (known.generation, theirs.generation));
        match theirs.generation.cmp(&known.generation) {
            Ordering::Less => Some(Misfit::Older { process, generations }),
            Ordering::Greater => Some(Misfit::Newer { process, generations }),
            Ordering::Equal if theirs != known => Some(Misfit::Checkpoint { process }),
            Ordering::Equal => None,
        }
    }
}

struct Fields {
    version: u32,
    program: u64,
    process: u32,
    processes: u32,
    workers: u32,
    timeout: u32,
    cluster: u64,
    known: u8,
    generation: u64,
    checkpoint: u32,
    nonce: [u8; NONCE],
}

fn fields(bytes: &[u8; LENGTH]) -> Fields {
    let mut at = MAGIC.len();
    // Every place lies within the array, whose length is the sum of all parts.
    let mut take = |length: usize| {
        at += length;
        &bytes[at - length..at]
    };
    let short = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u32::from_le_bytes);
    let long = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
    Fields {
        version: short(take(4)),
        program: long(take(8)),
        process: short(take(4)),
        processes: short(take(4)),
        workers: short(take(4)),
        timeout: short(take(4)),
        cluster: long(take(8)),
        known: take(1)[0],
        generation: long(take(8)),
        checkpoint: short(take(4)),
        nonce: take(NONCE).first_chunk().copied().unwrap_or([0; NONCE]),
    }
}

/// Why two processes do not belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Another number of processes, or of workers of each.
    Shape { process: u32, own: (u32, u32), other: (u32, u32) },
    /// Another version, or another kind of machine.
    Program { process: u32 },
    /// Another job.
    Job { process: u32 },
    /// The peer was left over by a generation that has ended. Own generation first.
    Older { process: u32, generations: (u64, u64) },
    /// This process was left over.
    Newer { process: u32, generations: (u64, u64) },
    /// Another checkpoint in one generation.
    Checkpoint { process: u32 },
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Shape { process, own, other } => write!(
                formatter,
                "process {process} runs {} x {} workers, this one {} x {}; start all with the same host file and -w",
                other.0, other.1, own.0, own.1
            ),
            Misfit::Program { process } => write!(
                formatter,
                "process {process} is another version of tidewatch or made for another kind of machine; run the \
                 same program everywhere"
            ),
            Misfit::Job { process } => {
                write!(formatter, "process {process} runs another job; start all with the same config")
            }
            Misfit::Older { process, generations: (own, other) } => write!(
                formatter,
                "process {process} is of generation {other}, which has ended: generation {own} goes on; \
                 start that process again"
            ),
            Misfit::Newer { process, generations: (own, other) } => write!(
                formatter,
                "this process is of generation {own}, which has ended: process {process} is of generation \
                 {other}; start this process again"
            ),
            Misfit::Checkpoint { process } => write!(
                formatter,
                "process {process} goes on from another checkpoint; start all processes again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Greeting = Greeting {
        program: u64::MAX - 3,
        process: 1,
        processes: 2,
        workers: 3,
        timeout: u32::MAX - 2,
        cluster: u64::MAX - 4,
        known: Some(Agreed { generation: u64::MAX - 5, checkpoint: u32::MAX - 6 }),
        nonce: [7; NONCE],
    };

    fn misfit(peer: Greeting) -> String {
        OWN.misfit(&peer).map(|misfit| misfit.to_string()).unwrap_or_default()
    }

    fn known(generation: u64, checkpoint: u32) -> Option<Agreed> {
        Some(Agreed { generation, checkpoint })
    }

    #[test]
    fn a_greeting_reads_back_and_a_strangers_bytes_do_not() {
        assert_eq!(Prefix::of(&OWN.to_bytes()), Prefix::Ours);
        assert_eq!(Greeting::from_bytes(&OWN.to_bytes()), OWN);
        let unknown = Greeting { known: None, ..OWN };
        assert_eq!(Greeting::from_bytes(&unknown.to_bytes()), unknown);
        assert_eq!(Prefix::of(&[0; LENGTH]), Prefix::Stranger);
        let mut older = OWN.to_bytes();
        older[8] = 1;
        assert_eq!(Prefix::of(&older), Prefix::OtherVersion(1));
    }

    #[test]
    fn a_peer_of_another_job_shape_or_checkpoint_is_refused_with_words() {
        assert_eq!(misfit(OWN), "");
        assert!(misfit(Greeting { program: 9, ..OWN }).contains("same program"));
        assert!(misfit(Greeting { cluster: 9, ..OWN }).contains("same config"));
        assert!(misfit(Greeting { workers: 1, ..OWN }).contains("-w"));
        assert!(misfit(Greeting { processes: 3, ..OWN }).contains("host file"));
        assert!(misfit(Greeting { known: known(u64::MAX - 5, 1), ..OWN }).contains("checkpoint"));
    }

    #[test]
    fn a_peer_of_another_generation_is_refused_and_the_words_say_which_is_over() {
        assert!(misfit(Greeting { known: known(4, 1), ..OWN }).contains("start that process again"));
        assert!(misfit(Greeting { known: known(u64::MAX, 1), ..OWN }).contains("start this process again"));
        assert_eq!(misfit(Greeting { known: None, ..OWN }), "", "who does not know yet is told");
    }
}
