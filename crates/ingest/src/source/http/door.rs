//! What becomes of a request: who sends it, what it holds, and once that is durable, an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, EXPECT, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use journal::{Appended, Appender, Refused};
use serve::{Drain, Problem, Tokens};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::body::{self, Budget};
use super::events::Format;
use super::spec::{HttpLimits, HttpSpec};

/// All that requests share.
pub(super) struct Door {
    tokens: Tokens,
    limits: HttpLimits,
    /// Paths of an event's id.
    fields: Vec<Vec<String>>,
    appender: Appender,
    budget: Budget,
    /// Whether the job is told to stop.
    drain: Drain,
}

impl Door {
    pub(super) fn new(spec: &HttpSpec, tokens: Tokens, appender: Appender, drain: Drain) -> Door {
        let fields = spec.dedup.as_ref().map(|dedup| dedup.fields.clone()).unwrap_or_default();
        Door { tokens, limits: spec.limits, fields, appender, budget: Budget::new(), drain }
    }

    /// What answers requests.
    pub(super) fn routes(self) -> Router {
        Router::new()
            .route("/v1/events", post(post_events))
            .route("/v1/health", get(health))
            .with_state(Arc::new(self))
    }

    fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    async fn answer(&self, request: Request) -> Result<Appended, Problem> {
        let (head, mut body) = request.into_parts();
        let taken = self.take_in(&head.headers, &mut body).await;
        let is_waiting = head.headers.contains_key(EXPECT);
        if taken.as_ref().is_err_and(|problem| problem.status.is_client_error()) && !is_waiting {
            body::linger(&mut body).await;
        }
        taken
    }

    async fn take_in(&self, headers: &HeaderMap, body: &mut Body) -> Result<Appended, Problem> {
        if self.is_draining() {
            return Err(Problem::draining());
        }
        self.tokens.admit(headers)?;
        let format = Format::of(headers)?;
        let mut drain = self.drain.clone();
        let read = timeout(self.limits.timeout, body::read(headers, body, &self.limits, &self.budget));
        let (bytes, claim) = tokio::select! {
            read = read => read.map_err(|_| slow(self.limits.timeout))??,
            // Whoever is in the middle of sending may take long.
            _ = drain.wait_for(|drain| *drain) => return Err(Problem::draining()),
        };
        let lines = format.lines(&bytes, &self.fields)?;
        drop(bytes);
        let (sender, answer) = oneshot::channel();
        self.appender.append(lines, move |appended| {
            drop(claim);
            // A client that has gone hears nothing.
            let _ = sender.send(appended);
        });
        match timeout(self.limits.timeout, answer).await {
            Ok(Ok(appended)) => appended.map_err(|refused| refusal(&refused)),
            Ok(Err(_)) => Err(refusal(&Refused::Stopped)),
            Err(_) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the disk takes long; whether the events are taken in is not known",
            )),
        }
    }
}

fn slow(limit: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        format!("the body did not come within {} s", limit.as_secs_f64()),
    )
}

fn refusal(refused: &Refused) -> Problem {
    let status = match refused {
        Refused::Full => StatusCode::TOO_MANY_REQUESTS,
        Refused::NoSpace(_) | Refused::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    let words = match refused {
        Refused::Full => "the job has not read what was sent before; come again later",
        Refused::NoSpace(_) => "there is no space on the disk; come again later",
        Refused::Stopped => "the journal has stopped; whether the events are taken in is not known",
    };
    Problem::new(status, words)
}

async fn post_events(State(door): State<Arc<Door>>, request: Request) -> Response {
    match door.answer(request).await {
        Ok(Appended { appended, duplicates }) => {
            json(format!("{{\"accepted\":{appended},\"deduplicated\":{duplicates}}}"))
        }
        Err(problem) => problem.into_response(),
    }
}

async fn health(State(door): State<Arc<Door>>) -> Response {
    match door.is_draining() {
        false => json("{\"status\":\"ok\"}".to_owned()),
        true => Problem::draining().into_response(),
    }
}

fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
