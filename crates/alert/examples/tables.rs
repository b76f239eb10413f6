//! Prints how many alerts a second a table takes, in deliveries of several sizes.
//!
//! `cargo run --release -p alert --features postgres --example tables -- FILE | postgres://USER@HOST/DATABASE`
//!
//! The table `tidewatch_cost` must not be there.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use alert::{Deliverer, Mode, Secret, Shape, SinkKind, SinkSpec, Table, open_fresh};

fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).ok_or("which file or address?")?;
    let table =
        Table { name: "tidewatch_cost".into(), shape: Shape::Alerts, retry_for: Duration::from_secs(60) };
    let kind = match target.starts_with("postgres") {
        true => SinkKind::Postgres { url: Secret::Text(target), ca: None, table },
        false => SinkKind::Sqlite { path: target.into(), table },
    };
    let spec = SinkSpec { name: "cost".into(), kind, mode: Mode::ExactlyOnce };
    let mut sink = open_fresh(&spec, &Deliverer { job: "podcast".into(), generation: 1 })?;
    for (number, rows) in (1..).zip([1, 100, 10_000, 10_000, 300_000]) {
        let lines = alerts(number, rows);
        let begun = Instant::now();
        sink.deliver(number, lines.as_bytes())?;
        let seconds = begun.elapsed().as_secs_f64();
        let (bytes, each) = (lines.len(), f64::from(rows) / seconds);
        writeln!(io::stdout(), "{rows} rows, {bytes} bytes: {:.1} ms, {each:.0} rows/s", seconds * 1e3)?;
    }
    Ok(())
}

/// Alerts of the podcast job; their ids are as scattered as hashes.
fn alerts(delivery: u32, rows: u32) -> String {
    let mut lines = String::new();
    for row in 0..rows {
        let number = (u128::from(delivery) << 32) + u128::from(row) + 1;
        let id = format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        // A string takes every write.
        let _ = write!(
            lines,
            concat!(
                r#"{{"specversion":"1.0","id":"{id}","source":"tidewatch/podcast","type":"tidewatch.alert","#,
                r#""subject":"user-{row}","time":"2026-01-02T03:10:00Z","datacontenttype":"application/json","#,
                r#""data":{{"job":"podcast","rule":"low-engagement","severity":"warning","key":"user-{row}","#,
                r#""window":{{"start":"2026-01-02T03:00:00Z","end":"2026-01-02T03:10:00Z"}},"#,
                r#""features":{{"events":120,"listen_s":12.5,"pauses":9,"exits":4}},"score":0.125,"#,
                r#""scores":{{"engagement":0.125}},"threshold":0.3,"#,
                r#""summary":"user-{row}: engagement 0.12 (9 pauses, 4 exits)","episode":"{id}"}}}}"#,
                "\n"
            ),
            id = id,
            row = row
        );
    }
    lines
}
