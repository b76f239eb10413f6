//! Records whose offsets count bytes: lines of files, and of the generator.

use std::time::Instant;

use super::super::{Partition, PartitionInfo, Poll, SourceSpec, open};
use super::{NOTHING_THERE, RECORD_BYTES_MAX, WAIT, WAIT_MAX, Wanted};
use crate::{DecodeSpec, IngestError};

/// Reads the records that begin at the offsets that are wanted.
pub(super) fn read(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    info: &PartitionInfo,
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    while let Some(first) = wanted.first() {
        let position = info.start.at(first);
        let jumped = position.is_some();
        let mut partition = open(spec, decode, info, Some(position.as_ref().unwrap_or(&info.start)))?;
        wanted.read_lines(partition.as_mut(), jumped)?;
        if wanted.first() == Some(first) {
            wanted.give_first(Err(NOTHING_THERE.to_owned()));
        }
        if !jumped {
            // It was read to its end.
            wanted.give_up(NOTHING_THERE);
        }
    }
    Ok(())
}

impl Wanted<'_, '_> {
    /// Reads on: one piece, if it is where the first one should be; else all there is.
    fn read_lines(&mut self, partition: &mut dyn Partition, jumped: bool) -> Result<(), IngestError> {
        let mut since = Instant::now();
        while !self.offsets.is_empty() {
            match partition.poll(usize::MAX)? {
                Poll::Decoded(decoded) => {
                    since = Instant::now();
                    self.take_out(&decoded.records.bytes, decoded.records.base);
                    if jumped && !decoded.records.bytes.is_empty() {
                        return Ok(());
                    }
                }
                Poll::Pending if since.elapsed() < WAIT_MAX => std::thread::sleep(WAIT),
                Poll::Pending | Poll::CaughtUp | Poll::Finished | Poll::Closed(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Gives all that begin in these bytes.
    fn take_out(&mut self, bytes: &[u8], base: u64) {
        while let Some(first) = self.first().filter(|first| *first < base + bytes.len() as u64) {
            let line = first.checked_sub(base).map(|at| &bytes[at as usize..]);
            self.give_first(line.and_then(record).ok_or_else(|| NOTHING_THERE.to_owned()));
        }
    }
}

/// The record at the start of these bytes; `None` if it was too long to be read to its end.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    (line.len() <= RECORD_BYTES_MAX).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::super::super::{
        Compression, End, Format, GenerateSpec, SourceKind, Start, partitions, write_events,
    };
    use super::*;
    use crate::{TimeSpec, TimeUnit};

    fn spec(kind: SourceKind) -> SourceSpec {
        SourceSpec {
            name: "s".into(),
            kind,
            rate: None,
            start: Start::Earliest,
            end: End::Latest,
            format: Format::Json,
        }
    }

    fn all(spec: &SourceSpec, number: usize, offsets: &[u64]) -> Vec<(u64, Option<String>)> {
        let info = &partitions(spec).unwrap()[number];
        let mut found = Vec::new();
        let mut give = |offset, record: Result<&[u8], String>| {
            found.push((offset, record.ok().map(|record| String::from_utf8(record.to_vec()).unwrap())));
        };
        let decode =
            super::super::bytes_alone(&DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis)));
        read(spec, &decode, info, &mut Wanted { offsets, give: &mut give }).unwrap();
        found
    }

    #[test]
    fn records_of_a_file_are_found_in_every_lane_whatever_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        // Two chunks and more, with a record over the border.
        let lines: Vec<String> = (0..30_000)
            .map(|n| format!("{n} {}\r\n", "x".repeat(if n == 9 { 70_000 } else { 40 + n % 40 })))
            .collect();
        std::fs::write(&path, lines.concat()).unwrap();
        let spec = spec(SourceKind::File { paths: vec![path], lanes: 2, compression: Compression::None });
        let mut begins = vec![0];
        begins.extend(lines.iter().scan(0, |at, line| {
            *at += line.len() as u64;
            Some(*at)
        }));
        for lane in 0..2 {
            let here = |at: &u64| (at >> 20) % 2 == lane;
            let wanted: Vec<(usize, u64)> = begins
                .iter()
                .copied()
                .enumerate()
                .filter(|(n, at)| n % 7 == 2 && *n < 30_000 && here(at))
                .collect();
            let offsets: Vec<u64> = wanted.iter().map(|(_, at)| *at).collect();
            let expected: Vec<_> =
                wanted.iter().map(|(n, at)| (*at, Some(lines[*n].trim_end().to_owned()))).collect();
            assert!(expected.len() > 1000 && all(&spec, lane as usize, &offsets) == expected, "lane {lane}");
        }
        let end = *begins.last().unwrap();
        assert_eq!(all(&spec, 0, &[end, end + 5]), [(end, None), (end + 5, None)]);
    }

    #[test]
    fn records_of_the_generator_are_found_by_reading_it_from_its_start() {
        let generate = GenerateSpec { events: Some(50), lanes: 1, ..GenerateSpec::default() };
        let mut text = Vec::new();
        write_events(&generate, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let second = text.lines().next().unwrap().len() as u64 + 1;
        let spec = spec(SourceKind::Generate(generate));
        let line = |n: usize| Some(text.lines().nth(n).unwrap().to_owned());
        let beyond = text.len() as u64;
        assert_eq!(all(&spec, 0, &[0, second, beyond]), [(0, line(0)), (second, line(1)), (beyond, None)]);
    }
}
