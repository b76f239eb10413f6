//! Who joins, on what they agree, and who is turned away.

use checkpoint::{SourceState, Stage};
use event::Watermark;

use super::*;
use crate::listing;
use crate::member::{Member, Members};

#[test]
fn processes_join_in_any_order_and_take_generation_and_checkpoint_from_process_0() {
    let processes = Process::all(3);
    let mut started: Vec<_> = processes.iter().rev().map(Process::start).collect();
    let mut joined: Vec<Joined> = started.drain(..).rev().map(joined).collect();
    assert!(joined.iter().all(|joined| Some(joined.agreed) == LEADER));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let (here, there) = (peer(&mut joined[one], other), peer(&mut joined[other], one));
        check_that_they_hear_each_other(&here, &there);
    }
    assert!(joined.iter().all(|joined| joined.sockets.iter().all(Option::is_none)), "one socket each");
}

#[test]
fn all_processes_hear_from_process_0_which_partitions_there_are_before_anything_else() {
    let processes = Process::all(3);
    let mut started: Vec<_> = processes.iter().map(Process::start).collect();
    let mut joined: Vec<Joined> = started.drain(..).map(joined).collect();
    let members = (0..5_000u32).map(|number| {
        let (id, start) = (format!("topic/{number}"), ingest::Position::stdin(7 * u64::from(number)));
        let info = ingest::PartitionInfo { id, number, series: number, start, parents: vec![number / 2] };
        let member = Member::new(0, info).unwrap();
        let state = SourceState {
            source: "events".to_owned(),
            partition: member.info.id.clone(),
            number,
            parents: vec![number / 2],
            position: vec![1, 2, 3],
            watermark: Watermark::NONE,
            stage: Stage::Awake,
            index: Vec::new(),
        };
        (number, (member, state))
    });
    let members: Members = members.collect();
    listing::tell(&members, &mut joined[0].sockets).unwrap();
    for (other, joined) in joined.iter_mut().enumerate().skip(1) {
        let heard = listing::hear(joined.sockets[0].as_mut().unwrap()).unwrap();
        assert_eq!(heard, members, "process {other}");
    }
    // What follows is all there.
    for (one, other) in [(0, 1), (0, 2)] {
        let (here, there) = (peer(&mut joined[one], other), peer(&mut joined[other], one));
        check_that_they_hear_each_other(&here, &there);
    }
}

#[test]
fn a_process_with_another_token_is_refused_with_words_and_the_right_one_still_joins() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    let first = first.token(folder.path(), "right").start();
    for intruder in [second.clone().token(folder.path(), "wrong"), second.clone()] {
        let error = intruder.join().map(|_| ()).unwrap_err();
        assert!(error.is_refusal() && error.to_string().contains("mesh.token"), "{error}");
    }
    let second = second.token(folder.path(), "right").start();
    check_that_they_hear_each_other(&peer(&mut joined(first), 1), &peer(&mut joined(second), 0));
}

#[test]
fn a_process_of_another_job_or_shape_is_refused_with_words_and_the_right_one_still_joins() {
    let [first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    let first = first.start();
    let said = words(Process { job: JOB + 1, ..second.clone() }.join());
    assert!(said.contains("same config"), "{said}");
    let said = words(Process { workers: 2, ..second.clone() }.join());
    assert!(said.contains("-w"), "{said}");
    joined(second.start());
    joined(first);
}

#[test]
fn who_waits_in_vain_says_for_whom_and_who_was_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    first.patience = Duration::from_millis(500);
    let first = first.token(folder.path(), "right").start();
    words(second.clone().join());
    let said = words(first.join().unwrap());
    assert!(said.contains(&format!("process 1 at {}", second.hosts[1])), "{said}");
    assert!(said.contains("1 connections were turned away") && said.contains("mesh.token"), "{said}");
}

#[test]
fn a_process_of_an_older_generation_ends_and_the_newer_ones_join_without_it() {
    let [first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    let first = first.start();
    let older = Process { known: Some(Agreed { generation: 6, checkpoint: 3 }), ..second.clone() };
    let error = older.join().map(|_| ()).unwrap_err();
    assert!(
        matches!(error, RunError::Lost(_)) && error.to_string().contains("generation 6, which has ended")
    );
    joined(second.start());
    joined(first);
}

#[test]
fn a_process_that_meets_a_newer_generation_ends_and_the_newer_one_waits_for_its_successor() {
    let [first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    let older = first.start();
    let newer = Some(Agreed { generation: 8, checkpoint: 5 });
    let asked = Instant::now();
    let second = Process { known: newer, ..second }.start();
    let error = older.join().unwrap().map(|_| ()).unwrap_err();
    assert!(
        matches!(error, RunError::Lost(_)) && error.to_string().contains("generation 7, which has ended")
    );
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    let first = Process { known: newer, ..first }.start();
    assert_eq!(Some(joined(second).agreed), newer);
    joined(first);
}

#[test]
fn a_place_is_given_once() {
    let [first, second, _]: [Process; 3] =
        Process::all(3).try_into().unwrap_or_else(|_| panic!("another number"));
    let first = Process { patience: SOON, ..first }.start();
    let here = second.start();
    thread::sleep(Duration::from_millis(200));
    // The place of its listener is taken too: it listens elsewhere and only says that it is process 1.
    let mut twin = Process { patience: Duration::from_millis(300), ..second };
    twin.hosts[1] = hosts(1).remove(0);
    let said = words(twin.join());
    assert!(said.contains("process 1 already"), "{said}");
    assert!(words(first.join().unwrap()).contains("process 2"));
    drop(here);
}

#[test]
fn a_process_that_leaves_while_others_are_awaited_is_not_awaited_in_vain() {
    let [first, second, _]: [Process; 3] =
        Process::all(3).try_into().unwrap_or_else(|_| panic!("another number"));
    let asked = Instant::now();
    let first = first.start();
    words(Process { patience: Duration::from_millis(500), ..second }.join());
    let said = words(first.join().unwrap());
    assert!(said.contains("lost process 1"), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_job_that_is_told_to_stop_waits_for_nobody() {
    for process in Process::all(2) {
        let started = process.start();
        thread::sleep(Duration::from_millis(50));
        process.control.drain();
        let asked = Instant::now();
        assert!(matches!(started.join().unwrap(), Err(RunError::Stopped)));
        assert!(asked.elapsed() < SOON);
    }
}

/// Two processes of which the second waits for the first, and not for long.
fn one_that_waits() -> (Process, Process) {
    let [first, mut second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    second.patience = Duration::from_millis(300);
    (first, second)
}

#[test]
fn one_that_never_comes_is_an_error_unless_the_job_has_begun() {
    let (mut first, second) = one_that_waits();
    first.patience = second.patience;
    for process in [first, second] {
        let error = process.clone().join().map(|_| ()).unwrap_err();
        assert!(matches!(error, RunError::Mesh(_)), "{error:?}");
        let error = Process { begun: true, ..process }.join().map(|_| ()).unwrap_err();
        assert!(matches!(error, RunError::Lost(_)), "{error:?}");
    }
}

#[test]
fn one_that_was_there_before_and_does_not_come_back_is_gone_but_one_that_listens_is_not() {
    let (mut first, mut second) = one_that_waits();
    first.patience = second.patience;
    for process in [&mut first, &mut second] {
        process.spec.have_met = true;
        process.spec.rejoin_within = Duration::from_millis(1500);
        process.begun = true;
    }
    for (process, other) in [(first.clone(), second.clone()), (second, first)] {
        let asked = Instant::now();
        let error = process.clone().join().map(|_| ()).unwrap_err();
        assert!(matches!(&error, RunError::Gone(words) if words.contains("is gone")), "{error:?}");
        assert!(asked.elapsed() >= process.spec.rejoin_within, "{:?}", asked.elapsed());
        // It listens, and answers nobody.
        let there = other.open();
        let mut mesh = process.open();
        mesh.meeting.deadline = Duration::from_millis(100);
        let joined = mesh.join(JOB, process.known, true, &process.outcome, &process.control);
        let error = joined.map(|_| ()).unwrap_err();
        assert!(matches!(error, RunError::Lost(_)), "{error:?}");
        drop(there);
    }
}

#[test]
fn one_that_is_not_ready_lets_everybody_in_and_meets_those_who_are_still_there() {
    let [first, second]: [Process; 2] =
        Process::all(2).try_into().unwrap_or_else(|_| panic!("another number"));
    let not_ready = first.open();
    let address = first.hosts[0].parse().unwrap();
    // More than a system keeps for somebody who takes none of them in.
    for number in 0..400 {
        TcpStream::connect_timeout(&address, SOON / 3).unwrap_or_else(|error| panic!("{number}: {error}"));
        thread::sleep(Duration::from_millis(2));
    }
    let second = second.start();
    thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    let first = thread::spawn(move || not_ready.join(JOB, LEADER, false, &first.outcome, &first.control));
    check_that_they_hear_each_other(&peer(&mut joined(first), 1), &peer(&mut joined(second), 0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn who_only_looks_whether_somebody_is_there_is_not_turned_away() {
    let (mut first, _) = one_that_waits();
    first.patience = Duration::from_millis(500);
    let mesh = first.open();
    let host = first.hosts[0].clone();
    // Some before it is ready, and some after.
    (0..3).for_each(|_| drop(visit(&host)));
    let started = thread::spawn(move || mesh.join(JOB, LEADER, false, &first.outcome, &first.control));
    thread::sleep(Duration::from_millis(100));
    (0..3).for_each(|_| drop(visit(&host)));
    let said = words(outcome_of(started));
    assert!(said.contains("did not connect") && !said.contains("turned away"), "{said}");
}

#[test]
fn one_that_listens_and_is_not_ready_may_come_later() {
    let (mut first, second) = one_that_waits();
    // It listens from its start, but answers nobody while it waits, as for a database.
    let not_ready = first.open();
    let mut mesh = second.open();
    mesh.meeting.deadline = Duration::from_millis(100);
    let error = mesh.join(JOB, None, false, &second.outcome, &second.control).map(|_| ()).unwrap_err();
    assert!(matches!(&error, RunError::Lost(words) if words.contains("did not say who it is")), "{error:?}");
    drop(not_ready);
    // And so does one with a higher number, which is the one that connects.
    first.patience = second.patience;
    let not_ready = second.open();
    let error = first.join().map(|_| ()).unwrap_err();
    assert!(matches!(&error, RunError::Lost(words) if words.contains("process 1 at")), "{error:?}");
    drop(not_ready);
}

#[test]
fn somebody_else_who_listens_at_the_place_of_a_process_is_an_error() {
    let (first, second) = one_that_waits();
    let other = TcpListener::bind(&first.hosts[0]).unwrap();
    let answers = thread::spawn(move || {
        while let Ok((mut socket, _)) = other.accept() {
            let mut heard = [0; 12];
            if socket.read_exact(&mut heard).is_err()
                || socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err()
            {
                return;
            }
        }
    });
    let error = second.join().map(|_| ()).unwrap_err();
    assert!(matches!(&error, RunError::Mesh(words) if words.contains("tidewatch process")), "{error:?}");
    drop(answers);
}
