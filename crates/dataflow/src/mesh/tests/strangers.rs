//! Bytes and silence of strangers.

use super::*;

use crate::mesh::accept::PENDING;
use crate::mesh::greeting::{LENGTH, MAGIC, VERSION};

/// What strangers may say.
fn nonsense() -> Vec<Vec<u8>> {
    let mut known = 88_172_645_463_325_252u64;
    let random = std::iter::repeat_with(|| {
        known ^= known << 13;
        known ^= known >> 7;
        known ^= known << 17;
        known as u8
    });
    let half = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 20]].concat();
    let other_version = [&MAGIC[..], &1u32.to_le_bytes(), &[0; 28]].concat();
    vec![
        random.take(100_000).collect(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3].to_vec(),
        vec![255; 4096],
        vec![0; LENGTH],
        half,
        other_version,
        MAGIC[..5].to_vec(),
    ]
}

/// Visits `host` with everything that strangers may say. The connections stay as long as what is returned.
fn disturb(host: &str) -> Vec<TcpStream> {
    nonsense()
        .iter()
        .map(|bytes| {
            let mut socket = visit(host);
            // It may be turned away while it still talks.
            let _ = socket.write_all(bytes);
            socket
        })
        .collect()
}

#[test]
fn strangers_and_200_silent_connections_do_not_make_a_peer_wait() {
    let processes = Process::all(2);
    let first = processes[0].start();
    let mut strangers = disturb(&processes[0].hosts[0]);
    strangers.extend((0..200).map(|_| visit(&processes[0].hosts[0])));
    assert!(strangers.len() > 3 * PENDING);
    let asked = Instant::now();
    let second = processes[1].start();
    check_that_they_hear_each_other(&peer(&mut joined(first), 1), &peer(&mut joined(second), 0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn a_stranger_is_let_go_at_its_deadline_however_slowly_it_talks() {
    let [first, _]: [Process; 2] = Process::all(2).try_into().unwrap_or_else(|_| panic!("two"));
    let host = first.hosts[0].clone();
    let mut mesh = first.open();
    mesh.meeting.deadline = Duration::from_millis(300);
    let control = Arc::clone(&first.control);
    let started = thread::spawn(move || mesh.join(JOB, LEADER, false, &first.outcome, &first.control));
    let mut socket = visit(&host);
    let asked = Instant::now();
    let slowly = |byte: &u8| {
        thread::sleep(Duration::from_millis(50));
        socket.write_all(&[*byte])
    };
    let talk = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; LENGTH]].concat();
    assert!(talk.iter().try_for_each(slowly).is_err(), "it was heard to its end");
    assert!(asked.elapsed() < SOON);
    control.drain();
    assert!(matches!(started.join().unwrap(), Err(RunError::Stopped)));
}

#[test]
fn a_recorded_greeting_and_proof_do_not_open_the_door_again() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second]: [Process; 2] = Process::all(2).try_into().unwrap_or_else(|_| panic!("two"));
    let (first, second) = (first.token(folder.path(), "a secret"), second.token(folder.path(), "a secret"));
    // Somebody listens where process 0 should, passes everything on, and keeps what process 1 says.
    let tap = TcpListener::bind(&first.hosts[0]).unwrap();
    let real = hosts(1).remove(0);
    let moved = Process { hosts: vec![real.clone(), second.hosts[1].clone()], ..first };
    let there = moved.start();
    let here = second.start();
    let (mut from, _) = tap.accept().unwrap();
    let mut to = visit(&real);
    let mut said = vec![0; LENGTH + 32];
    let mut answer = vec![0; LENGTH];
    from.read_exact(&mut said[..LENGTH]).unwrap();
    to.write_all(&said[..LENGTH]).unwrap();
    to.read_exact(&mut answer).unwrap();
    from.write_all(&answer).unwrap();
    from.read_exact(&mut said[LENGTH..]).unwrap();
    assert!(!said.windows(8).any(|bytes| bytes == b"a secret"), "the token was sent");
    // The replay: what was recorded, on a connection of one's own.
    let mut replay = visit(&real);
    replay.write_all(&said).unwrap();
    let mut verdict = vec![0; LENGTH + 1];
    replay.read_exact(&mut verdict).unwrap();
    assert_eq!(verdict[LENGTH], 1, "the verdict on the proof");
    to.write_all(&said[LENGTH..]).unwrap();
    to.read_exact(&mut verdict[..1]).unwrap();
    assert_eq!(verdict[0], 0, "the proof is good where it belongs");
    assert_eq!(Greeting::from_bytes(answer.first_chunk().unwrap()).known, LEADER);
    joined(there);
    drop((from, here));
}
