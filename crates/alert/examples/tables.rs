//! How many rows a second a table takes: `cargo run --release -p alert --example tables [--features postgres] URL-OR-FILE`
use std::time::{Duration, Instant};
use alert::*;
fn main() {
    let to = std::env::args().nth(1).unwrap();
    let table = Table { name: "alerts".into(), shape: Shape::Alerts, retry_for: Duration::from_secs(60) };
    let kind = if to.starts_with("postgres") { SinkKind::Postgres { url: Secret::Text(to), ca: None, table } } else { SinkKind::Sqlite { path: to.into(), table } };
    let spec = SinkSpec { name: "sink".into(), kind, mode: Mode::ExactlyOnce };
    let mut sink = open_fresh(&spec, &Deliverer { job: "podcast".into(), generation: 1 }).unwrap();
    let mut number = 0;
    for rows in [1, 1, 100, 100, 10_000, 10_000, 10_000, 300_000] {
        number += 1;
        let mut lines = String::new();
        for row in 0..rows {
            let id = (row as u128 + 1).wrapping_mul(0x9e3779b97f4a7c15f39cc0605cedc835) ^ (number as u128) << 64;
            lines += &format!(r#"{{"specversion":"1.0","id":"{id:032x}","source":"tidewatch/podcast","type":"tidewatch.alert","subject":"u{row}","time":"2026-01-02T03:10:00Z","datacontenttype":"application/json","data":{{"job":"podcast","rule":"restless","severity":"warning","key":"u{row}","window":{{"start":"2026-01-02T03:00:00Z","end":"2026-01-02T03:10:00Z"}},"features":{{"events":120,"listen_s":12.5,"pauses":9,"exits":4}},"score":0.125,"scores":{{"engagement":0.125}},"threshold":0.3,"summary":"u{row}: engagement 0.12 (9 pauses, 4 exits)","episode":"{id:032x}"}}}}"#);
            lines.push('\n');
        }
        let begun = Instant::now();
        sink.deliver(number, lines.as_bytes()).unwrap();
        let s = begun.elapsed().as_secs_f64();
        println!("{rows} rows, {} bytes: {:.1} ms, {:.0} rows/s", lines.len(), s * 1e3, rows as f64 / s);
    }
}
