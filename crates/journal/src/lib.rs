//! A journal: lines appended to files on a local disk, durable before they are acknowledged, read in order,
//! trimmed at the front.
//!
//! Lies under the source that takes events in over HTTP; knows nothing of HTTP, JSON or jobs. Whoever appends
//! is answered once the lines are on the disk: all that wait share one fsync. What is read was durable before,
//! so what a reader has once given is there after any crash. The end that a crash has torn is cut off at the next
//! start; anything else that is wrong with a file is an error, never a gap.
//!
//! A line may have an id. One whose id is among those of the last so many lines is a duplicate: it is
//! acknowledged and not appended. That memory is as durable as the lines, and outlives their trimming.
//!
//! What is made durable together has a time, which never descends however the clock jumps: a journal says from which line on
//! it holds what came at a time or later.
//!
//! An fsync that fails ends the journal: what the disk holds is unknown then, and asking again would be told
//! that all is well. The next start reads what is there.
//!
//! ```
//! use journal::{Journal, Lines, Spec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("journal-doc-{}", std::process::id()));
//! let spec = Spec { dir: folder.clone(), bytes_max: 64 << 20, ids_max: 1000 };
//! let journal = Journal::open(&spec)?;
//! let mut reader = journal.read_from(journal.first())?;
//!
//! let mut lines = Lines::default();
//! lines.push(b"{\"n\":1}", Some(1));
//! lines.push(b"{\"n\":1}", Some(1));
//! let (sender, answers) = std::sync::mpsc::channel();
//! journal.appender().append(lines, move |answer| sender.send(answer).unwrap_or_default());
//! let answer = answers.recv()?.map_err(|refused| refused.to_string())?;
//! assert_eq!((answer.appended, answer.duplicates), (1, 1));
//! assert_eq!(reader.read(1 << 20)?.map(|chunk| chunk.bytes), Some(b"{\"n\":1}\n".to_vec()));
//! # drop((journal, reader));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```

mod clock;
mod commit;
mod disk;
mod error;
mod format;
mod journal;
mod lines;
mod look;
mod reader;
mod recent;
mod recovery;
mod times;

pub use clock::Clock;
pub use commit::Appended;
pub use error::{JournalError, Refused};
pub use journal::{Appender, Journal, Spec, Waker};
pub use lines::Lines;
pub use look::Look;
pub use reader::{Chunk, Reader};
pub use recovery::Cut;
