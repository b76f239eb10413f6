//! Rows posted to a receiver on this machine, which does nothing but keep them, beside a bare client that posts the same
//! bodies.
//!
//! One request at a time, in order: so a rate is what a round trip allows. Against a receiver elsewhere its distance
//! decides alone, and both rates are the same. The receiver is a thread of this process: the bare client's CPU has its in it.

use std::net::SocketAddr;

use testkit::http::Client;
use testkit::receiver::{Receiver, Reply};

use crate::bench::{Bench, Failure};
use crate::connector::{Rows, Turns, expect, lines, writing};
use crate::figure::Figures;

/// A row a request, and many.
pub(crate) fn webhook(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let few = Rows::of(bench, if bench.quick { 2_000 } else { 20_000 })?;
    post(bench, figures, &few, 1)?;
    let many = Rows::of(bench, if bench.quick { 40_000 } else { 400_000 })?;
    post(bench, figures, &many, 100)
}

fn post(bench: &Bench, figures: &mut Figures, rows: &Rows, batch: usize) -> Result<(), Failure> {
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        let receiver = Receiver::start(|_| Reply::Take);
        let sink = format!(
            "type = \"webhook\"\nurl = \"{}\"\nallow_hosts = \"127.0.0.1\"\nbatch = {batch}\n",
            receiver.url("/rows")
        );
        turns.job(bench.run(&writing(bench, &rows.input, &sink)?)?.usage);
        let taken = receiver.taken();
        let bodies: Vec<Vec<u8>> = taken.iter().map(|request| request.body.clone()).collect();
        let found = bodies.iter().flat_map(|body| lines(body));
        if !found.eq(lines(&rows.bytes)) {
            return Err("the receiver has other rows than the file".into());
        }
        // The same headers, but for those that say where the request goes and how long it is.
        let headers = taken.first().map(|request| request.headers.clone()).unwrap_or_default();
        let ours = ["host", "content-length"];
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| !ours.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let bare = Receiver::start(|_| Reply::Take);
        let mut client = Client::new(address(&bare)?);
        turns.bare(|| {
            for body in &bodies {
                let answer = client.post("/rows", &headers, body)?;
                expect("the status of an answer", u64::from(answer.status), 204)?;
            }
            Ok(())
        })?;
    }
    rows.report(figures, &format!("to a webhook, {batch} in a request"), &turns);
    Ok(())
}

fn address(receiver: &Receiver) -> Result<SocketAddr, Failure> {
    Ok(receiver.url("").trim_start_matches("http://").parse()?)
}
