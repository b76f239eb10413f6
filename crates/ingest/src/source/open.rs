//! Opens partitions: which reader a kind of source, a format and a position ask for.

use std::path::{Path, PathBuf};
#[cfg(any(feature = "parquet", feature = "s3"))]
use std::sync::Arc;

#[cfg(any(feature = "parquet", feature = "s3"))]
use super::blob;
#[cfg(feature = "http")]
use super::http;
#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(not(all(feature = "http", feature = "kafka", feature = "parquet", feature = "s3")))]
use super::not_built;
#[cfg(feature = "s3")]
use super::object;
#[cfg(feature = "parquet")]
use super::parquet;
use super::passed::Passed;
use super::{
    Format, Partition, PartitionInfo, Position, SourceKind, SourceSpec, chosen, file, generate, kinesis,
    position, stdin, tail, unpack, whole,
};
use crate::{DecodeSpec, Decoder, IngestError};

/// Opens a partition, to be read from `resume` on.
///
/// # Errors
/// If it cannot be read, or if `resume` does not belong to it as it is now: [`IngestError::is_refusal`].
pub fn open(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    partition: &PartitionInfo,
    resume: Option<&Position>,
) -> Result<Box<dyn Partition>, IngestError> {
    if resume.unwrap_or(&partition.start).is_passed() {
        return Ok(Box::new(Passed));
    }
    let decoder = || Decoder::new(decode.clone());
    match &spec.kind {
        SourceKind::Archive { address, .. } => Err(IngestError::NoArchives { place: address.clone() }),
        SourceKind::File { lanes, compression, .. } => match chosen::cut_file(spec) {
            Some(path) => Ok(Box::new(file::Lane::open(path, *lanes, partition.number, resume, decoder())?)),
            None => {
                let (path, position) = (PathBuf::from(&partition.id), resume.unwrap_or(&partition.start));
                if matches!(position.origin, position::Origin::Tail(_)) {
                    return Ok(Box::new(tail::Tail::open(path, spec.format, position, decode.clone())?));
                }
                if spec.format == Format::Parquet {
                    return open_parquet(spec, decode, &path, position);
                }
                let packed = unpack::Packing::of(*compression, &path);
                Ok(Box::new(whole::Whole::open(path, packed, spec.format, position, decode.clone())?))
            }
        },
        #[cfg(feature = "s3")]
        SourceKind::Objects { bucket, compression, .. } => {
            let position = resume.unwrap_or(&partition.start);
            let object = object::Object::open(bucket, &partition.id, position)?;
            if spec.format == Format::Parquet {
                return read_parquet(spec, decode, Arc::new(object), position);
            }
            let packing = unpack::Packing::of(*compression, Path::new(&partition.id));
            Ok(Box::new(object::Streamed::open(object, packing, spec.format, position, decode.clone())))
        }
        #[cfg(not(feature = "s3"))]
        SourceKind::Objects { .. } => Err(not_built(spec, "s3")),
        SourceKind::Stdin if resume.is_some_and(|position| position.offset > 0) => {
            Err(IngestError::NotRepeatable)
        }
        SourceKind::Stdin => {
            let (input, decode) = (std::io::stdin(), decode.clone());
            Ok(Box::new(stdin::Stream::spawn("standard input", input, spec.format, decode)?))
        }
        SourceKind::Generate(generate) => {
            Ok(Box::new(generate::GeneratePartition::open(generate, partition.number, resume, decoder())?))
        }
        #[cfg(feature = "kafka")]
        SourceKind::Kafka { topic, isolation, queue_bytes } => {
            let reading = kafka::Reading::of(&spec.name, topic, *isolation, *queue_bytes);
            Ok(Box::new(kafka::KafkaPartition::open(&reading, spec.end, partition, resume, decoder())?))
        }
        #[cfg(not(feature = "kafka"))]
        SourceKind::Kafka { .. } => Err(not_built(spec, "kafka")),
        #[cfg(feature = "http")]
        SourceKind::Http(http) => {
            let position = resume.unwrap_or(&partition.start);
            Ok(Box::new(http::Posted::open(spec, http, position, decoder())?))
        }
        #[cfg(not(feature = "http"))]
        SourceKind::Http(_) => Err(not_built(spec, "http")),
        SourceKind::Kinesis(kinesis) => kinesis::open(kinesis, partition, resume, decoder()),
    }
}

/// Opens a Parquet file.
#[cfg(feature = "parquet")]
fn open_parquet(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    path: &Path,
    position: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    let (file, length) = whole::open_again(path, position)?;
    read_parquet(spec, decode, Arc::new(blob::FileBlob::new(file, path, length)), position)
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(
    spec: &SourceSpec,
    _decode: &DecodeSpec,
    _path: &Path,
    _position: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    Err(not_built(spec, "parquet"))
}

/// Reads Parquet, wherever it is.
#[cfg(feature = "parquet")]
fn read_parquet(
    _spec: &SourceSpec,
    decode: &DecodeSpec,
    blob: Arc<dyn blob::Blob>,
    position: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    Ok(Box::new(parquet::ParquetPartition::open(blob, position, decode.clone())))
}

#[cfg(all(feature = "s3", not(feature = "parquet")))]
fn read_parquet(
    spec: &SourceSpec,
    _decode: &DecodeSpec,
    _blob: Arc<dyn blob::Blob>,
    _position: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    Err(not_built(spec, "parquet"))
}
