//! The partitions of a job without a state: the first process lists them and tells the others, over the connections
//! that are to be timely's.
//!
//! With a state the checkpoint that fences it says which there are. Without one each process would find out for
//! itself, and a topic, a stream or a folder that grows at that moment would be another one to each: a partition that
//! one reads the others would not know, and lanes of a file that has become longer would end at different places.

use std::io::{self, Read, Write};

use checkpoint::{Kind, decode, encode};

use crate::job::RunError;
use crate::member::Members;
use crate::mesh::Peer;

/// Bytes that a list may have: some millions of partitions.
const BYTES_MAX: u64 = 1 << 30;

/// Tells the other processes which partitions there are.
///
/// # Errors
/// If one of them is lost.
pub(crate) fn tell(members: &Members, peers: &mut [Option<Peer>]) -> Result<(), RunError> {
    let words = encode(Kind::Members, members).map_err(|error| RunError::Snapshot(error.to_string()))?;
    let length = (words.len() as u64).to_le_bytes();
    for peer in peers.iter_mut().flatten() {
        write_all(peer, &length).and_then(|()| write_all(peer, &words)).map_err(|error| lost(&error))?;
    }
    Ok(())
}

/// What the first process says which partitions there are.
///
/// # Errors
/// If it is lost, or what it says makes no sense.
pub(crate) fn hear(first: &mut Peer) -> Result<Members, RunError> {
    let mut length = [0; 8];
    first.read_exact(&mut length).map_err(|error| lost(&error))?;
    let length = u64::from_le_bytes(length);
    if length > BYTES_MAX {
        return Err(RunError::Mesh(format!("process 0 says that its list of partitions has {length} bytes")));
    }
    let mut words = Vec::new();
    first.take(length).read_to_end(&mut words).map_err(|error| lost(&error))?;
    decode(Kind::Members, &words).map_err(|error| RunError::Mesh(format!("process 0's partitions: {error}")))
}

/// Writes all of it: a connection may take a part.
fn write_all(peer: &mut Peer, bytes: &[u8]) -> io::Result<()> {
    peer.write_all(bytes)?;
    peer.flush()
}

fn lost(error: &io::Error) -> RunError {
    RunError::Lost(format!("say which partitions there are: {error}"))
}
