//! Processes that hang, and those that are only idle.

use super::*;
use std::net::Shutdown;

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::mesh::handshake;

const TIMEOUT: Duration = Duration::from_millis(600);

/// Process 0, and the bare socket of a process 1 that has joined and writes no heartbeats.
fn joined_with_a_mute() -> (Process, Joined, TcpStream) {
    let mut first = Process::all(2).remove(0);
    first.spec.timeout = TIMEOUT;
    let started = first.start();
    let mut socket = visit(&first.hosts[0]);
    handshake::connect(&mut socket, &greeting_of_process_1(), &handshake::key(b"")).unwrap();
    (first, joined(started), socket)
}

#[test]
fn a_peer_that_says_nothing_is_lost_within_the_bound_and_the_words_name_it() {
    let (process, mut joined, mute) = joined_with_a_mute();
    let asked = Instant::now();
    let mut lost = peer(&mut joined, 1);
    outcome_of(thread::spawn(move || lost.read(&mut [0]))).unwrap_err();
    assert!(asked.elapsed() >= TIMEOUT && asked.elapsed() < TIMEOUT + SOON, "{:?}", asked.elapsed());
    let said = process.outcome.take().unwrap().to_string();
    assert_eq!(said, format!("lost process 1 at {}: nothing heard for 0.6 s", process.hosts[1]));
    drop(mute);
}

#[test]
fn a_peer_that_has_nothing_to_say_is_not_lost_even_if_it_is_more_patient_itself() {
    let mut processes = Process::all(2);
    processes[0].spec.timeout = TIMEOUT;
    let started: Vec<_> = processes.iter().map(Process::start).collect();
    let mut joined: Vec<Joined> = started.into_iter().map(joined).collect();
    let (mut here, mut there) = (peer(&mut joined[0], 1), peer(&mut joined[1], 0));
    let reader = thread::spawn(move || {
        let mut byte = [0];
        here.read_exact(&mut byte).map(|()| byte[0])
    });
    thread::sleep(4 * TIMEOUT);
    there.write_all(&[9]).unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 9);
    assert!(!processes[0].outcome.has_failed());
}

#[test]
fn an_idle_peer_is_heard_within_half_of_the_bound() {
    let (_process, joined, mut mute) = joined_with_a_mute();
    mute.set_read_timeout(Some(SOON)).unwrap();
    let asked = Instant::now();
    let mut beats = [0; 12];
    mute.read_exact(&mut beats).unwrap();
    assert_eq!(beats, [0; 12], "three heartbeats and nothing else");
    assert!(asked.elapsed() < TIMEOUT + SOON);
    drop(joined);
}

#[test]
fn a_peer_that_died_is_named_and_one_that_has_ended_is_no_failure() {
    let (process, mut joined, mute) = joined_with_a_mute();
    let mut here = peer(&mut joined, 1);
    here.shutdown(Shutdown::Write).unwrap();
    mute.shutdown(Shutdown::Write).unwrap();
    assert_eq!(here.read(&mut [0]).unwrap(), 0, "a regular end");
    thread::sleep(TIMEOUT);
    assert!(!process.outcome.has_failed());

    let (process, mut joined, mute) = joined_with_a_mute();
    let mut here = peer(&mut joined, 1);
    drop(mute);
    while here.write(&[0; 1024]).is_ok() {}
    let said = process.outcome.take().unwrap().to_string();
    assert!(said.starts_with(&format!("lost process 1 at {}: ", process.hosts[1])), "{said}");
}
