//! What sources and sinks that are streams of Amazon Kinesis have.

use std::time::Duration;

use alert::KinesisTarget;
use ingest::{KinesisMode, KinesisSpec};

use super::section::{Reader, Section};
use super::value::{bad_value, duration, filled_string, one_of};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy)]
enum Mode {
    Polling,
    FanOut,
}

const MODES: &[(&str, Mode)] = &[("polling", Mode::Polling), ("fan_out", Mode::FanOut)];

/// What both have: `stream`, a name or an ARN; `region`, by default that of the ARN, the environment or the profile;
/// `endpoint`, by default Amazon's; `retry_for`, how long a stream that is away is waited for, by default `60s`, from `0s`
/// to `1d`.
struct Place {
    stream: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    retry_for: Duration,
}

fn read_place(section: &mut Section, reader: &mut Reader) -> Place {
    let endpoint = section.optional(reader, "endpoint", |sources, node| {
        let endpoint = filled_string(sources, node)?;
        match endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://")) {
            Some(host) if !host.is_empty() => Ok(endpoint),
            _ => Err(bad_value(node, "an address is `http://HOST:PORT` or `https://HOST`")),
        }
    });
    Place {
        stream: section.required(reader, "stream", "add `stream = \"NAME\"`", filled_string),
        region: section.optional(reader, "region", filled_string),
        endpoint,
        retry_for: section.or(
            reader,
            "retry_for",
            (Duration::from_secs(60), "\"60s\""),
            duration(Duration::ZERO..=DAY),
        ),
    }
}

/// Reads a source. `mode` is `"polling"`, with `poll_every`, by default `200ms`, from `0s` to `1m`, or `"fan_out"`, with
/// the name of a `consumer`.
pub(super) fn read_source(section: &mut Section, reader: &mut Reader) -> Option<KinesisSpec> {
    let Place { stream, region, endpoint, retry_for } = read_place(section, reader);
    let poll_every = Duration::from_millis(200);
    let (mode, poll_every) = match section.or(reader, "mode", (Mode::Polling, "\"polling\""), one_of(MODES)) {
        Mode::Polling => {
            let range = Duration::ZERO..=Duration::from_secs(60);
            let every = section.or(reader, "poll_every", (poll_every, "\"200ms\""), duration(range));
            (Some(KinesisMode::Polling), every)
        }
        Mode::FanOut => {
            let consumer = section.required(reader, "consumer", "add `consumer = \"NAME\"`", filled_string);
            (consumer.map(|consumer| KinesisMode::FanOut { consumer }), poll_every)
        }
    };
    Some(KinesisSpec { stream: stream?, region, endpoint, mode: mode?, poll_every, retry_for })
}

/// Reads a sink.
pub(super) fn read_target(section: &mut Section, reader: &mut Reader) -> Option<KinesisTarget> {
    let Place { stream, region, endpoint, retry_for } = read_place(section, reader);
    Some(KinesisTarget { stream: stream?, region, endpoint, retry_for })
}
