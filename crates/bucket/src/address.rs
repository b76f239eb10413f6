//! Addresses of buckets and of what is in them.

use std::fmt;
use std::time::Duration;

const SCHEME: &str = "s3://";

/// A part of a bucket, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all names of a job's objects begin with, without a slash at either end; empty where keys are whole.
    pub prefix: String,
    /// Address of the server; without, `AWS_ENDPOINT_URL`, else that of Amazon for the region.
    pub endpoint: Option<String>,
    /// Region; without, `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Whether a server may be talked to without TLS. One on this machine always may.
    pub allow_http: bool,
    /// How long a server that is away is waited for before a call fails.
    pub retry_for: Duration,
    /// Without: what the environment says (`AWS_ACCESS_KEY_ID` and its like), else the machine's role.
    pub keys: Option<Keys>,
}

/// Who asks a server, and how it knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The name.
    pub access: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Bucket {
    /// How long a server that is away is waited for, unless the user says otherwise.
    pub const RETRY_FOR: Duration = Duration::from_secs(60);

    /// Reads `s3://BUCKET/PREFIX`. `None` if it does not begin like that.
    ///
    /// # Errors
    /// Why it is no such address, in words.
    pub fn parse(address: &str) -> Option<Result<Bucket, String>> {
        let (name, prefix) = parts(address)?;
        let prefix = prefix.trim_end_matches('/');
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(word);
        Some(if !is_name(name) {
            Err(format!("`{name}` is no name of a bucket"))
        } else if prefix.is_empty() {
            Err("no prefix, which keeps the job apart from others in that bucket".to_owned())
        } else if let Some(part) = prefix.split('/').find(|part| !is_part(part)) {
            Err(format!("`{part}` cannot be a part of the prefix: letters, digits, `-`, `_`, `.`, `=` can"))
        } else {
            Ok(Self::named(name, prefix))
        })
    }

    /// Reads `s3://BUCKET/KEY`: the bucket, without a prefix, and the key, which may be empty or end in a slash. `None` if
    /// it does not begin like that.
    ///
    /// # Errors
    /// Why it is no such address, in words.
    pub fn parse_object(address: &str) -> Option<Result<(Bucket, String), String>> {
        let (name, key) = parts(address)?;
        let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
        let mut parts = key.strip_suffix('/').unwrap_or(key).split('/');
        Some(if !is_name(name) {
            Err(format!("`{name}` is no name of a bucket"))
        } else if !key.is_empty() && !parts.all(is_part) {
            Err(format!("`{key}` is no key: none of its parts is empty, `.` or `..`"))
        } else {
            Ok((Self::named(name, ""), key.to_owned()))
        })
    }

    fn named(name: &str, prefix: &str) -> Self {
        Bucket {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            allow_http: false,
            retry_for: Self::RETRY_FOR,
            keys: None,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.name, self.prefix)
    }
}

/// The name of the bucket in an address, and what follows it.
fn parts(address: &str) -> Option<(&str, &str)> {
    let rest = address.strip_prefix(SCHEME)?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn is_name(name: &str) -> bool {
    name.len() >= 3 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bucket_and_a_prefix_that_keeps_jobs_apart() {
        let parse = |text: &str| {
            Bucket::parse(text).map(|read| read.map(|b| (b.name, b.prefix)).map_err(|words| words.len() > 10))
        };
        let good = |name: &str, prefix: &str| Some(Ok((name.to_owned(), prefix.to_owned())));
        assert_eq!(parse("state"), None);
        assert_eq!(parse("/s3://x"), None);
        assert_eq!(parse("s3://bucket/job"), good("bucket", "job"));
        assert_eq!(parse("s3://my.bucket-1/team=a/job_2/"), good("my.bucket-1", "team=a/job_2"));
        for bad in ["s3://", "s3://bucket", "s3://bucket/", "s3:///job", "s3://b u/job", "s3://u:p@host/job"]
        {
            assert_eq!(parse(bad), Some(Err(true)), "{bad}");
        }
        for bad in
            ["s3://bucket/../x", "s3://bucket/a//b", "s3://bucket//a", "s3://bucket/a b", "s3://bucket/ä"]
        {
            assert_eq!(parse(bad), Some(Err(true)), "{bad}");
        }
    }

    #[test]
    fn an_object_has_a_key_with_anything_in_it_but_steps() {
        let parse = |text: &str| {
            Bucket::parse_object(text)
                .map(|read| read.map(|(b, key)| (b.name, key)).map_err(|words| words.len() > 10))
        };
        let good = |key: &str| Some(Ok(("bucket".to_owned(), key.to_owned())));
        assert_eq!(parse("events"), None);
        assert_eq!(parse("s3://bucket"), good(""));
        assert_eq!(parse("s3://bucket/a/"), good("a/"));
        assert_eq!(parse("s3://bucket/a b/dt=1/\u{e4}*.gz"), good("a b/dt=1/\u{e4}*.gz"));
        for bad in
            ["s3://", "s3:///a", "s3://bucket//a", "s3://bucket/a//b", "s3://bucket/../x", "s3://bucket/a//"]
        {
            assert_eq!(parse(bad), Some(Err(true)), "{bad}");
        }
    }
}
