//! A webhook as a sink: `type = "webhook"` of `[sink.NAME]`.

use std::path::Path;
use std::time::Duration;

use super::endpoint::Sink;
use super::words::Words;

/// An HTTP endpoint that rows are posted to, whose address is in that variable of the environment:
/// `https://host/path`.
pub fn webhook(variable: &str) -> Sink {
    let call = Words::default().call("webhook").implied_text(&["type"], "webhook");
    Sink { words: call.text(&["url", "env"], variable).end(), name: None }
}

impl Sink {
    /// Of webhooks: requests are signed with the secret in that variable of the environment.
    pub fn secret(self, variable: &str) -> Self {
        self.option(".secret", |call| call.text(&["secret", "env"], variable))
    }

    /// Of webhooks: the token in that variable of the environment is sent along.
    pub fn token(self, variable: &str) -> Self {
        self.option(".token", |call| call.text(&["token", "env"], variable))
    }

    /// Of webhooks: rows of a request at most. Default: 1.
    pub fn batch(self, rows: u64) -> Self {
        self.option(".batch", |call| call.integer(&["batch"], rows))
    }

    /// Of webhooks: hosts that requests may go to, as `*.example.com`. Default: the one of the address.
    pub fn allow_hosts<'a>(self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        self.option(".allow_hosts", |call| call.texts(&["allow_hosts"], &hosts))
    }

    /// Of webhooks: for how long what the receiver refuses is tried again. Default: 5 minutes.
    pub fn give_up_after(self, time: Duration) -> Self {
        self.option(".give_up_after", |call| call.duration(&["give_up_after"], time))
    }

    /// Of webhooks: the file for what the receiver still refuses then. Default: none, and the run ends.
    pub fn undelivered(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_string_lossy().into_owned();
        self.option(".undelivered", |call| call.text(&["undelivered"], &path))
    }
}
