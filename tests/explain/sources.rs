//! Alerts of jobs that read other sources than files, and one whose alerts are in a table of PostgreSQL: their events are read again
//! from there.

use testkit::process::Invocation;

use super::*;

/// Enough for some alerts, and few enough for servers that stand in for others.
const LINES: u64 = 20_000;

/// A job with another source, its outputs in a folder of that name.
fn job_of(world: &World, name: &str, source: &str) -> Job {
    let config = CONFIG.replace("path = \"set by the test\"\n\n[event]", &format!("{source}\n\n[event]"));
    let path = world.folder.path().join(name).with_extension("toml");
    std::fs::write(&path, config).expect("write");
    Job::new(PROGRAM, path, world.folder.path().join(name)).with_alerts().with_state()
}

/// Has alerts of a job that read all lines as one partition explained. Where in it an event lies is the source's matter.
fn check_some(world: &World, job: &Job, known: impl Fn(Invocation) -> Invocation) {
    check_members(world, job, known, &["user", "ts", "kind", "seconds", "note"]);
}

/// The same where records have these members alone.
fn check_members(world: &World, job: &Job, known: impl Fn(Invocation) -> Invocation, members: &[&str]) {
    let parsed = |text: &str| -> Value {
        let event: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
        members.iter().map(|name| ((*name).to_owned(), event[name].clone())).collect()
    };
    let oracle = world.oracle_of_one(Path::new("one"));
    for alert in some(&alerts(job)) {
        let asked = job.about(&["explain", id(alert), "--format", "json"]);
        let said: Value = serde_json::from_slice(&known(asked).run().expect_code(0).stdout).expect("JSON");
        let key = alert["data"]["key"].as_str().expect("a key").to_owned();
        let expected = &oracle[&(key, millis(&alert["data"]["window"]["start"]))];
        let mut expected: Vec<(i64, bool, Value)> =
            expected.iter().map(|event| (event.ts, event.held, parsed(&event.text))).collect();
        let shown = said["events"]["shown"].as_array().expect("events").iter();
        let mut shown: Vec<(i64, bool, Value)> = shown
            .map(|event| {
                let held = event["held"].as_bool().expect("nothing is in doubt");
                (millis(&event["time"]), held, parsed(event["record"].as_str().expect("a record")))
            })
            .collect();
        for events in [&mut expected, &mut shown] {
            events.sort_by_key(|(ts, _, event)| (*ts, event.to_string()));
        }
        assert_eq!(shown, expected, "{said}");
        assert_eq!(said["recomputed"]["equal"], true, "{said}");
    }
}

#[cfg(feature = "kinesis")]
#[test]
fn records_of_a_stream_of_kinesis_are_read_again() {
    use testkit::kinesis::{Entry, servers, with_credentials};

    let Some(servers) = servers() else { return };
    let (kinesis, world) = (servers.kinesalite(), World::of(LINES));
    kinesis.create("explained", 1);
    let lines = world.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entries: Vec<Entry> = lines.map(|line| Entry { hash_key: 0, data: line.to_vec() }).collect();
    kinesis.put("explained", &entries);
    let source = format!(
        "type = \"kinesis\"\nstream = \"explained\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\nend = \"latest\"\n\
         poll_every = \"20ms\"",
        kinesis.address()
    );
    let job = job_of(&world, "kinesis", &source);
    with_credentials(job.invocation()).run().expect_code(0);
    check_some(&world, &job, with_credentials);
}

#[cfg(feature = "http")]
#[test]
fn events_that_were_posted_are_read_again_from_the_journal() {
    use testkit::http::{Client, connect, free_address};

    let (world, address) = (World::of(LINES), free_address());
    let journal = world.folder.path().join("journal");
    let source = format!("type = \"http\"\nlisten = \"{address}\"\ndir = \"{}\"", journal.display());
    let job = job_of(&world, "http", &source);
    let running = job.invocation().start();
    eventually("a server", Duration::from_secs(60), || connect(address).ok());
    let mut client = Client::new(address);
    let lines: Vec<&[u8]> = world.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for lines in lines.chunks(1_000) {
        let headers = [("content-type", "application/x-ndjson")];
        let answer = client.post("/v1/events", &headers, &lines.concat()).expect("an answer");
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    running.kill();
    job.clone().set("source.events.end", "latest").run();
    check_some(&world, &job, |asked| asked);
}

#[cfg(feature = "s3")]
#[test]
fn objects_of_a_bucket_are_read_again() {
    use checkpoint::{Bucket, Disk, Keys, S3Disk};
    use testkit::s3::{BUCKET, KEYS, server};

    let Some(server) = server() else { return };
    let world = World::of(LINES);
    let bucket = Bucket::parse(&format!("s3://{BUCKET}/explained")).expect("s3").expect("an address");
    let keys = Some(Keys { access: KEYS.0.into(), secret: KEYS.1.into() });
    let bucket = Bucket { endpoint: Some(server.address().to_owned()), keys, ..bucket };
    let objects = S3Disk::open(&bucket).expect("a disk");
    objects.write("events.ndjson", &[world.bytes.clone().into()]).expect("put");
    let job = job_of(&world, "objects", &format!("path = \"s3://{BUCKET}/explained/events.ndjson\""));
    server.known_to(job.invocation()).run().expect_code(0);
    check_some(&world, &job, |asked| server.known_to(asked));
}

#[cfg(feature = "archive")]
#[test]
fn records_of_an_archive_are_read_again_at_the_places_that_they_had() {
    let world = World::of(LINES);
    let archive = world.folder.path().join("archive");
    let live = world.job("live").with_state().set("archive.dir", archive.display());
    live.run();
    let job = job_of(&world, "replay", &format!("type = \"archive\"\ndir = \"{}\"", archive.display()));
    job.run();
    assert_eq!(job.alerts(), live.alerts());
    let oracle = world.oracle(4);
    for alert in some(&alerts(&job)) {
        check(alert, &explained(&job, id(alert), &[]), &oracle);
    }
}

#[cfg(feature = "parquet")]
#[test]
fn rows_of_a_file_of_parquet_are_read_again() {
    let Some(duckdb) = testkit::duckdb::duckdb() else { return };
    let world = World::of(LINES);
    let file = world.folder.path().join("events.parquet");
    duckdb.ask(&format!(
        "SET threads = 1; COPY (SELECT * FROM read_json('{}', format = 'newline_delimited')) TO '{}' (FORMAT parquet); SELECT 1 AS one",
        world.input.display(),
        file.display()
    ));
    let job = job_of(&world, "parquet", &format!("path = \"{}\"", file.display()));
    job.run();
    // Of a row only the columns are read that the job has.
    check_members(&world, &job, |asked| asked, &["user", "ts", "kind", "seconds"]);
}

#[cfg(feature = "postgres")]
#[test]
fn an_alert_is_found_in_a_table_of_postgresql() {
    let Some(database) = testkit::postgres::database() else { return };
    let world = World::of(LINES);
    let plain = world.job("plain");
    plain.run();
    let sink =
        format!("[sink.alerts]\ntype = \"postgres\"\nurl = \"{}\"\ntable = \"alerts\"", database.url());
    let config = CONFIG.replace("[sink.alerts]\npath = \"set by the test\"", &sink);
    let path = world.folder.path().join("table.toml");
    std::fs::write(&path, config).expect("write");
    let table = Job::new(PROGRAM, path, world.folder.path().join("table")).on(&world.input).with_state();
    let table = table.set("source.events.lanes", 4);
    table.run();
    let (alerts, oracle) = (alerts(&plain), world.oracle(4));
    for alert in some(&alerts) {
        let said = explained(&table, id(alert), &[]);
        check(alert, &said, &oracle);
        words(said["found_in"].as_str().expect("a place"), &["sink `alerts`"]);
        let episode = alert["data"]["episode"].as_str().expect("an episode");
        assert_eq!(explained(&table, episode, &["--no-events"])["alert"], *alert);
    }
}
