//! What a client has to show.

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap};
use event::Secret;
use ring::digest::{SHA256, digest};

use crate::{Problem, ServeError};

/// What clients may show: one of these, or nothing if there are none. Keeps hashes only.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// Reads those that are in files.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn read(tokens: &[Secret]) -> Result<Tokens, ServeError> {
        tokens.iter().map(hash).collect::<Result<_, _>>().map(Tokens)
    }

    /// Whether a client may come in. Compares hashes, which gives no hint of what was right.
    ///
    /// # Errors
    /// The answer for a client that may not.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).and_then(|value| {
            let (scheme, token) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
        });
        let shown = shown.map(|token| digest(&SHA256, token));
        let is_known = shown.is_some_and(|shown| self.0.iter().any(|token| token == shown.as_ref()));
        let words = "a token is needed: `Authorization: Bearer TOKEN`";
        if is_known { Ok(()) } else { Err(Problem::new(StatusCode::UNAUTHORIZED, words)) }
    }
}

fn hash(token: &Secret) -> Result<[u8; 32], ServeError> {
    let text = match token {
        Secret::Text(text) => text.clone(),
        Secret::File(path) => std::fs::read_to_string(path).map_err(|error| ServeError::Unusable {
            setting: "tokens",
            path: path.clone(),
            words: error.to_string(),
        })?,
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.trim().as_bytes()).as_ref());
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_one_of_the_tokens_may_come_in_and_nobody_else() {
        let tokens = Tokens::read(&[Secret::Text("first".into()), Secret::Text(" second\n".into())]).unwrap();
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        for value in ["Bearer first", "bearer second", "BEARER  first "] {
            assert_eq!(tokens.admit(&headers(value)), Ok(()), "{value}");
        }
        for value in ["first", "Bearer", "Bearer third", "Basic first", "Bearer firstsecond"] {
            assert!(tokens.admit(&headers(value)).is_err(), "{value}");
        }
        assert!(tokens.admit(&HeaderMap::new()).is_err());
        assert_eq!(Tokens::default().admit(&HeaderMap::new()), Ok(()));
    }
}
