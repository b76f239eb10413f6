//! Blobs on a real S3 server: created once, whole, by name; and what happens when it is away.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use checkpoint::{Bucket, Disk, Keys, S3Disk};
use testkit::s3::{BUCKET, KEYS, Server, server, server_alone};

fn bucket(address: &str, prefix: &str) -> Bucket {
    let bucket = Bucket::parse(&format!("s3://{BUCKET}/{prefix}")).expect("s3").expect("an address");
    Bucket {
        endpoint: Some(address.to_owned()),
        keys: Some(Keys { access: KEYS.0.into(), secret: KEYS.1.into() }),
        ..bucket
    }
}

fn disk(server: &Server, prefix: &str) -> S3Disk {
    S3Disk::open(&bucket(server.address(), prefix)).expect("a disk")
}

fn kind<T: std::fmt::Debug>(result: std::io::Result<T>) -> ErrorKind {
    result.expect_err("a failure").kind()
}

#[test]
fn of_sixteen_that_commit_the_same_name_at_once_one_wins_and_its_bytes_stay() {
    let Some(server) = server() else { return };
    for round in 0..5 {
        let barrier = Barrier::new(16);
        let results: Vec<bool> = thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|racer| {
                    let (server, barrier) = (&server, &barrier);
                    scope.spawn(move || {
                        // Each has a client of its own, as each process has.
                        let disk = disk(server, "race");
                        barrier.wait();
                        let bytes = Bytes::from(format!("racer {racer}"));
                        match disk.commit(&format!("checkpoints/{round}"), bytes) {
                            Ok(()) => true,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
                                false
                            }
                        }
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..16).filter(|racer| results[*racer]).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let found = disk(&server, "race").read(&format!("checkpoints/{round}"), None).unwrap();
        assert_eq!(found, format!("racer {}", winners[0]));
    }
}

#[test]
fn blobs_are_read_whole_or_in_part_listed_by_folder_and_removed_without_complaint() {
    let Some(server) = server() else { return };
    let (disk, other) = (disk(&server, "plain/a"), disk(&server, "plain"));
    disk.write("segments/one", &[Bytes::from("01234"), Bytes::new(), Bytes::from("56789")]).unwrap();
    disk.write("segments/two", &[]).unwrap();
    disk.commit("checkpoints/0000000001", Bytes::from("manifest")).unwrap();
    let listed = |disk: &S3Disk, folder| {
        let mut names = disk.list(folder).unwrap();
        names.sort();
        names
    };
    assert_eq!(listed(&disk, "segments"), ["one", "two"]);
    assert_eq!(listed(&disk, "checkpoints"), ["0000000001"]);
    assert_eq!(listed(&other, "segments"), Vec::<String>::new(), "another prefix is another place");
    assert_eq!(disk.read("segments/one", None).unwrap(), "0123456789");
    assert_eq!(disk.read("segments/one", Some((3, 4))).unwrap(), "3456");
    assert_eq!(disk.read("segments/one", Some((9, 1))).unwrap(), "9");
    assert_eq!((disk.length("segments/one").unwrap(), disk.length("segments/two").unwrap()), (10, 0));
    for range in [(9, 2), (10, 1), (11, 1), (u64::MAX, 1)] {
        assert_eq!(kind(disk.read("segments/one", Some(range))), ErrorKind::UnexpectedEof, "{range:?}");
    }
    for _ in 0..2 {
        disk.remove("segments/one").unwrap();
        disk.remove("segments/never").unwrap();
    }
    // What this disk has read ahead may outlive the object; another one sees it gone.
    let disk = self::disk(&server, "plain/a");
    assert_eq!(kind(disk.read("segments/one", None)), ErrorKind::NotFound);
    assert_eq!(kind(disk.read("segments/one", Some((0, 1)))), ErrorKind::NotFound);
    assert_eq!(kind(disk.length("segments/one")), ErrorKind::NotFound);
    assert_eq!(disk.place("segments/one").display().to_string(), "s3://tidewatch/plain/a/segments/one");
}

#[test]
fn an_object_of_many_parts_is_whole_and_of_one_name() {
    let Some(server) = server() else { return };
    let disk = disk(&server, "large");
    // Parts of other lengths than the pieces.
    let pieces: Vec<Bytes> = (0..37u8).map(|piece| Bytes::from(vec![piece; 1_000_003])).collect();
    disk.write("segments/large", &pieces).unwrap();
    assert_eq!(disk.length("segments/large").unwrap(), 37 * 1_000_003);
    assert!(disk.read("segments/large", None).unwrap() == pieces.concat());
    assert_eq!(disk.read("segments/large", Some((36 * 1_000_003 - 1, 2))).unwrap(), [35, 36][..]);
    assert_eq!(disk.list("segments").unwrap(), ["large"]);
}

#[test]
fn a_server_that_is_away_for_a_while_is_waited_for_and_not_longer_than_was_said() {
    let Some(server) = server_alone() else { return };
    let disk = disk(&server, "away");
    disk.commit("checkpoints/1", Bytes::from("one")).unwrap();
    server.pause();
    let short = Bucket { retry_for: Duration::from_millis(700), ..bucket(server.address(), "away") };
    let asked = Instant::now();
    let error = S3Disk::open(&short).unwrap().list("checkpoints").unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}: {error}", asked.elapsed());
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            disk.write("segments/a", &[Bytes::from("a")])?;
            disk.commit("checkpoints/2", Bytes::from("two"))
        });
        thread::sleep(Duration::from_millis(1500));
        assert!(!waits.is_finished());
        server.resume();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(disk.read("checkpoints/2", None).unwrap(), "two");
    assert_eq!(kind(disk.commit("checkpoints/2", Bytes::from("two"))), ErrorKind::AlreadyExists);
}

#[test]
fn what_a_server_refuses_is_said_at_once_and_without_secrets() {
    let Some(server) = server() else { return };
    let good = bucket(server.address(), "refused");
    let wrong = Some(Keys { access: KEYS.0.into(), secret: "hunter2".into() });
    let stranger = server.is_full().then(|| Bucket { keys: wrong, ..good.clone() });
    for bad in stranger.into_iter().chain([Bucket { name: "no-such-bucket".into(), ..good }]) {
        let asked = Instant::now();
        let disk = S3Disk::open(&bad).unwrap();
        let error = disk.write("segments/a", &[Bytes::from("a")]).unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}: {error}", asked.elapsed());
        let words = format!("{error} {error:?} {disk:?} {bad:?}");
        assert!(words.contains("no-such-bucket") || error.kind() == ErrorKind::PermissionDenied, "{words}");
        assert!(!words.contains("hunter2") && !words.contains(KEYS.1), "{words}");
    }
}

/// Hands requests on to a server and answers back, but for the first `lost` answers to a put.
fn forgetful(server: &Server, lost: usize) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let upstream = server.address().trim_start_matches("http://").to_owned();
    let left = Arc::new(AtomicUsize::new(lost));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (upstream, left) = (TcpStream::connect(&upstream).expect("the server"), Arc::clone(&left));
            thread::spawn(move || relay(client, upstream, &left));
        }
    });
    address
}

fn relay(client: TcpStream, upstream: TcpStream, left: &AtomicUsize) {
    let (mut requests, mut onward) =
        (client.try_clone().expect("a socket"), upstream.try_clone().expect("a socket"));
    let is_put = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&is_put);
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = requests.read(&mut buffer) {
            if buffer[..read].starts_with(b"PUT") {
                seen.store(1, Ordering::SeqCst);
            } else if buffer[..read].starts_with(b"GET") {
                seen.store(0, Ordering::SeqCst);
            }
            if onward.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = onward.shutdown(Shutdown::Write);
    });
    let (mut answers, mut back) = (upstream, client);
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = answers.read(&mut buffer) {
        let forgets = is_put.load(Ordering::SeqCst) == 1
            && left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if forgets || back.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = back.shutdown(Shutdown::Both);
}

#[test]
fn a_commit_whose_answer_was_lost_is_known_again_and_that_of_another_is_not() {
    let Some(server) = server() else { return };
    let direct = disk(&server, "lost");
    let through = |lost| S3Disk::open(&bucket(&forgetful(&server, lost), "lost")).unwrap();
    // The server has carried it out; the client asks again, and finds it taken: by itself.
    through(1).commit("checkpoints/1", Bytes::from("ours")).unwrap();
    through(3).commit("checkpoints/2", Bytes::from("ours")).unwrap();
    assert_eq!(direct.read("checkpoints/1", None).unwrap(), "ours");
    // A zombie whose request is lost finds what the newer generation has committed.
    direct.commit("checkpoints/3", Bytes::from("newer")).unwrap();
    let zombie = through(1).commit("checkpoints/3", Bytes::from("older"));
    assert_eq!(kind(zombie), ErrorKind::AlreadyExists);
    // The same bytes are no proof where nothing was asked twice.
    assert_eq!(kind(through(0).commit("checkpoints/3", Bytes::from("newer"))), ErrorKind::AlreadyExists);
    assert_eq!(direct.read("checkpoints/3", None).unwrap(), "newer");
}
