//! Two processes meet: greetings, and the proof that both know the token.
//!
//! The one that connects says its greeting; the one that accepts answers with its own. Each then proves that it
//! knows the token by a keyed hash (HMAC-SHA256) over its part and both greetings, which hold a nonce of
//! each side: the token itself is never sent, and no proof fits a second time or for the other part. The
//! connecting one proves first, so that the other tells a stranger nothing that depends on the token.
//! Without a token the key is empty.

use std::io;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::Duplex;
use super::greeting::{Greeting, LENGTH, Misfit, PREFIX, Prefix, VERSION};
use super::tls::is_certificate;

const PROOF: usize = 32;
const CONNECTS: &[u8] = b"tidewatch mesh: the one that connects";
const ACCEPTS: &[u8] = b"tidewatch mesh: the one that accepts";

/// Why a connection did not become a peer's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Broken(io::Error),
    #[error("it did not say who it is in time")]
    Silent,
    #[error("the certificates do not fit: {0}")]
    Certificate(io::Error),
    #[error("it hung up; is it a tidewatch process, and has either both or none of the two `mesh.tls`?")]
    HungUp,
    #[error("it left without a word")]
    Wordless,
    #[error("it is no tidewatch process, or only one of the two has `mesh.tls`")]
    Stranger,
    #[error(
        "it speaks version {0} of the mesh, this process version {VERSION}; run one tidewatch everywhere"
    )]
    Version(u32),
    #[error("it has another `mesh.token`")]
    Token,
    #[error("it has met a process {0} already; is one started twice?")]
    Taken(u32),
    #[error("{0}")]
    Misfit(Misfit),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            _ if is_certificate(&error) => Refusal::Certificate(error),
            io::ErrorKind::TimedOut => Refusal::Silent,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Refusal::HungUp
            }
            _ => Refusal::Broken(error),
        }
    }
}

/// What the accepting side answers to a proof.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Welcome = 0,
    Token = 1,
    Taken = 2,
}

/// The key that the token makes.
pub(super) fn key(token: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token)
}

/// A nonce that nobody can foresee.
pub(super) fn nonce() -> io::Result<[u8; 32]> {
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(nonce)
}

/// Meets the process that was connected to; gives its greeting, proven.
pub(super) fn connect(stream: &mut dyn Duplex, own: &Greeting, key: &hmac::Key) -> Result<Greeting, Refusal> {
    let said = own.to_bytes();
    stream.write_all(&said)?;
    stream.flush()?;
    let heard = hear(stream)?;
    version_of(&heard)?;
    let proof = hmac::sign(key, &transcript(CONNECTS, &said, &heard, &[]));
    stream.write_all(proof.as_ref())?;
    stream.flush()?;
    let mut answer = [0; 1 + PROOF];
    stream.read_exact(&mut answer)?;
    let (verdict, proof) = (answer[0], &answer[1..]);
    hmac::verify(key, &transcript(ACCEPTS, &said, &heard, &[verdict]), proof).map_err(|_| Refusal::Token)?;
    let peer = Greeting::from_bytes(&heard);
    match own.misfit(&peer) {
        Some(misfit) => Err(Refusal::Misfit(misfit)),
        None if verdict == Verdict::Taken as u8 => Err(Refusal::Taken(own.process)),
        None if verdict == Verdict::Welcome as u8 => Ok(peer),
        None => Err(Refusal::Stranger),
    }
}

/// Meets a process that has connected; gives its greeting, proven. `claim` says whether its place is free.
pub(super) fn accept(
    stream: &mut dyn Duplex,
    own: &Greeting,
    key: &hmac::Key,
    claim: impl FnOnce(&Greeting) -> bool,
) -> Result<Greeting, Refusal> {
    let heard = hear(stream)?;
    // One of another version learns from it why it is turned away.
    let said = own.to_bytes();
    stream.write_all(&said)?;
    stream.flush()?;
    version_of(&heard)?;
    let mut proof = [0; PROOF];
    stream.read_exact(&mut proof)?;
    let peer = Greeting::from_bytes(&heard);
    let proven = hmac::verify(key, &transcript(CONNECTS, &heard, &said, &[]), &proof);
    let (verdict, result) = match (proven, own.misfit(&peer)) {
        (Err(_), _) => (Verdict::Token, Err(Refusal::Token)),
        (Ok(()), Some(misfit)) => (Verdict::Taken, Err(Refusal::Misfit(misfit))),
        (Ok(()), None) if claim(&peer) => (Verdict::Welcome, Ok(peer)),
        (Ok(()), None) => (Verdict::Taken, Err(Refusal::Taken(peer.process))),
    };
    let mut answer = vec![verdict as u8];
    answer.extend(hmac::sign(key, &transcript(ACCEPTS, &heard, &said, &answer)).as_ref());
    stream.write_all(&answer)?;
    stream.flush()?;
    result
}

/// Reads a greeting, no further than its prefix if a stranger sent it.
fn hear(stream: &mut dyn Duplex) -> Result<[u8; LENGTH], Refusal> {
    let mut heard = [0; LENGTH];
    stream.read_exact(&mut heard[..PREFIX])?;
    if Prefix::of(&heard) == Prefix::Stranger {
        return Err(Refusal::Stranger);
    }
    if Prefix::of(&heard) == Prefix::Ours {
        stream.read_exact(&mut heard[PREFIX..])?;
    }
    Ok(heard)
}

fn version_of(heard: &[u8; LENGTH]) -> Result<(), Refusal> {
    match Prefix::of(heard) {
        Prefix::Ours => Ok(()),
        Prefix::OtherVersion(version) => Err(Refusal::Version(version)),
        Prefix::Stranger => Err(Refusal::Stranger),
    }
}

/// What a proof is made of: the greeting of the one that connects comes first.
fn transcript(part: &[u8], connects: &[u8], accepts: &[u8], verdict: &[u8]) -> Vec<u8> {
    [part, connects, accepts, verdict].concat()
}
