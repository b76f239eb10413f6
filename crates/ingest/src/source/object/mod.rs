//! Objects of an S3-compatible store as partitions: which there are, and the bytes of each.
//!
//! An object is known by its address and by what the server says of its content, its length and its ETag: one that is
//! replaced while it is to be read stops the job. It is read by ranges on a thread of its own, some ahead of the decoder,
//! and asked for again when the server is away ([`bucket::Client`]).

mod list;
mod stream;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bucket::{Bucket, Client};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};

pub(super) use list::{Looking, partitions, passed_now};
pub(super) use stream::Streamed;

use super::PartitionInfo;
use super::blob::Blob;
use super::position::{ObjectOrigin, Origin, Position};
use crate::IngestError;

/// Bytes that all objects together hold ready which a process reads at the same time, about, as long as there are not so
/// many that even the shortest stretches are more.
const READY_BYTES: u64 = 192 << 20;
/// The longest stretch that is asked for at a time, and the shortest.
const STRETCH_MAX: u64 = 4 << 20;
const STRETCH_MIN: u64 = 64 << 10;

/// A bucket, shared by all that reads it in a process.
pub(super) struct Server {
    client: Client,
    bucket: Bucket,
    /// Objects that are being read.
    readers: AtomicUsize,
}

static KNOWN: Mutex<Vec<Weak<Server>>> = Mutex::new(Vec::new());

impl Server {
    /// The one for that bucket.
    pub(super) fn shared(bucket: &Bucket) -> Result<Arc<Self>, IngestError> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|server| server.strong_count() > 0);
        if let Some(server) = known.iter().filter_map(Weak::upgrade).find(|server| server.bucket == *bucket) {
            return Ok(server);
        }
        let client = Client::open(bucket)
            .map_err(|error| IngestError::Refused { name: bucket.to_string(), words: error.to_string() })?;
        let server = Arc::new(Server { client, bucket: bucket.clone(), readers: AtomicUsize::new(0) });
        known.push(Arc::downgrade(&server));
        Ok(server)
    }

    /// The second since 1970 that it said it is when it last answered.
    pub(super) fn second(&self) -> Option<i64> {
        self.client.second()
    }

    /// The address of an object.
    fn address(&self, key: &str) -> String {
        format!("{}{key}", self.bucket)
    }
}

/// An object that is read.
pub(super) struct Object {
    server: Arc<Server>,
    address: String,
    path: Path,
    origin: ObjectOrigin,
    /// The place up to which it was read when this was opened: for messages.
    read: u64,
}

impl Object {
    /// The object at an address, as it was when it was first seen. Asks nobody.
    pub(super) fn open(bucket: &Bucket, address: &str, position: &Position) -> Result<Self, IngestError> {
        let Origin::Object(origin) = &position.origin else {
            return Err(IngestError::Kind { name: address.to_owned() });
        };
        let server = Server::shared(bucket)?;
        let path = address.strip_prefix(&server.address("")).and_then(|key| Path::parse(key).ok());
        let path = path.ok_or_else(|| IngestError::Kind { name: address.to_owned() })?;
        server.readers.fetch_add(1, Ordering::Relaxed);
        let (address, origin) = (address.to_owned(), origin.clone());
        Ok(Object { server, address, path, origin, read: position.offset })
    }

    fn failed(&self, error: io::Error) -> IngestError {
        match error.kind() {
            io::ErrorKind::NotFound => IngestError::Vanished { name: self.address.clone(), read: self.read },
            io::ErrorKind::AlreadyExists | io::ErrorKind::UnexpectedEof => self.replaced(),
            _ => IngestError::Read { name: self.address.clone(), source: error },
        }
    }

    fn replaced(&self) -> IngestError {
        IngestError::Replaced { name: self.address.clone() }
    }
}

/// Whether an object can be read: asks for its first byte, if it has one.
pub(super) fn try_first(bucket: &Bucket, info: &PartitionInfo) -> Result<(), IngestError> {
    let object = Object::open(bucket, &info.id, &info.start)?;
    match object.length() {
        0 => Ok(()),
        _ => object.read(0, 1).map(drop),
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.server.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Blob for Object {
    fn name(&self) -> &str {
        &self.address
    }

    fn length(&self) -> u64 {
        self.origin.length
    }

    /// The more objects are read at the same time, the less of each.
    fn stretch(&self, held: u64) -> u64 {
        let readers = self.server.readers.load(Ordering::Relaxed).max(1) as u64;
        (READY_BYTES / held.max(1) / readers).clamp(STRETCH_MIN, STRETCH_MAX)
    }

    fn read(&self, start: u64, length: u64) -> Result<Bytes, IngestError> {
        let client = &self.server.client;
        let answer = client.ask(async || {
            let options = GetOptions {
                range: Some(GetRange::Bounded(start..start + length)),
                if_match: self.origin.e_tag.clone(),
                ..GetOptions::default()
            };
            let answer = client.store().get_opts(&self.path, options).await?;
            let meta = answer.meta.clone();
            Ok((meta, answer.bytes().await?))
        });
        let (meta, bytes) = answer.map_err(|error| self.failed(error))?;
        // For servers that do not heed the condition.
        let is_same = meta.size == self.origin.length
            && (self.origin.e_tag.is_none() || meta.e_tag == self.origin.e_tag)
            && bytes.len() as u64 == length;
        if is_same { Ok(bytes) } else { Err(self.replaced()) }
    }
}
