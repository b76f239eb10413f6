//! Where a running job answers questions over HTTP: `[http]`.
//!
//! - `GET /v1/keys/{key}/verdict`: what the rules say of a key by now ([`verdict`]), for a service that wants to block a
//!   payment or a player now.
//! - `GET /v1/health`: that the process is there.
//!
//! The first process of a job listens, from before it reads until it has ended. Only it can be asked, of all keys.

mod verdict;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dataflow::Control;
use event::KeyShape;
use serde_json::Value;
use serve::{Drain, Problem, ServeError, ServeSpec, Server, Tokens};

/// What requests share.
struct Asked {
    tokens: Tokens,
    drain: Drain,
    control: Arc<Control>,
    keys: KeyShape,
}

/// Listens until what it gives is dropped.
///
/// # Errors
/// If the address is taken, or a file of the settings is no good.
pub(crate) fn listen(
    spec: &ServeSpec,
    control: &Arc<Control>,
    keys: &KeyShape,
) -> Result<Server, ServeError> {
    control.expect_questions();
    let (control, keys) = (Arc::clone(control), keys.clone());
    Server::start(spec, |tokens, drain| {
        Router::new()
            .route("/v1/keys/{key}/verdict", get(tell_verdict))
            .route("/v1/health", get(tell_health))
            .with_state(Arc::new(Asked { tokens, drain, control, keys }))
    })
}

async fn tell_verdict(
    State(asked): State<Arc<Asked>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        asked.tokens.admit(&headers)?;
        if *asked.drain.borrow() {
            return Err(Problem::draining());
        }
        verdict::of_key(&asked.control, &asked.keys, &key).await
    };
    answer.await.map_or_else(IntoResponse::into_response, |verdict| json(&verdict))
}

async fn tell_health(State(asked): State<Arc<Asked>>) -> Response {
    match *asked.drain.borrow() || asked.control.is_draining() {
        true => Problem::draining().into_response(),
        false => json(&serde_json::json!({ "status": "ok" })),
    }
}

fn json(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
