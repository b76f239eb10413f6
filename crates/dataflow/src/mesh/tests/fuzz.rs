//! Whatever comes instead of a greeting and its proof: it is never taken for one, and nobody waits for more.

use std::io::{self, Cursor};
use std::os::unix::net::UnixStream;

use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::mesh::Meeting;
use crate::mesh::greeting::LENGTH;
use crate::mesh::handshake::{self, Refusal};

/// The other end of a connection, all of whose words are known before.
struct Script {
    says: Cursor<Vec<u8>>,
    heard: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.says.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn script(says: Vec<u8>) -> Script {
    Script { says: Cursor::new(says), heard: Vec::new() }
}

fn token() -> hmac::Key {
    handshake::key(b"a secret")
}

fn greeting_of_process_0() -> Greeting {
    Greeting { process: 0, known: LEADER, nonce: [9; 32], ..greeting_of_process_1() }
}

/// Lets somebody who says `bytes` in at process 0. Also whether a place was given away.
fn accept(bytes: Vec<u8>) -> (Result<Greeting, Refusal>, bool) {
    let mut claimed = false;
    let result = handshake::accept(&mut script(bytes), &greeting_of_process_0(), &token(), |_| {
        claimed = true;
        true
    });
    (result, claimed)
}

/// Has process 1 meet somebody who answers with `bytes`.
fn connect(bytes: Vec<u8>) -> Result<Greeting, Refusal> {
    handshake::connect(&mut script(bytes), &greeting_of_process_1(), &token())
}

/// Keeps what is read from a stream.
struct Tap<'a>(UnixStream, &'a mut Vec<u8>);

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.extend(&buffer[..read]);
        Ok(read)
    }
}

impl Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What process 1 says to process 0, and what process 0 answers. With the same nonces it is the same again.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut answered) = (Vec::new(), Vec::new());
    let (here, there) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let accepts = scope.spawn(|| {
            let mut tap = Tap(there, &mut said);
            handshake::accept(&mut tap, &greeting_of_process_0(), &token(), |_| true).unwrap()
        });
        let mut tap = Tap(here, &mut answered);
        assert_eq!(
            handshake::connect(&mut tap, &greeting_of_process_1(), &token()).unwrap(),
            greeting_of_process_0()
        );
        assert_eq!(accepts.join().unwrap(), greeting_of_process_1());
    });
    (said, answered)
}

/// Bytes that are not those of a conversation, however near they come.
fn spoil(whole: &[u8], cut: usize, flips: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = whole[..cut.min(whole.len())].to_vec();
    for (at, bit) in flips {
        if let Some(byte) = bytes.get_mut(*at) {
            *byte ^= 1 << bit;
        }
    }
    bytes
}

fn flips() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((0..LENGTH + 33, 0..8u8), 0..4)
}

#[test]
fn what_two_processes_say_to_one_another_is_accepted_as_it_is() {
    let (said, answered) = conversation();
    assert_eq!((said.len(), answered.len()), (LENGTH + 32, LENGTH + 33));
    assert!(matches!(accept(said), (Ok(peer), true) if peer == greeting_of_process_1()));
    assert_eq!(connect(answered).unwrap(), greeting_of_process_0());
}

#[test]
fn each_bit_of_a_conversation_matters() {
    let (said, answered) = conversation();
    for at in 0..answered.len() {
        for bit in 0..8 {
            let (result, claimed) = accept(spoil(&said, usize::MAX, &[(at, bit)]));
            assert_eq!(
                (result.is_err(), claimed),
                (at < said.len(), at >= said.len()),
                "byte {at}, bit {bit}"
            );
            assert!(connect(spoil(&answered, usize::MAX, &[(at, bit)])).is_err(), "byte {at}, bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn a_conversation_that_is_cut_or_changed_opens_no_door(cut in 0..LENGTH + 40, flips in flips()) {
        let (said, answered) = conversation();
        let bytes = spoil(&said, cut, &flips);
        if bytes != said {
            let (result, claimed) = accept(bytes);
            prop_assert!(result.is_err() && !claimed);
        }
        let bytes = spoil(&answered, cut, &flips);
        if bytes != answered {
            prop_assert!(connect(bytes).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_open_no_door(
        bytes in proptest::collection::vec(any::<u8>(), 0..2 * LENGTH),
        known in 0..=LENGTH,
    ) {
        // Nonsense from its first byte on, and nonsense that begins like a greeting.
        let (said, answered) = conversation();
        for whole in [&said, &answered] {
            let bytes = [&whole[..known], &bytes].concat();
            if !bytes.starts_with(&said) {
                let (result, claimed) = accept(bytes.clone());
                prop_assert!(result.is_err() && !claimed);
            }
            if !bytes.starts_with(&answered) {
                prop_assert!(connect(bytes).is_err());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nobody_is_waited_for_beyond_the_deadline(
        talk in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), 0..60u64), 0..20),
        known in 0..=LENGTH,
    ) {
        let deadline = Duration::from_millis(100);
        let meeting = Meeting { key: token(), tls: None, loopback_only: true, deadline };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stranger = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let met = thread::spawn(move || {
            let asked = Instant::now();
            let is_refused = meeting.accept(socket, &greeting_of_process_0(), |_| true).is_err();
            (is_refused, asked.elapsed())
        });
        let (said, _) = conversation();
        // It may be turned away while it still talks.
        let _ = stranger.write_all(&said[..known]);
        for (bytes, pause) in talk {
            thread::sleep(Duration::from_millis(pause));
            if stranger.write_all(&bytes).is_err() {
                break;
            }
        }
        let (is_refused, waited) = outcome_of(met);
        prop_assert!(is_refused && waited < deadline + SOON / 2, "{waited:?}");
    }
}
