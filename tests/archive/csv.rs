//! Archives of CSV: each record with the header of its file, so that a replay reads what the live run read.

use std::fmt::Write;

use super::streams::{reading, replays_alike};
use super::*;

/// Events as CSV, with all that a field may hold and some records that do not fit. `turned`: the fields in another
/// order.
fn csv(lines: &[&[u8]], turned: bool) -> Vec<u8> {
    let mut csv = match turned {
        false => "\u{feff}note,\"user_id\",ts,event_type,\"a \"\"b\"\", c\",duration_s\r\n".to_owned(),
        true => "\nduration_s,ts,user_id,event_type\n".to_owned(),
    };
    for (number, line) in lines.iter().enumerate() {
        let event: Value = serde_json::from_slice(line).expect("an event");
        let text = |name: &str| event[name].as_str().expect("text").to_owned();
        let (user, kind, ts, duration) =
            (text("user_id"), text("event_type"), &event["ts"], &event["duration_s"]);
        let end = if number % 3 == 0 { "\r\n" } else { "\n" };
        match number % 400 {
            100 => write!(csv, "too,few{end}"),
            200 => write!(csv, "{user},\"text\" behind,{ts},{kind},\"two\nlines\",{duration}{end}"),
            300 => write!(csv, "{end}"),
            _ => Ok(()),
        }
        .expect("text");
        match turned {
            true => write!(csv, "{duration},{ts},\"{user}\",{kind}{end}"),
            false if number % 7 == 0 => {
                write!(csv, "\"a \"\"note\"\",\r\nof two lines\",\"{user}\",{ts},\"{kind}\",,{duration}{end}")
            }
            false => write!(csv, " # \\,{user},{ts},{kind},\"x,\n\",{duration}{end}"),
        }
        .expect("text");
    }
    csv.into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, bytes).expect("pack");
    packer.finish().expect("pack")
}

#[test]
fn csv_is_replayed_to_the_same_rows_and_the_same_quarantine_rows_from_a_file_a_packed_one_and_a_folder() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    generate(9_000, 300, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let lines = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4);
    let (first, second) = lines.split_at(lines.len() / 2);
    // One ends in the middle of a quote, one with a carriage return that is no line end, one without any.
    let whole = [csv(&lines, false), b"u,\"never closed,\n1,2\r\n".to_vec()].concat();
    let one = [csv(first, false), b"note,u,1700000000000,exit,c,0.5\r".to_vec()].concat();
    let other = [csv(second, true), b"0.5,1700000000000,u,exit".to_vec()].concat();
    let set = folder.path().join("set");
    std::fs::create_dir(&set).expect("a folder");
    for (name, bytes) in [("whole.csv", &whole), ("set/1.csv", &one), ("set/2.csv", &other)] {
        std::fs::write(folder.path().join(name), bytes).expect("write");
    }
    std::fs::write(folder.path().join("packed.csv.gz"), gzip(&whole)).expect("write");
    std::fs::write(set.join("3.csv.gz"), gzip(&csv(&lines[..50], true))).expect("write");
    for (name, headers) in [("whole.csv", 1), ("packed.csv.gz", 1), ("set", 2)] {
        let out = folder.path().join(format!("live-{name}"));
        let archive = out.join("archive");
        let source =
            format!("type = \"file\"\nformat = \"csv\"\npath = \"{}\"", folder.path().join(name).display());
        let live = reading(&out, &source).set("archive.dir", archive.display());
        kill_again_and_again(&live.clone().set("source.events.rate", 3_000), 3, |_| {});
        live.clone().workers(2).run();
        let report = live.report();
        assert!(count(&report, "quarantined") >= 40 && count(&report, "late") > 50, "{name}: {report}");
        assert!(live.alerts().len() > 5_000, "{name}: few alerts");
        assert_eq!(visible(&duckdb, &archive), count(&report, "read"), "{name}");
        let found = duckdb.ask(&format!(
            "SELECT count(DISTINCT header) AS headers, count(*) FILTER (WHERE header IS NULL) AS without FROM {}",
            files(&archive)
        ));
        assert_eq!((count(&found[0], "headers"), count(&found[0], "without")), (headers, 0), "{name}");
        let replays = folder.path().join(format!("replays-{name}"));
        replays_alike(&replays, &live, &archive);
        let again = reading(&replays.join("replay-3"), "type = \"archive\"\ndir = \"x\"");
        let rows = |job: &Job| std::fs::read(job.quarantine_path()).expect("quarantine rows");
        assert!(rows(&again) == rows(&live), "{name}: the replay's quarantine rows differ");
    }
}
