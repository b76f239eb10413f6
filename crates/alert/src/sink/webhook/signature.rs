//! Signatures after the Standard Webhooks scheme, so that the receiver knows who sent a request, and that
//! nobody has changed or kept it.
//!
//! `webhook-signature` is `v1,` and the base64 of an HMAC-SHA256 of `ID.TIMESTAMP.BODY`; the timestamp is the
//! second in which the request was made, so it differs when the same rows are sent again.
//!
//! Source: Standard Webhooks, 2023, <https://www.standardwebhooks.com>.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a secret begins with that is written as base64.
const ENCODED: &str = "whsec_";

/// Signs with one secret.
#[derive(Debug)]
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The signer of a secret: the base64 behind `whsec_`, else the bytes of the text.
    ///
    /// # Errors
    /// If what is behind `whsec_` is no base64, in words that do not show it.
    pub(super) fn new(secret: &str) -> Result<Self, String> {
        let key = match secret.strip_prefix(ENCODED) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| format!("what stands behind `{ENCODED}` in `secret` is no base64"))?,
            None => secret.as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err("`secret` is empty".to_owned());
        }
        Ok(Signer(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The value of `webhook-signature`. `timestamp` is in seconds since 1970.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The second that it is, for the receiver to see whether a request is old.
pub(super) fn timestamp() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_has_the_published_signature() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_without_the_prefix_is_its_bytes_and_a_broken_one_is_not_shown() {
        let encoded = Signer::new(&format!("whsec_{}", STANDARD.encode("hunter2"))).unwrap();
        assert_eq!(encoded.sign("a", 1, b"x"), Signer::new("hunter2").unwrap().sign("a", 1, b"x"));
        let error = Signer::new("whsec_hunter2!").unwrap_err();
        assert!(error.contains("base64") && !error.contains("hunter2"), "{error}");
        assert!(Signer::new("").is_err() && Signer::new("whsec_").is_err());
    }
}
